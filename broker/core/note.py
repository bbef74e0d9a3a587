"""Checkpoints of the transparency log: C2SP signed notes with an Ed25519 signature.

Decides whether a note is a checkpoint of the log whose key is pinned, and what size and root it
then states; and when the log says that it signed it, which is a second line by the same key, a
timestamped cosignature of the log's own.  Leaves to others whether root and time continue earlier ones
(`merkle`, `adapters.receiving.times`), and the witnesses' cosignatures, whose lines are kept and passed
over, as the specification demands.

Sources: c2sp.org/signed-note v1.0.0, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature v1.0.0.  Stricter
than these where they leave a choice: base64 in its one encoding, no extension lines, origin equal to the
key's name.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from broker.core.errors import BadConfiguration, BadProof, WeakKey
from broker.core.keys import Algorithm, PublicKey, Signer, check_registrable
from broker.core.merkle import EMPTY_ROOT, HASH_BYTES

MOST_NOTE_BYTES = 256 * 1024
MOST_SIGNATURES = 64

ED25519_TYPE = b"\x01"
COSIGNATURE_TYPE = b"\x04"
TIME_BYTES = 8
SIGNATURE_BYTES = 64
MOST_SECONDS = 253_402_300_799
KEY_ID_BYTES = 4
SIGNATURE_PREFIX = "\N{EM DASH} "

SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


class TreeHead(NamedTuple):
    """What a checkpoint says: how many leaves, and the root over them."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log's public key under the log's name; both are pinned together."""

    name: str
    public: PublicKey

    def __post_init__(self) -> None:
        if not _is_key_name(self.name):
            raise BadConfiguration(
                "a log's name is not empty, has no spaces, control characters or plus", field="log_key"
            )
        if self.public.algorithm is not Algorithm.ED25519:
            raise BadConfiguration("a log's key is an Ed25519 key", field="log_key")

    @classmethod
    def parse(cls, vkey: str) -> LogKey:
        """Return the key that is written `<name>+<key id in hex>+<base64 of type and key>`.

        Raises:
            BadConfiguration: It is not written so, or its id is not that of its name and key.
        """
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        typed = _base64(encoded)
        if typed is None or typed[:1] != ED25519_TYPE or len(typed) != 33:
            raise BadConfiguration("not a verifier key of a log: <name>+<id>+<base64>", field="log_key")
        public = PublicKey(Algorithm.ED25519, typed[1:])
        try:
            check_registrable(public)
        except WeakKey:
            raise BadConfiguration("the log's key is weak", field="log_key") from None
        key = cls(name, public)
        if key_id != key.key_id.hex():
            raise BadConfiguration(
                "the log's key does not have the id that it is written with", field="log_key"
            )
        return key

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256 over name, line feed, type and key: a hint, not an identity."""
        return sha256(self.name.encode() + b"\n" + ED25519_TYPE + self.public.raw).digest()[:KEY_ID_BYTES]

    @property
    def time_id(self) -> bytes:
        """The same four bytes for what the key signs together with a time: another type, another id."""
        return sha256(self.name.encode() + b"\n" + COSIGNATURE_TYPE + self.public.raw).digest()[:KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        """The key as text, as `parse` and other implementations read it."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(ED25519_TYPE + self.public.raw).decode()}"

    def open_checkpoint(self, note: bytes) -> TreeHead:
        """Return what `note` states if this log signed it.

        Raises:
            BadProof: It is not a signed note, not a checkpoint of this log, or not signed by this key.
        """
        # 1. Bytes that no signer would write are not even looked into.
        text, signatures = _split_note(note)

        # 2. A signature by this name and key id must be there, and every such signature must hold; all
        #    others are somebody else's and are passed over.
        mine = [
            signature for name, key_id, signature in signatures if (name, key_id) == (self.name, self.key_id)
        ]
        if not mine:
            raise BadProof("the checkpoint is not signed by the log's key", field="checkpoint")
        if not all(self.public.verify(signature, text) for signature in mine):
            raise BadProof("the log's signature does not cover the checkpoint", field="checkpoint")

        # 3. Only now is the text read.
        lines = text.decode().split("\n")
        if len(lines) != 4 or lines[0] != self.name:
            raise BadProof("the checkpoint is not one of this log, or has more lines", field="checkpoint")
        root = _base64(lines[2])
        if SIZE.fullmatch(lines[1]) is None or root is None or len(root) != HASH_BYTES:
            raise BadProof("the checkpoint's size or root is not in its one form", field="checkpoint")
        size = int(lines[1])
        if size == 0 and root != EMPTY_ROOT:
            raise BadProof("the empty tree has another root", field="checkpoint")
        return TreeHead(size, root)

    def signed_at(self, note: bytes) -> int:
        """Return when this log says that it signed a checkpoint: UTC milliseconds, full seconds.

        The log's word and no more: nobody else has to have seen the checkpoint by then.

        Raises:
            BadProof: The note bears no time of this log, more than one, or one that its key did not sign.
        """
        text, signatures = _split_note(note)
        # 1. The log says one time: of two, each could be shown to whom it suits.
        mine = [signature for name, id_, signature in signatures if (name, id_) == (self.name, self.time_id)]
        if len(mine) != 1:
            raise BadProof("the checkpoint does not bear one time of the log", field="checkpoint")
        seconds, signature = int.from_bytes(mine[0][:TIME_BYTES]), mine[0][TIME_BYTES:]
        # 2. It is a time that records can have.
        if len(signature) != SIGNATURE_BYTES or not 0 < seconds <= MOST_SECONDS:
            raise BadProof("the checkpoint's time is not in its form", field="checkpoint")
        # 3. The log's key signed it together with the very text of the checkpoint.
        if not self.public.verify(signature, _timed(seconds, text)):
            raise BadProof("the log's signature does not cover the checkpoint's time", field="checkpoint")
        return seconds * 1000


class LogSigner:
    """Signs the checkpoints of one log.

    Args:
        name: The log's name, also the checkpoint's origin: `halong-demo/log`.
        signer: The log's Ed25519 key.
    """

    __slots__ = ("_signer", "key")

    def __init__(self, name: str, signer: Signer) -> None:
        self.key = LogKey(name, signer.public)
        self._signer = signer

    @property
    def vkey(self) -> str:
        """The public key as text, which members pin."""
        return self.key.vkey

    def sign_checkpoint(self, size: int, root: bytes, at: int | None = None) -> bytes:
        """Return the signed note for a tree of `size` leaves with `root`, with the time `at` if there is one.

        Signing two roots that do not continue one another is what witnesses exist to catch: the
        caller signs only what is committed, in growing sizes.
        """
        if size < 0 or len(root) != HASH_BYTES:
            raise ValueError("a checkpoint has a size and a root of 32 bytes")
        text = f"{self.key.name}\n{size}\n{b64encode(root).decode()}\n".encode()
        signature = b64encode(self.key.key_id + self._signer.sign(text)).decode()
        lines = f"\n{SIGNATURE_PREFIX}{self.key.name} {signature}\n"
        if at is not None:
            seconds = at // 1000
            timed = seconds.to_bytes(TIME_BYTES) + self._signer.sign(_timed(seconds, text))
            lines += f"{SIGNATURE_PREFIX}{self.key.name} {b64encode(self.key.time_id + timed).decode()}\n"
        return text + lines.encode()


def _timed(seconds: int, text: bytes) -> bytes:
    """Return what is signed of a checkpoint together with a time."""
    return b"cosignature/v1\ntime %d\n" % seconds + text


def _split_note(note: bytes) -> tuple[bytes, list[tuple[str, bytes, bytes]]]:
    """Return a note's text and its signature lines as (key name, key id, signature)."""
    if len(note) > MOST_NOTE_BYTES:
        raise BadProof("the checkpoint is too large", field="checkpoint")
    malformed = BadProof("the checkpoint is not a signed note", field="checkpoint")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise malformed from None
    # The last empty line parts text and signatures; both end in a line feed.
    text, blank, block = whole.rpartition("\n\n")
    if not text or not blank or not block.endswith("\n") or _has_controls(whole.replace("\n", "")):
        raise malformed
    lines = block[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise BadProof("the checkpoint has too many signatures", field="checkpoint")
    signatures = []
    for line in lines:
        name, _, encoded = line.removeprefix(SIGNATURE_PREFIX).partition(" ")
        signature = _base64(encoded)
        if not line.startswith(SIGNATURE_PREFIX) or not _is_key_name(name):
            raise malformed
        if signature is None or len(signature) <= KEY_ID_BYTES:
            raise malformed
        signatures.append((name, signature[:KEY_ID_BYTES], signature[KEY_ID_BYTES:]))
    return f"{text}\n".encode(), signatures


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not _has_controls(name) and not any(map(str.isspace, name))


def _has_controls(text: str) -> bool:
    return any(character < " " for character in text)


def _base64(text: str) -> bytes | None:
    """Return the bytes of standard base64 in its one encoding, or None."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if b64encode(data).decode() == text else None
