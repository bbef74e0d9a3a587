"""Signed notes: a text, an empty line, and a line for each signature; and the names and keys in them.

Decides what a well-formed note, key name and verifier key is.  Leaves to others who signs, what a text means,
and what of it a signature covers (`note`, `cosignature`).

Source: c2sp.org/signed-note v1.0.0.  Stricter where that leaves a choice: base64 in its one encoding.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import NamedTuple

from broker.core.errors import BadConfiguration, BadProof, WeakKey
from broker.core.keys import Algorithm, PublicKey, check_registrable

MOST_NOTE_BYTES = 256 * 1024
MOST_SIGNATURES = 100
"""As many as Go's package reads."""

KEY_ID_BYTES = 4
ED25519_BYTES = 32
SIGNATURE_PREFIX = "\N{EM DASH} "


class Line(NamedTuple):
    """A signature line: by whom, and what."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def text(self) -> str:
        """The line as it stands in a note, with its line feed."""
        return f"{SIGNATURE_PREFIX}{self.name} {b64encode(self.key_id + self.signature).decode()}\n"


def split_note(note: bytes) -> tuple[bytes, list[Line]]:
    """Return a note's text, with its last line feed, and its signature lines.

    Raises:
        BadProof: It is no signed note, or larger than any that is looked at.
    """
    if len(note) > MOST_NOTE_BYTES:
        raise BadProof("the note is too large", field="checkpoint")
    malformed = BadProof("not a signed note", field="checkpoint")
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
        raise BadProof("the note has too many signatures", field="checkpoint")
    found = []
    for line in lines:
        name, _, encoded = line.removeprefix(SIGNATURE_PREFIX).partition(" ")
        signature = base64_of(encoded)
        if not line.startswith(SIGNATURE_PREFIX) or not is_key_name(name):
            raise malformed
        if signature is None or len(signature) <= KEY_ID_BYTES:
            raise malformed
        found.append(Line(name, signature[:KEY_ID_BYTES], signature[KEY_ID_BYTES:]))
    return f"{text}\n".encode(), found


def merged(note: bytes, lines: list[Line]) -> bytes:
    """Return a note with further signature lines, each once, as many as a note may have.

    Raises:
        BadProof: It is no signed note.
    """
    text, there = split_note(note)
    every = list(dict.fromkeys([*there, *lines]))[:MOST_SIGNATURES]
    return text + b"\n" + "".join(line.text for line in every).encode()


def key_id(name: str, kind: bytes, public: PublicKey) -> bytes:
    """Return the first four bytes of SHA-256 over name, line feed, type and key: a hint, not an identity."""
    return sha256(name.encode() + b"\n" + kind + public.raw).digest()[:KEY_ID_BYTES]


def write_vkey(name: str, kind: bytes, public: PublicKey) -> str:
    """Return a verifier key as text: `<name>+<key id in hex>+<base64 of type and key>`."""
    return f"{name}+{key_id(name, kind, public).hex()}+{b64encode(kind + public.raw).decode()}"


def read_vkey(vkey: str, kind: bytes, what: str, field: str) -> tuple[str, PublicKey]:
    """Return name and Ed25519 key of a verifier key of one type, for `check_key` to judge.

    `what` and `field` are for messages.

    Raises:
        BadConfiguration: It is not written so, or its id is not that of its name and key.
    """
    name, _, rest = vkey.partition("+")
    written_id, _, encoded = rest.partition("+")
    typed = base64_of(encoded)
    if typed is None or typed[:1] != kind or len(typed) != 1 + ED25519_BYTES:
        raise BadConfiguration(f"not a verifier key of {what}: <name>+<id>+<base64>", field=field)
    public = PublicKey(Algorithm.ED25519, typed[1:])
    if written_id != key_id(name, kind, public).hex():
        raise BadConfiguration(f"the key of {what} does not have the id that is written with it", field=field)
    return name, public


def check_key(name: str, public: PublicKey, what: str, field: str) -> None:
    """Let a name and a key pass that a note can bear.

    Raises:
        BadConfiguration: The name has spaces, controls or a plus, or the key is none of Ed25519 or weak.
    """
    if not is_key_name(name):
        raise BadConfiguration(
            f"the name of {what} is not empty, has no spaces, control characters or plus", field=field
        )
    if public.algorithm is not Algorithm.ED25519:
        raise BadConfiguration(f"the key of {what} is an Ed25519 key", field=field)
    try:
        check_registrable(public)
    except WeakKey:
        raise BadConfiguration(f"the key of {what} is weak", field=field) from None


def is_key_name(name: str) -> bool:
    """Can a note name a key so?"""
    return bool(name) and "+" not in name and not _has_controls(name) and not any(map(str.isspace, name))


def base64_of(text: str) -> bytes | None:
    """Return the bytes of standard base64 in its one encoding, or None."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if b64encode(data).decode() == text else None


def _has_controls(text: str) -> bool:
    return any(character < " " for character in text)
