"""Tests: each states a property."""
