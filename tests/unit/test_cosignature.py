"""Cosignatures: what a witness signed is known by its key, and nothing else passes for it."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from broker.core.cosignature import MOST_SECONDS, CosignatureKey, Cosigner
from broker.core.errors import BadConfiguration, BadProof
from broker.core.keys import Algorithm, PrivateKey, PublicKey
from broker.core.note import LogKey, LogSigner
from broker.core.signed_note import MOST_SIGNATURES, Line, merged, split_note

KEY = PrivateKey.from_seed(Algorithm.ED25519, bytes(range(1, 33)))
WITNESS = Cosigner("halong-test/witness/nl", KEY)
LOG = LogSigner("halong-test/log", PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32))))
NOTE = LOG.sign_checkpoint(70, bytes(range(32)), 1_790_000_000_000)
TEXT, LINES = split_note(NOTE)
AT = 1_790_000_000_999
LINE = WITNESS.cosign(TEXT, AT)


def test_what_a_witness_cosigned_its_key_dates_to_the_second() -> None:
    key = CosignatureKey.parse(WITNESS.key.vkey)
    assert key.cosigned_at(TEXT, [*LINES, LINE]) == 1_790_000_000_000
    assert key.cosigned_at(TEXT, LINES) is None


def test_a_cosignature_is_as_c2sp_has_it() -> None:
    """Checked without our code: key id, time, and signature over time and text."""
    data = b64decode(LINE.text.removeprefix("— halong-test/witness/nl ").rstrip("\n"))
    raw = KEY.public.raw
    assert data[:4] == sha256(b"halong-test/witness/nl\n\x04" + raw).digest()[:4]
    assert int.from_bytes(data[4:12]) == 1_790_000_000
    Ed25519PublicKey.from_public_bytes(raw).verify(data[12:], b"cosignature/v1\ntime 1790000000\n" + TEXT)


def test_the_key_of_a_log_is_none_of_a_witness_and_the_other_way_round() -> None:
    with pytest.raises(BadConfiguration, match="of a witness"):
        CosignatureKey.parse(LOG.vkey)
    with pytest.raises(BadConfiguration, match="of a log"):
        LogKey.parse(WITNESS.key.vkey)


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("a name", KEY.public),
        ("a+name", KEY.public),
        ("", KEY.public),
        ("weak", PublicKey(Algorithm.ED25519, b"\x01" + bytes(31))),  # everybody can sign for it
        ("another-kind", PrivateKey.from_seed(Algorithm.ML_DSA_65, bytes(32)).public),
    ],
)
def test_a_witness_has_a_name_that_a_note_bears_and_a_key_that_only_it_can_use(
    name: str, public: PublicKey
) -> None:
    with pytest.raises(BadConfiguration, match="of a witness"):
        CosignatureKey(name, public)


def test_cosignatures_stand_beside_the_logs_lines_each_once() -> None:
    note = merged(merged(NOTE, [LINE]), [LINE])
    assert note == NOTE + LINE.text.encode()
    assert LOG.key.open_checkpoint(note) == LOG.key.open_checkpoint(NOTE)
    assert LOG.key.signed_at(note) == LOG.key.signed_at(NOTE)


def test_a_note_with_all_the_cosignatures_of_the_world_can_still_be_read() -> None:
    many = [Line("other", bytes([number]) * 4, bytes(72)) for number in range(2 * MOST_SIGNATURES)]
    _, lines = split_note(merged(NOTE, many))
    assert len(lines) == MOST_SIGNATURES
    assert lines[: len(LINES)] == LINES


def by_witness(signature: bytes) -> Line:
    return Line(WITNESS.key.name, WITNESS.key.key_id, signature)


def over(seconds: int) -> bytes:
    return KEY.sign(b"cosignature/v1\ntime %d\n" % seconds + TEXT)


@pytest.mark.parametrize(
    "line",
    [
        by_witness((5).to_bytes(8) + over(6)),
        by_witness((0).to_bytes(8) + over(0)),
        by_witness((MOST_SECONDS + 1).to_bytes(8) + over(MOST_SECONDS + 1)),
        by_witness((5).to_bytes(8) + over(5)[:-1]),
        by_witness((5).to_bytes(8) + over(5) + b"x"),
        by_witness((5).to_bytes(8) + KEY.sign(TEXT)),
        by_witness(KEY.sign(TEXT)),
        by_witness(b"x"),
        WITNESS.cosign(TEXT.replace(b"70", b"71"), AT),
        WITNESS.cosign(TEXT[:-1], AT),
    ],
)
def test_a_false_line_under_the_witness_name_spoils_the_note(line: Line) -> None:
    for lines in ([line], [LINE, line], [line, LINE]):
        with pytest.raises(BadProof):
            WITNESS.key.cosigned_at(TEXT, lines)


@given(at=st.integers(min_value=0, max_value=len(LINE.signature) - 1), bit=st.integers(0, 7))
def test_no_bit_of_a_cosignature_can_be_changed(at: int, bit: int) -> None:
    flipped = bytearray(LINE.signature)
    flipped[at] ^= 1 << bit
    with pytest.raises(BadProof):
        WITNESS.key.cosigned_at(TEXT, [by_witness(bytes(flipped))])


def test_lines_of_others_are_passed_over() -> None:
    namesake = Line(WITNESS.key.name, bytes(4), LINE.signature)
    stranger = Line("another/witness", WITNESS.key.key_id, LINE.signature)
    assert WITNESS.key.cosigned_at(TEXT, [namesake, stranger]) is None
