"""Attacks on what witnesses stand behind: a hub that shows checkpoints which too few of them have seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from broker.core.cosignature import Cosigner
from broker.core.errors import Refused
from broker.core.keys import Algorithm, PrivateKey
from broker.core.note import LogSigner
from broker.core.policy import Policy, network_policy, witness_name
from broker.core.signed_note import Line, merged, split_note

AT = 1_790_000_000_000
LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))
NL, JP, BR = (
    Cosigner(witness_name("halong-test", name), PrivateKey.from_seed(Algorithm.ED25519, bytes([n]) * 32))
    for n, name in enumerate(("nl", "jp", "br"), start=7)
)
POLICY = Policy.parse(network_policy(LOG.key, {"nl": [NL.key], "jp": [JP.key], "br": [BR.key]}).encode())
NOTE = LOG.sign_checkpoint(70, bytes(range(32)), AT)
OTHER = LOG.sign_checkpoint(70, bytes(32), AT)


def cosigned(note: bytes, *by: Cosigner, at: int = AT) -> bytes:
    text, _ = split_note(note)
    return merged(note, [each.cosign(text, at) for each in by])


def under_its_name(name: str) -> Line:
    """A line by whoever runs the hub, under the name of a member's witness."""
    forger = Cosigner(witness_name("halong-test", name), PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
    return forger.cosign(split_note(NOTE)[0], AT)


@dataclass(frozen=True, slots=True)
class Row:
    """What a hub shows as cosigned, and the code that it is refused with."""

    name: str
    code: str
    note: Callable[[], bytes]


def forged() -> bytes:
    return merged(NOTE, [under_its_name("nl"), under_its_name("jp")])


def moved() -> bytes:
    return merged(OTHER, split_note(cosigned(NOTE, NL, JP))[1][2:])


def made_up() -> bytes:
    return merged(cosigned(NOTE, JP, BR), [Line(NL.key.name, NL.key.key_id, bytes(72))])


ROWS = (
    Row("a checkpoint that nobody cosigned", "not-cosigned", lambda: NOTE),
    Row("one that one of three cosigned", "not-cosigned", lambda: cosigned(NOTE, JP)),
    Row(
        "one that one cosigned twice", "not-cosigned", lambda: cosigned(cosigned(NOTE, JP), JP, at=AT + 5000)
    ),
    Row("a view for one member alone", "not-cosigned", lambda: cosigned(OTHER, NL)),
    Row("lines under members' names by another key", "not-cosigned", forged),
    Row("cosignatures of another tree", "bad-proof", moved),
    Row("a line of a witness that is made up", "bad-proof", made_up),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_too_few_have_seen_does_not_count(row: Row) -> None:
    with pytest.raises(Refused) as refused:
        POLICY.check(row.note())
    assert refused.value.code == row.code


def test_what_two_of_three_have_seen_counts() -> None:
    assert POLICY.check(cosigned(NOTE, NL, BR)).tree.size == 70
