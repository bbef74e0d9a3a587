"""The token of the local API: a file that only the node's owner can read, made at the first start.

Who can read the node's folder can read its keys, so the token gives nothing away that its reader lacks;
others on the machine, and web pages in its browsers, do not have it.
"""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from broker.core.errors import BadConfiguration
from broker.files import read_sent

TOKEN_FILE = "api.token"  # noqa: S105 - the file's name
TOKEN_BYTES = 32
LEAST_LETTERS = 32
MOST_BYTES = 256
OTHERS = 0o077
NO_TOKEN = "is no token: delete it, and the node makes another"  # noqa: S105 - a message


def make_token(folder: Path) -> str:
    """Return the token of a node's folder; the first time, make it.

    Raises:
        BadConfiguration: The file cannot be used.
    """
    path = folder / TOKEN_FILE
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(folder)
    except OSError as error:
        raise BadConfiguration(f"cannot be made: {error.strerror}", field=str(path)) from None
    with os.fdopen(file, "w", encoding="ascii") as out:
        out.write(f"{secrets.token_urlsafe(TOKEN_BYTES)}\n")
        out.flush()
        os.fsync(out.fileno())
    return read_token(folder)


def read_token(folder: Path) -> str:
    """Return the token of a node's folder.

    Raises:
        BadConfiguration: There is none, others may read it, or it is too short to be one.
    """
    path = folder / TOKEN_FILE
    try:
        mode = path.stat().st_mode
        token = read_sent(path, MOST_BYTES).decode("ascii").strip()
    except FileNotFoundError:
        raise BadConfiguration(
            "there is no token: a node with [api] in its settings makes it", field=str(path)
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
