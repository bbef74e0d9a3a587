"""A node without network: its conversation with the hub, carried in files."""
