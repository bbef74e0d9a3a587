"""Fuzzing: whatever bytes come to a decoder, it answers with a value or with a code."""
