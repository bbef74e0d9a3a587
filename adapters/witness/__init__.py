"""The node's witness: it cosigns the trees of the hub's log, each only if it continues the last."""
