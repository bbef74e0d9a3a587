"""Redaction: taking slots away from an envelope, which leaves its signature whole.

Decides nothing: which slots a member gets is `agreements`' word.  What is taken away leaves no trace
but the digest that the header signs, and the same digest stands for an empty slot.

Source: docs/formats.md, "Slots" and "Envelope, seals".
"""

from __future__ import annotations

from broker.core.model import Envelope, Proof, Slot
from broker.core.sealing import prove


def redact(envelope: Envelope, slots: frozenset[Slot], recipient: str) -> tuple[Envelope, tuple[Proof, ...]]:
    """Return what `recipient` gets of a complete envelope when it may have `slots`, with the seals' proofs.

    Disclosed slots are passed on as they are; of the sealed ones those granted, with the recipient's
    own wrap.  Without a sealed slot there is no wrap either: it would open nothing.
    """
    sealed = tuple(one for one in envelope.sealed if one.slot in slots)
    redacted = Envelope(
        header=envelope.header,
        signature=envelope.signature,
        disclosures=tuple(one for one in envelope.disclosures if one.slot in slots),
        sealed=sealed,
        wraps=tuple(wrap for wrap in envelope.wraps if sealed and wrap.member == recipient),
    )
    return redacted, prove(envelope, slots, recipient)
