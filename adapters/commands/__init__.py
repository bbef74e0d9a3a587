"""The commands of a member's side, one file each."""
