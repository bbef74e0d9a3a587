"""What goes wrong with machines, and what must hold afterwards."""
