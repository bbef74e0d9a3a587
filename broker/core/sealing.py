"""Sealed slots and key wraps: that the hub passes on what the originator sealed, to whom it sealed it.

Decides whether the sealed part of an envelope is the one that the header's `seals` signs, whole or
the part that a receiver may have.  Leaves to others what is inside: nothing here is opened.

Source: docs/formats.md, "Envelope, seals"; the root and the proofs are those of RFC 9162 (`merkle`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from broker.core.errors import BadSeal
from broker.core.merkle import Tree, leaf_hash, verify_inclusion
from broker.core.model import Envelope, Header, KeyWrap, Proof, SealedSlot, Slot
from broker.core.records import encode

SEALED_LEAF = b"\x01"
WRAP_LEAF = b"\x02"

TAG_BYTES = 16
SMALLEST_PADDED_BYTES = 256
LARGEST_PADDED_BYTES = 128 * 1024
"""What a slot of 64 KiB is padded to, with its salt and the padding's first byte."""

ENCAPSULATION_BYTES = 1088 + 32
"""ML-KEM-768's ciphertext and an X25519 key."""

SLOT_KEY_BYTES = 33


def seal_leaves(envelope: Envelope) -> list[bytes]:
    """Return the leaves under `seals`: sealed slots, then wraps, each under a prefix of its own."""
    return [
        *(SEALED_LEAF + encode(sealed) for sealed in envelope.sealed),
        *(WRAP_LEAF + encode(wrap) for wrap in envelope.wraps),
    ]


def seals_root(envelope: Envelope) -> bytes | None:
    """Return what a complete envelope's header must name as `seals`: None if nothing is sealed."""
    tree = _tree(envelope)
    return tree.root() if tree.size else None


def prove(envelope: Envelope, slots: frozenset[Slot], recipient: str) -> tuple[Proof, ...]:
    """Return the proofs of what `recipient` gets of a complete envelope's sealed part, in its order."""
    if not envelope.sealed:
        return ()
    tree = _tree(envelope)
    sealed = [index for index, one in enumerate(envelope.sealed) if one.slot in slots]
    wraps = [
        index
        for index, wrap in enumerate(envelope.wraps, start=len(envelope.sealed))
        if sealed and wrap.member == recipient
    ]
    return tuple(Proof(tree.size, index, tuple(tree.inclusion_path(index))) for index in sealed + wraps)


def check_seals(
    header: Header, envelope: Envelope, proofs: Sequence[Proof], *, complete: bool, recipient: str | None
) -> None:
    """Refuse a sealed part that is not, or not a part of, the one that the header signs.

    Args:
        header: The envelope's header, whose signature is checked elsewhere.
        envelope: Its slots are in order and there once.
        proofs: One for each sealed slot, then for each wrap; none where all must be there.
        complete: All that was sealed must be there.
        recipient: The member that it was delivered to, who gets no other member's wrap; None where
            it was not delivered yet.

    Raises:
        BadSeal: In any of these ways; `field` names the place.
    """
    # 1. Nothing is sealed behind the signature's back.
    if header.seals is None:
        if envelope.sealed or envelope.wraps or proofs:
            raise BadSeal("something is sealed, but the header names no seals", field="seals")
        return

    # 2. One wrap for a member, in the members' order, so that the sealed part has one form.
    if any(one.member >= other.member for one, other in pairwise(envelope.wraps)):
        raise BadSeal("wraps are not sorted by member, or two are for one member", field="wraps")
    if recipient is not None and any(wrap.member != recipient for wrap in envelope.wraps):
        raise BadSeal("a wrap is for another member", field="wraps")

    # 3. Lengths are those that padding and encryption give, before anything is hashed: a length of
    #    any other form would tell something of what is inside.
    if not all(map(_is_padded, envelope.sealed)):
        raise BadSeal("a ciphertext has a length that no padding gives", field="sealed")
    if not all(map(_has_slot_keys, envelope.wraps)):
        raise BadSeal("a wrap has a length that no keys give", field="wraps")

    # 4. It is what the originator signed: all of it by the root, or each part by its proof.
    if complete:
        if proofs or seals_root(envelope) != header.seals:
            raise BadSeal("the sealed slots and wraps are not those that the header signs", field="seals")
        return
    _check_proofs(header.seals, seal_leaves(envelope), proofs)


def _check_proofs(root: bytes, leaves: Sequence[bytes], proofs: Sequence[Proof]) -> None:
    if len(proofs) != len(leaves):
        raise BadSeal("there is not one proof for each sealed slot and wrap", field="proofs")
    # A path alone does not fix the tree's size; that all agree, and ascend, leaves the hub no play.
    if any(one.size != other.size or one.index >= other.index for one, other in pairwise(proofs)):
        raise BadSeal("the proofs are for different trees, or not in order", field="proofs")
    for leaf, proof in zip(leaves, proofs, strict=True):
        if not verify_inclusion(leaf_hash(leaf), proof.index, proof.size, proof.path, root):
            raise BadSeal("a proof does not lead to the seals that the header signs", field="proofs")


def _is_padded(sealed: SealedSlot) -> bool:
    padded = len(sealed.ciphertext) - TAG_BYTES
    # A power of two: SMALLEST, twice that, and so on.
    return SMALLEST_PADDED_BYTES <= padded <= LARGEST_PADDED_BYTES and padded & (padded - 1) == 0


def _has_slot_keys(wrap: KeyWrap) -> bool:
    # Avro(SlotKeys) is a count of one byte, the keys with their slots, and a zero.
    keys = len(wrap.sealed_keys) - ENCAPSULATION_BYTES - TAG_BYTES - 2
    return keys % SLOT_KEY_BYTES == 0 and 1 <= keys // SLOT_KEY_BYTES <= len(Slot)


def _tree(envelope: Envelope) -> Tree:
    return Tree(leaf_hash(leaf) for leaf in seal_leaves(envelope))
