"""The node's local API: HTTP on the loopback address for the member's own systems.

`shapes` are its JSON and `routes` its paths; `sending`, `receiving` and `about` are what it answers with.
`openapi` describes all of it, `guard` lets in whoever shows the token, and `server` listens.
"""
