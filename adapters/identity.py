"""Who this node is."""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.keys import Signer


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs, with which keys, for which network."""

    member: str
    network: str
    signer: Signer
    countersigner: Signer | None = None
