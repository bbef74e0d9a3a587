"""Long loads on real processes, run by `make soak`."""
