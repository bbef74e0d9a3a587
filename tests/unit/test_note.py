"""Checkpoints: what was signed comes back, and nothing else does."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from broker.core.cosignature import COSIGNATURE_TYPE, CosignatureKey
from broker.core.errors import BadConfiguration, BadProof
from broker.core.keys import Algorithm, PrivateKey, PublicKey
from broker.core.merkle import EMPTY_ROOT
from broker.core.note import ED25519_TYPE, LogKey, LogSigner
from broker.core.signed_note import MOST_NOTE_BYTES, MOST_SIGNATURES, write_vkey

NAME = "halong-test/log"
KEY = PrivateKey.from_seed(Algorithm.ED25519, bytes(range(32)))
LOG = LogSigner(NAME, KEY)
ROOT = bytes(range(32))
NOTE = LOG.sign_checkpoint(20852163, ROOT)
TIMED = LOG.sign_checkpoint(20852163, ROOT, 1_700_000_000_999)
TEXT, SIGNATURE_LINE = NOTE.split(b"\n\n")

# The examples that golang.org/x/mod/sumdb/note and c2sp.org/signed-note print.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def resigned(text: bytes) -> bytes:
    """A note over any text, validly signed by the log."""
    signature = b64encode(LOG.key.key_id + KEY.sign(text)).decode()
    return text + f"\n— {NAME} {signature}\n".encode()


def test_what_a_log_signs_its_key_opens() -> None:
    assert LogKey.parse(LOG.vkey).open_checkpoint(NOTE) == (20852163, ROOT)


def test_a_checkpoint_is_origin_size_and_root_on_a_line_each() -> None:
    assert TEXT.decode().split("\n") == [NAME, "20852163", b64encode(ROOT).decode()]
    assert SIGNATURE_LINE.decode().startswith(f"— {NAME} ")
    assert NOTE.endswith(b"\n")


def test_the_checkpoint_of_an_empty_log_has_the_empty_root() -> None:
    assert LOG.key.open_checkpoint(LOG.sign_checkpoint(0, EMPTY_ROOT)) == (0, EMPTY_ROOT)
    with pytest.raises(BadProof):
        LOG.key.open_checkpoint(LOG.sign_checkpoint(0, ROOT))


def test_a_key_that_go_wrote_is_read_and_written_alike() -> None:
    assert LogKey.parse(GO_VKEY).vkey == GO_VKEY


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "PeterNeumann",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Another+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
        "PeterNeumann+c74f20a3+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ],
)
def test_a_verifier_key_in_any_other_form_is_refused(vkey: str) -> None:
    with pytest.raises(BadConfiguration):
        LogKey.parse(vkey)


@pytest.mark.parametrize(
    "raw", [KEY.public.raw[:-1], KEY.public.raw + b"\0", b""], ids=["shorter", "longer", "empty"]
)
def test_a_key_of_another_length_is_refused_under_its_own_id_too(raw: bytes) -> None:
    typed = ED25519_TYPE + raw
    id_ = sha256(NAME.encode() + b"\n" + typed).digest()[:4]
    with pytest.raises(BadConfiguration):
        LogKey.parse(f"{NAME}+{id_.hex()}+{b64encode(typed).decode()}")


def test_a_weak_key_is_pinned_by_nobody() -> None:
    """A point of small order, written as a log would write it: anybody could sign for it."""
    weak = PublicKey(Algorithm.ED25519, bytes([1]).ljust(32, b"\0"))
    for pin in (
        lambda: LogKey(NAME, weak),
        lambda: LogKey.parse(write_vkey(NAME, ED25519_TYPE, weak)),
        lambda: CosignatureKey.parse(write_vkey(NAME, COSIGNATURE_TYPE, weak)),
    ):
        with pytest.raises(BadConfiguration, match="weak"):
            pin()


def test_a_log_has_a_name_that_a_note_can_carry_and_an_ed25519_key() -> None:
    for name in ("", "two words", "a+b", "line\nfeed", "no\u00a0break"):
        with pytest.raises(BadConfiguration):
            LogSigner(name, KEY)
    with pytest.raises(BadConfiguration):
        LogSigner(NAME, PrivateKey.from_seed(Algorithm.ESP256, bytes(range(32))))


def test_signatures_of_strangers_are_passed_over() -> None:
    """Witnesses add lines; a verifier must ignore those it does not know."""
    witness = b64encode(b"\x01\x02\x03\x04" + bytes(72)).decode()
    same_name_other_id = f"— {NAME} {witness}\n".encode()
    same_id_other_name = f"— other/log {b64encode(LOG.key.key_id + bytes(64)).decode()}\n".encode()
    for extra in (same_name_other_id, same_id_other_name):
        assert LOG.key.open_checkpoint(NOTE + extra) == (20852163, ROOT)
        assert LOG.key.open_checkpoint(TEXT + b"\n\n" + extra + SIGNATURE_LINE).size == 20852163
    with pytest.raises(BadProof):
        LOG.key.open_checkpoint(TEXT + b"\n\n" + same_name_other_id)


def test_one_bad_signature_by_the_log_spoils_the_note() -> None:
    forged = f"— {NAME} {b64encode(LOG.key.key_id + bytes(64)).decode()}\n".encode()
    with pytest.raises(BadProof):
        LOG.key.open_checkpoint(NOTE + forged)


def test_another_log_of_the_same_name_is_refused() -> None:
    other = LogSigner(NAME, PrivateKey.from_seed(Algorithm.ED25519, bytes(32)))
    with pytest.raises(BadProof):
        LOG.key.open_checkpoint(other.sign_checkpoint(20852163, ROOT))


@given(at=st.integers(min_value=0, max_value=len(NOTE) - 1), bit=st.integers(min_value=0, max_value=7))
def test_no_bit_of_a_checkpoint_can_be_changed(at: int, bit: int) -> None:
    flipped = bytearray(NOTE)
    flipped[at] ^= 1 << bit
    with pytest.raises(BadProof):
        LOG.key.open_checkpoint(bytes(flipped))


@given(data=st.binary(max_size=200))
def test_whatever_arrives_the_answer_is_a_refusal(data: bytes) -> None:
    for note in (data, TEXT + data, TEXT + b"\n\n" + data, NOTE + data[:1] + data):
        if note != NOTE:
            with pytest.raises(BadProof):
                LOG.key.open_checkpoint(note)


ROOT64 = b64encode(ROOT).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"other/log\n7\n{ROOT64}\n",
        f"{NAME}\n07\n{ROOT64}\n",
        f"{NAME}\n+7\n{ROOT64}\n",
        f"{NAME}\n-7\n{ROOT64}\n",
        f"{NAME}\n 7\n{ROOT64}\n",
        f"{NAME}\n٧\n{ROOT64}\n",
        f"{NAME}\n{10**18}\n{ROOT64}\n",
        f"{NAME}\n7\n{ROOT64[:-1]}\n",
        f"{NAME}\n7\n{b64encode(ROOT[:-1]).decode()}\n",
        f"{NAME}\n7\n{ROOT64}\nextension\n",
        f"{NAME}\n7\n",
        f"{NAME}\n7\n\n{ROOT64}\n",
    ],
)
def test_a_text_in_any_other_form_is_refused_although_the_log_signed_it(text: str) -> None:
    assert KEY.public.verify(b64decode(resigned(text.encode()).split(b" ")[-1])[4:], text.encode())
    with pytest.raises(BadProof):
        LOG.key.open_checkpoint(resigned(text.encode()))


def test_a_root_in_another_base64_encoding_is_refused_although_the_log_signed_it() -> None:
    """The last digit of 32 bytes has two bits to spare."""
    loose = ROOT64[:-2] + chr(ord(ROOT64[-2]) + 1) + "="
    assert b64decode(loose) == ROOT
    with pytest.raises(BadProof):
        LOG.key.open_checkpoint(resigned(f"{NAME}\n7\n{loose}\n".encode()))


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n\n",
        TEXT + b"\n\n",
        TEXT + b"\n\n\n",
        NOTE[:-1],
        NOTE + b"\n",
        b"\xff" + NOTE,
        NOTE.replace(b"\n\n", b"\n"),
        NOTE.replace("—".encode(), b"-"),
        NOTE.replace(b"\n", b"\r\n"),
        NOTE + "— nobody\n".encode(),
        NOTE + "— nobody AAAA\n".encode(),
        NOTE + "— no+body AAAAAAAA\n".encode(),
        NOTE + "— nobody AAAA AAAA\n".encode(),
        NOTE + (SIGNATURE_LINE + b"x"),
    ],
)
def test_what_is_not_a_signed_note_is_refused(note: bytes) -> None:
    with pytest.raises(BadProof):
        LOG.key.open_checkpoint(note)


def test_a_note_has_bounds() -> None:
    stranger = "— witness AAAAAAAA\n".encode()
    assert LOG.key.open_checkpoint(NOTE + 16 * stranger).size == 20852163
    with pytest.raises(BadProof, match="too many"):
        LOG.key.open_checkpoint(NOTE + MOST_SIGNATURES * stranger)
    with pytest.raises(BadProof, match="too large"):
        LOG.key.open_checkpoint(NOTE + bytes(MOST_NOTE_BYTES))


def test_only_a_root_is_signed() -> None:
    with pytest.raises(ValueError, match="root"):
        LOG.sign_checkpoint(1, b"short")
    with pytest.raises(ValueError, match="size"):
        LOG.sign_checkpoint(-1, ROOT)


def test_a_checkpoint_bears_the_time_at_which_the_log_signed_it() -> None:
    """To the second; the two lines before are the very bytes of a checkpoint without it."""
    assert LOG.key.signed_at(TIMED) == 1_700_000_000_000
    assert TIMED.startswith(NOTE)
    assert LOG.key.open_checkpoint(TIMED) == LOG.key.open_checkpoint(NOTE)


def test_the_time_is_a_cosignature_as_c2sp_has_it() -> None:
    """Checked without our code: key id, time, and signature over time and text."""
    line = TIMED.decode().splitlines()[-1]
    data = b64decode(line.removeprefix(f"— {NAME} "))
    raw = KEY.public.raw
    assert data[:4] == sha256(NAME.encode() + b"\n\x04" + raw).digest()[:4]
    assert int.from_bytes(data[4:12]) == 1_700_000_000
    Ed25519PublicKey.from_public_bytes(raw).verify(
        data[12:], b"cosignature/v1\ntime 1700000000\n" + TEXT + b"\n"
    )


def timed(seconds: int, signature: bytes, name: str = NAME) -> bytes:
    line = b64encode(LOG.key.timing.key_id + seconds.to_bytes(8) + signature).decode()
    return NOTE + f"— {name} {line}\n".encode()


def over(seconds: int) -> bytes:
    return KEY.sign(b"cosignature/v1\ntime %d\n" % seconds + TEXT + b"\n")


def test_only_one_time_that_the_key_signed_with_this_text_is_believed() -> None:
    assert LOG.key.signed_at(timed(5, over(5))) == 5000
    for note in (
        NOTE,
        timed(5, over(5)) + timed(6, over(6))[len(NOTE) :],
        timed(5, over(6)),
        timed(5, over(5), "another/log"),
        timed(5, over(5)[:-1]),
        timed(5, over(5) + b"x"),
        timed(0, over(0)),
        timed(253_402_300_800, over(253_402_300_800)),
        timed(5, KEY.sign(TEXT + b"\n")),
        TIMED.replace(b"20852163", b"20852164"),
    ):
        with pytest.raises(BadProof):
            LOG.key.signed_at(note)
