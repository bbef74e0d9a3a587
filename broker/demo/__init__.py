"""A day between a hub and four members, played on this machine."""
