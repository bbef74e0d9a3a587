"""A PostgreSQL on this machine, for development and the tests."""
