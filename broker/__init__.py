"""The hub's side of Halong, and the core that both sides share."""
