"""Sessions as people have them, from the first command to the last."""
