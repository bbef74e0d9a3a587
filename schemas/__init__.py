"""Schemas, code lists and labels as files, and the one door through which they are read."""
