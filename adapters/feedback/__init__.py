"""What came of a notice: due, given, received and counted."""
