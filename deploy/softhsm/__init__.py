"""SoftHSM, a token in software, for tests of keys on tokens."""
