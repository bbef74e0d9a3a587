"""Private keys in a backup: sealed under a passphrase, so that a backup's reader is not the member.

The container: `halong-keys-1` and a line end, 16 bytes of salt, 12 of nonce, then ChaCha20-Poly1305 (RFC
8439) over a JSON object of file names and base64.  Its key comes from the passphrase by scrypt (RFC 7914,
N = 2^17, r = 8, p = 1), and what precedes the ciphertext is authenticated with it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from broker.core.errors import BadConfiguration

MAGIC: Final = b"halong-keys-1\n"
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
LEAST_PASSPHRASE: Final = 12
MOST_BYTES: Final = 16 << 20
COST = 1 << 17
"""Of scrypt, with blocks of 8: 128 MiB and a good part of a second for each guess (OWASP's first choice)."""


def seal(files: Mapping[str, bytes], passphrase: str) -> bytes:
    """Return the files as one sealed piece.

    Raises:
        BadConfiguration: The passphrase is too short to hold against guessing.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise BadConfiguration(f"a passphrase has at least {LEAST_PASSPHRASE} signs", field="passphrase")
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    head = MAGIC + salt + nonce
    return head + ChaCha20Poly1305(_key(passphrase, salt)).encrypt(nonce, msgspec.json.encode(files), head)


def unseal(data: bytes, passphrase: str) -> dict[str, bytes]:
    """Return the sealed files.

    Raises:
        BadConfiguration: It is not such a piece, or the passphrase is another.
    """
    head = data[: len(MAGIC) + SALT_BYTES + NONCE_BYTES]
    if not head.startswith(MAGIC):
        raise BadConfiguration(
            "the sealed keys are in a format that this version does not know", field="keys"
        )
    salt, nonce = head[len(MAGIC) : -NONCE_BYTES], head[-NONCE_BYTES:]
    try:
        opened = ChaCha20Poly1305(_key(passphrase, salt)).decrypt(nonce, data[len(head) :], head)
        return msgspec.json.decode(opened, type=dict[str, bytes])
    except (InvalidTag, ValueError, msgspec.MsgspecError):
        raise BadConfiguration(
            "the passphrase is another, or the sealed keys are damaged", field="keys"
        ) from None


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=COST, r=8, p=1).derive(passphrase.encode())
