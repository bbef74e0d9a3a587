"""Backups of hubs and of nodes: one file that holds all that must come back.

`archive` is the file, `sealed` the private keys in it, `log_copy` a hub's log out of one engine and into any.
What of a folder goes into the file is decided by the commands.
"""
