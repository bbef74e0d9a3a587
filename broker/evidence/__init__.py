"""Bundles of evidence: what happened to one notice, for somebody without hub or node, who believes nobody.

A bundle is one ZIP file.  `archive` is its form as bytes, `case` what is in it, `checking` whether it holds;
`building` makes one, `redacting` takes slots away.  Nothing here reads a log or a store: at a hub that is
done by `broker.commands.audit`, at a node by `adapters.evidence`.
"""
