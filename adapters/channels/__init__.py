"""Ways of handing a verified delivery to a member's own systems, one file each."""
