"""A member's side: the node, its outbox, its runner and its channels."""
