"""Mutants: each check is taken away in turn, and a test must turn red."""
