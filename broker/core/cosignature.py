"""Cosignatures: by its key and with a time, a witness says which tree of a log is the largest it has seen.

Decides what is signed, and whether a line of a note is such a word of one witness over the note's very text.
A log says by the same means when it signed (`note`).  Leaves to others whether a tree may be cosigned at all
(`adapters.witness`), and how many cosignatures are enough (`policy`).

Source: c2sp.org/tlog-cosignature v1.0.0, `cosignature/v1` (Ed25519).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from broker.core.errors import BadProof
from broker.core.keys import PublicKey, Signer
from broker.core.signed_note import Line, check_key, key_id, read_vkey, write_vkey

COSIGNATURE_TYPE = b"\x04"
TIME_BYTES = 8
MOST_SECONDS = 253_402_300_799


@dataclass(frozen=True, slots=True)
class CosignatureKey:
    """A witness's public key under the witness's name.

    Raises:
        BadConfiguration: A note cannot name it so, or it is no Ed25519 key that may be relied upon.
    """

    name: str
    public: PublicKey

    def __post_init__(self) -> None:
        check_key(self.name, self.public, "a witness", "witness")

    @classmethod
    def parse(cls, vkey: str) -> CosignatureKey:
        """Return the key that is written `<name>+<key id in hex>+<base64 of type and key>`.

        Raises:
            BadConfiguration: It is not written so, or its id is not that of its name and key.
        """
        return cls(*read_vkey(vkey, COSIGNATURE_TYPE, "a witness", "witness"))

    @property
    def key_id(self) -> bytes:
        """Four bytes by which a line names the key; another type of signature by it has another id."""
        return key_id(self.name, COSIGNATURE_TYPE, self.public)

    @property
    def vkey(self) -> str:
        """The key as text, as `parse` and other implementations read it."""
        return write_vkey(self.name, COSIGNATURE_TYPE, self.public)

    def lines_of(self, lines: Iterable[Line]) -> list[Line]:
        """Return the lines that name this key."""
        mine = (self.name, self.key_id)
        return [line for line in lines if (line.name, line.key_id) == mine]

    def signed_at(self, line: Line, text: bytes) -> int:
        """Return the time that a line of this key bears, if the key signed it with the text of the note.

        Returns:
            UTC milliseconds, full seconds.

        Raises:
            BadProof: It is not in its form, or does not cover time and text.
        """
        seconds, signature = int.from_bytes(line.signature[:TIME_BYTES]), line.signature[TIME_BYTES:]
        # 1. It is a time that records can have.
        if not 0 < seconds <= MOST_SECONDS:
            raise BadProof("the checkpoint's time is not in its form", field="checkpoint")
        # 2. The key signed it together with the very text of the checkpoint.
        if not self.public.verify(signature, _timed(seconds, text)):
            raise BadProof("the signature does not cover the checkpoint and its time", field="checkpoint")
        return seconds * 1000

    def cosigned_at(self, text: bytes, lines: Iterable[Line]) -> int | None:
        """Return when this witness last cosigned the text, None if it did not.

        Raises:
            BadProof: A line names this key and is not by it: then nothing in the note is believed.
        """
        return max((self.signed_at(line, text) for line in self.lines_of(lines)), default=None)


class Cosigner:
    """Cosigns; what may be cosigned was judged by whoever calls.

    Args:
        name: The witness's name.
        signer: Its Ed25519 key.
    """

    __slots__ = ("_signer", "key")

    def __init__(self, name: str, signer: Signer) -> None:
        self.key = CosignatureKey(name, signer.public)
        self._signer = signer

    def cosign(self, text: bytes, at: int) -> Line:
        """Return the line by which the witness says, at `at`, that this is the largest tree it has seen."""
        seconds = at // 1000
        signature = self._signer.sign(_timed(seconds, text))
        return Line(self.key.name, self.key.key_id, seconds.to_bytes(TIME_BYTES) + signature)


def _timed(seconds: int, text: bytes) -> bytes:
    """Return what is signed of a checkpoint together with a time."""
    return b"cosignature/v1\ntime %d\n" % seconds + text
