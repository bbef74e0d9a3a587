"""Attacks on private keys on tokens: what is taken away, or guessed at, ends in a code of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.core.errors import Unavailable
from broker.core.keys import Algorithm, Signer
from broker.keyring import make_signer, open_signer
from broker.keyring.secret import Secret
from tests.softhsm import PIN, Tokens

pytestmark = pytest.mark.sockets


@dataclass(frozen=True, slots=True)
class Row:
    """What is done to the token, and the code in which signing ends."""

    name: str
    code: str
    attack: Callable[[Tokens, Signer], object]


def taken_out(tokens: Tokens, signer: Signer) -> object:
    tokens.take_out()
    return signer.sign(b"data")


def swapped(tokens: Tokens, signer: Signer) -> object:
    tokens.take_out()
    tokens.hsm.make_token("halong", PIN)
    make_signer(tokens.place("sign"), Algorithm.ESP256)
    return signer.sign(b"data")


def guessed(tokens: Tokens, signer: Signer) -> object:
    tokens.hsm.make_token("other", PIN)
    place = tokens.place("sign", "other")
    tokens.pin_file.write_text("a guess")
    return open_signer(place)


def guessed_again(tokens: Tokens, signer: Signer) -> object:
    with pytest.raises(Unavailable):
        guessed(tokens, signer)
    tokens.pin_file.write_text("another guess")
    return open_signer(tokens.place("sign", "other"), ask=lambda _: Secret("nobody types this"))


ROWS = (
    Row("the token is taken out while the node runs", "key-unavailable", taken_out),
    Row("another token is put in its place", "key-unavailable", swapped),
    Row("a PIN is guessed", "key-locked", guessed),
    Row("PINs are guessed until the token would lock itself", "key-locked", guessed_again),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_who_has_the_place_and_not_the_token_or_its_pin_signs_nothing(
    row: Row, tokens: Tokens, tmp_path: Path
) -> None:
    signer = make_signer(tokens.place("sign"), Algorithm.ESP256)
    with pytest.raises(Unavailable) as refused:
        row.attack(tokens, signer)
    assert refused.value.code == row.code
    assert "guess" not in f"{refused.value} {refused.value.field}"
