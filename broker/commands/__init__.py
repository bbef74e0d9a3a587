"""The commands of the hub's side, one file each."""
