"""A table of the member's own that becomes notices."""
