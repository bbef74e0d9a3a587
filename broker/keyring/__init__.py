"""Private keys by the places that name them: a file, or a key on a token that never leaves it.

Decides how a place becomes something that signs.  What is signed, and whether a signature holds, is
`core.keys`; transport keys are files, since TLS needs them in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, Signer
from broker.keyring.file import make_key_file, open_key_file
from broker.keyring.place import KeyPlace, NoSuchKey
from broker.keyring.secret import Ask, nobody

__all__ = ["Elsewhere", "KeyPlace", "NoSuchKey", "make_signer", "open_signer"]

NO_EXTRA = "keys on tokens need an extra: pip install 'halong[token]'"


def open_signer(place: KeyPlace, root: Path = Path(), ask: Ask = nobody) -> Signer:
    """Return what signs with the key at this place; may block, and asks for a passphrase or PIN if it must.

    Args:
        place: A file as seen from `root`, or a key on a token.
        root: The folder of the settings that name the key.
        ask: Says the passphrase or the PIN.

    Raises:
        BadConfiguration: There is no such key, it cannot be used, or the passphrase is another.
        KeyUnavailable: The token is not there, or does not answer.
        KeyLocked: The token refuses the PIN, or it was not tried.
    """
    wanted = place.token
    if wanted is None:
        return open_key_file(root / place.file, place.shown, ask)
    try:
        from broker.keyring.token import open_token_key
    except ModuleNotFoundError:
        raise BadConfiguration(NO_EXTRA, field=place.shown) from None
    return open_token_key(wanted, ask)


def make_signer(
    place: KeyPlace,
    algorithm: Algorithm,
    root: Path = Path(),
    ask: Ask = nobody,
    *,
    encrypted: bool = False,
) -> Signer:
    """Make a key at a place where there is none, and return what signs with it.

    Args:
        place: Where it will be.
        algorithm: Of which kind.
        root: The folder from which a file is seen.
        ask: Says the PIN of the token, or the passphrase of the file.
        encrypted: Whether a file is encrypted under a passphrase.

    Raises:
        BadConfiguration: There is a key already, or none can be made there.
        KeyUnavailable: The token is not there, or does not answer.
        KeyLocked: The token refuses the PIN, or it was not tried.
    """
    wanted = place.token
    if wanted is None:
        return make_key_file(root / place.file, place.shown, algorithm, ask if encrypted else None)
    try:
        from broker.keyring.token import make_token_key
    except ModuleNotFoundError:
        raise BadConfiguration(NO_EXTRA, field=place.shown) from None
    return make_token_key(wanted, algorithm, ask)


@runtime_checkable
class Elsewhere(Protocol):
    """A signer whose key is not in memory: signing may block, and may fail."""

    def ready(self) -> None:
        """See that the key can sign now.

        Raises:
            KeyUnavailable: The token is not there, or does not answer.
            KeyLocked: The token refuses the PIN, or it was not tried.
        """
        ...
