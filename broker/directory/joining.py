"""Files that people carry to each other when a member joins or keys change: read strictly, and compared.

Decides how much of a file is read, and how two people tell by telephone that they hold the same one.  What is
in each is decided in `admission`, `change` and `handing`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TypeVar

from broker.core.errors import BadConfiguration, NotCanonical
from broker.core.wire import read

T = TypeVar("T")

MOST_BYTES = 64 * 1024 * 1024


def fingerprint(data: bytes) -> str:
    """Return what two people read to each other to know that they hold the same file."""
    return grouped(sha256(data).digest())


def grouped(digest: bytes) -> str:
    """Return half of a digest as people read it out: eight groups of four."""
    text = digest.hex()
    return " ".join(text[start : start + 4] for start in range(0, 32, 4))


def decoded(data: bytes, kind: type[T], what: str) -> T:
    """Return what a file that somebody sent says.

    Raises:
        BadConfiguration: It is not `what`, or longer than any.
    """
    if len(data) > MOST_BYTES:
        raise BadConfiguration(f"larger than {what} ever is", field="file")
    try:
        return read(data, kind)
    except NotCanonical as error:
        raise BadConfiguration(f"not {what}: {error}", field=error.field or "file") from None
