"""Evidence with less of the notice: parts are left out, and all the rest holds as before.

Decides how a case without some slots looks.  The header signs each slot by its digest, and the log knows the
notice by its header, so nothing else changes; what a member was sent is in the case by its head, which names
its content by digest.  Of what was sealed each part that stays takes along that it was sealed so.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace

from broker.core.errors import BadEvidence
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import Envelope, Proof, Slot
from broker.core.records import decode, encode
from broker.core.sealing import seal_leaves
from broker.evidence.case import Case


def without(case: Case, slots: AbstractSet[Slot]) -> Case:
    """Return the case without these slots' contents.

    Raises:
        BadEvidence: None of them is shown.
    """
    envelope = decode(Envelope, case.envelope)
    there = {one.slot for one in envelope.disclosures} | {one.slot for one in envelope.sealed}
    if there.isdisjoint(slots):
        raise BadEvidence("none of these parts is shown in it", field="slots")
    sealed = tuple(one for one in envelope.sealed if one.slot not in slots)
    # Without a sealed slot there is no wrap either: it would open nothing.
    wraps = envelope.wraps if sealed else ()
    rest = replace(
        envelope,
        disclosures=tuple(one for one in envelope.disclosures if one.slot not in slots),
        sealed=sealed,
        wraps=wraps,
    )
    seals = case.seals
    if len(sealed) < len(envelope.sealed):
        proofs = _proofs(envelope) if seals is None else seals
        of_sealed = zip(envelope.sealed, proofs, strict=False)
        of_wraps = proofs[len(envelope.sealed) :] if wraps else ()
        seals = (*(proof for one, proof in of_sealed if one.slot not in slots), *of_wraps)
    return replace(case, envelope=encode(rest), seals=seals)


def _proofs(envelope: Envelope) -> tuple[Proof, ...]:
    """Return the proofs of all that is sealed in a complete envelope, in order."""
    tree = Tree(map(leaf_hash, seal_leaves(envelope)))
    return tuple(Proof(tree.size, index, tuple(tree.inclusion_path(index))) for index in range(tree.size))
