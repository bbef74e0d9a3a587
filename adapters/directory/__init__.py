"""The node's copy of the signed directory: how it is kept up to date, and what is believed of it."""
