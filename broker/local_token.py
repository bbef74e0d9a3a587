"""The token of what a node or hub answers on this machine: a file that only its owner can read.

Made at the first start.  Who can read the folder can read its keys, so the token gives nothing away that its
reader lacks; others on the machine, and web pages in its browsers, do not have it.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import tempfile
from hashlib import sha256
from pathlib import Path

from broker.core.errors import BadConfiguration
from broker.files import read_sent

TOKEN_FILE = "api.token"  # noqa: S105 - the file's name
CONSOLE_FILE = "console.token"
"""Of a node's local API, and of a hub's console."""
TOKEN_BYTES = 32
LEAST_LETTERS = 32
MOST_BYTES = 256
OTHERS = 0o077
NO_TOKEN = "is no token: delete it, and the next start makes another"  # noqa: S105 - a message


def make_token(folder: Path, name: str = TOKEN_FILE) -> str:
    """Return the token of a folder; the first time, make it.

    Raises:
        BadConfiguration: The file cannot be used.
    """
    path = folder / name
    if not path.exists():
        try:
            _make(path)
        except OSError as error:
            raise BadConfiguration(f"cannot be made: {error.strerror}", field=str(path)) from None
    return read_token(folder, name)


def _make(path: Path) -> None:
    """Make a token under its name as a whole, unless another process that starts has just made one."""
    descriptor, made = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(f"{secrets.token_urlsafe(TOKEN_BYTES)}\n")
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(made)
    finally:
        Path(made).unlink()


def read_token(folder: Path, name: str = TOKEN_FILE) -> str:
    """Return the token of a folder.

    Raises:
        BadConfiguration: There is none, others may read it, or it is too short to be one.
    """
    path = folder / name
    try:
        mode = path.stat().st_mode
        token = read_sent(path, MOST_BYTES).decode("ascii").strip()
    except FileNotFoundError:
        raise BadConfiguration(
            "there is no token: a hub, or a node with [api] in its settings, makes it when it starts",
            field=str(path),
        ) from None
    except OSError as error:
        raise BadConfiguration(f"cannot be read: {error.strerror}", field=str(path)) from None
    except UnicodeDecodeError:
        raise BadConfiguration(NO_TOKEN, field=str(path)) from None
    if mode & OTHERS:
        raise BadConfiguration("others can read the token: chmod 600, or delete it", field=str(path))
    if len(token) < LEAST_LETTERS or not token.isprintable() or " " in token:
        raise BadConfiguration(NO_TOKEN, field=str(path))
    return token


class Token:
    """What a caller's token is compared with; the token itself is not kept.

    Args:
        token: The token.
    """

    def __init__(self, token: str) -> None:
        self._digest = sha256(token.encode()).digest()

    def is_shown(self, authorization: str | None) -> bool:
        """Say whether a header `Authorization` shows the token, in a time that tells nothing about it."""
        scheme, _, shown = (authorization or "").partition(" ")
        given = sha256(shown.strip().encode(errors="surrogateescape")).digest()
        return hmac.compare_digest(given, self._digest) and scheme.lower() == "bearer"
