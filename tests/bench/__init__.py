"""The ladder of trust: what each step between a raw append and a verified delivery costs."""
