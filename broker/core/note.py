"""Checkpoints of the transparency log: C2SP signed notes with an Ed25519 signature.

Decides whether a note is a checkpoint of the log whose key is pinned, and what size and root it
then states; and when the log says that it signed it, which is a second line by the same key, a
timestamped cosignature of the log's own.  Leaves to others whether root and time continue earlier ones
(`merkle`, `adapters.receiving.times`), and the witnesses' cosignatures (`cosignature`), whose lines are kept
and passed over, as the specification demands.

Sources: c2sp.org/signed-note v1.0.0, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature v1.0.0.  Stricter
than these where they leave a choice: base64 in its one encoding, no extension lines, origin equal to the
key's name.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import NamedTuple

from broker.core.cosignature import CosignatureKey, Cosigner
from broker.core.errors import BadProof
from broker.core.keys import PublicKey, Signer
from broker.core.merkle import EMPTY_ROOT, HASH_BYTES
from broker.core.signed_note import Line, base64_of, check_key, key_id, read_vkey, split_note, write_vkey

ED25519_TYPE = b"\x01"

SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


class TreeHead(NamedTuple):
    """What a checkpoint says: how many leaves, and the root over them."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log's public key under the log's name; both are pinned together.

    Raises:
        BadConfiguration: A note cannot name it so, or it is no Ed25519 key that may be relied upon.
    """

    name: str
    public: PublicKey

    def __post_init__(self) -> None:
        check_key(self.name, self.public, "the log", "log_key")

    @classmethod
    def parse(cls, vkey: str) -> LogKey:
        """Return the key that is written `<name>+<key id in hex>+<base64 of type and key>`.

        Raises:
            BadConfiguration: It is not written so, or its id is not that of its name and key.
        """
        return cls(*read_vkey(vkey, ED25519_TYPE, "a log", "log_key"))

    @property
    def key_id(self) -> bytes:
        """Four bytes by which a signature line names the key."""
        return key_id(self.name, ED25519_TYPE, self.public)

    @property
    def timing(self) -> CosignatureKey:
        """The same key as one that signs together with a time: another type, another id."""
        return CosignatureKey(self.name, self.public)

    @property
    def vkey(self) -> str:
        """The key as text, as `parse` and other implementations read it."""
        return write_vkey(self.name, ED25519_TYPE, self.public)

    def open_checkpoint(self, note: bytes) -> TreeHead:
        """Return what `note` states if this log signed it.

        Raises:
            BadProof: It is not a signed note, not a checkpoint of this log, or not signed by this key.
        """
        # 1. Bytes that no signer would write are not even looked into.
        text, lines = split_note(note)

        # 2. The log has signed them.
        self.check_signed(text, lines)

        # 3. Only now is the text read.
        origin, head = read_checkpoint(text)
        if origin != self.name:
            raise BadProof("the checkpoint is not one of this log", field="checkpoint")
        if head.size == 0 and head.root != EMPTY_ROOT:
            raise BadProof("the empty tree has another root", field="checkpoint")
        return head

    def check_signed(self, text: bytes, lines: list[Line]) -> None:
        """Let a note pass that this log signed.

        Raises:
            BadProof: It is not signed by this key.
        """
        # A signature by this name and key id must be there, and every such signature must hold; all
        # others are somebody else's and are passed over.
        mine = [line for line in lines if (line.name, line.key_id) == (self.name, self.key_id)]
        if not mine:
            raise BadProof("the checkpoint is not signed by the log's key", field="checkpoint")
        if not all(self.public.verify(line.signature, text) for line in mine):
            raise BadProof("the log's signature does not cover the checkpoint", field="checkpoint")

    def signed_at(self, note: bytes) -> int:
        """Return when this log says that it signed a checkpoint: UTC milliseconds, full seconds.

        The log's word and no more: nobody else has to have seen the checkpoint by then.

        Raises:
            BadProof: The note bears no time of this log, more than one, or one that its key did not sign.
        """
        text, lines = split_note(note)
        mine = self.timing.lines_of(lines)
        # The log says one time: of two, each could be shown to whom it suits.
        if len(mine) != 1:
            raise BadProof("the checkpoint does not bear one time of the log", field="checkpoint")
        return self.timing.signed_at(mine[0], text)


def read_checkpoint(text: bytes) -> tuple[str, TreeHead]:
    """Return origin, size and root of a checkpoint's text; whose it is was judged by whoever calls.

    Raises:
        BadProof: It is not a checkpoint's text, or has more lines.
    """
    lines = text.decode().split("\n")
    if len(lines) != 4:
        raise BadProof("not a checkpoint, or one with more lines", field="checkpoint")
    root = base64_of(lines[2])
    if SIZE.fullmatch(lines[1]) is None or root is None or len(root) != HASH_BYTES:
        raise BadProof("the checkpoint's size or root is not in its one form", field="checkpoint")
    return lines[0], TreeHead(int(lines[1]), root)


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
        lines = [Line(self.key.name, self.key.key_id, self._signer.sign(text))]
        if at is not None:
            lines.append(Cosigner(self.key.name, self._signer).cosign(text, at))
        return text + b"\n" + "".join(line.text for line in lines).encode()

    def line(self, id_: bytes, data: bytes) -> Line:
        """Return a further line for a note: the key's signature over `data`, under a key id of its kind.

        `data` begins as neither a checkpoint nor what is signed with a time can.
        """
        return Line(self.key.name, id_, self._signer.sign(data))
