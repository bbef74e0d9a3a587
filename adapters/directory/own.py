"""What a member knows of itself, whatever the hub says: with which keys it signs, and what it signed.

Decides nothing; `copy` compares with it.  The file lies beside the copy and is never taken from the hub.  The
commands of the ceremonies write it when the member makes its keys, rotates them, or signs a change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import msgspec

from broker.core.errors import BadConfiguration, DirectoryMalformed, NotCanonical
from broker.core.keys import Algorithm, PublicKey
from broker.core.wire import json_shape, read
from broker.directory.change import Change
from broker.files import write_whole

OWN_FILE = "own.json"
CHANGE_FILE = "own-change.json"
REFUSED_FILE = "own-change.refused.json"
MOST_BYTES = 64 * 1024


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    algorithm: str
    public: str


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a role says under a number: the SHA-256 of its signed part, in hexadecimal."""

    number: int
    sha256: str


@json_shape
class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    keys: list[_Key]
    next: list[_Key] = []
    past: list[list[_Key]] = []
    signed: Signed | None = None
    carried: Signed | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """What a member knows of itself.

    Attributes:
        keys: The keys that may sign its role: the active one and the spare one.
        next: Those that the secretariat was asked to name instead, while a rotation is under way.
        past: Those that could sign it before.
        signed: The last that its role said and that the hub took.
        carried: What the member signed last into a file, which people take to the hub.
    """

    keys: frozenset[PublicKey]
    next: frozenset[PublicKey] = frozenset()
    past: tuple[frozenset[PublicKey], ...] = field(default=())
    signed: Signed | None = None
    carried: Signed | None = None

    def rotated(self) -> Own:
        """Return the same once the next keys are named."""
        return replace(self, keys=self.next, next=frozenset(), past=(*self.past, self.keys))


def read_own(folder: Path) -> Own:
    """Return what the member of this copy knows of itself.

    Raises:
        BadConfiguration: It is not there, or not what was written.
    """
    path = folder / OWN_FILE
    try:
        with path.open("rb") as file:
            kept = read(file.read(MOST_BYTES), _Kept)
        return Own(
            _keys(kept.keys),
            _keys(kept.next),
            tuple(map(_keys, kept.past)),
            kept.signed,
            kept.carried,
        )
    except FileNotFoundError:
        raise BadConfiguration(
            "is missing: without the member's own keys for the directory nobody can tell them from another's",
            field=str(path),
        ) from None
    except (NotCanonical, ValueError, OSError):
        raise BadConfiguration("is not what was written there", field=str(path)) from None


def write_own(folder: Path, own: Own) -> None:
    """Keep what the member knows of itself."""
    kept = _Kept(
        keys=_as_kept(own.keys),
        next=_as_kept(own.next),
        past=[_as_kept(each) for each in own.past],
        signed=own.signed,
        carried=own.carried,
    )
    write_whole(folder / OWN_FILE, msgspec.json.format(msgspec.json.encode(kept)) + b"\n")


def said_by(change: Change) -> Signed:
    """Return what the role says once the change is taken."""
    return Signed(change.number, sha256(change.signed).hexdigest())


def carry(folder: Path, change: Change) -> None:
    """Remember a signed change of the member's own role that is taken to the hub as a file."""
    write_own(folder, replace(read_own(folder), carried=said_by(change)))


def intend(folder: Path, change: Change) -> None:
    """Keep a signed change of the member's own role until the hub has taken it: the node sends it, too."""
    write_whole(folder / CHANGE_FILE, change.write())


def intended(folder: Path) -> Change | None:
    """Return the change that the hub has not taken yet.

    Raises:
        DirectoryMalformed: The file is none.
    """
    try:
        return Change.read((folder / CHANGE_FILE).read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DirectoryMalformed(error.strerror or "cannot be read", field=CHANGE_FILE) from None


def settle(folder: Path, *, refused: bool = False) -> None:
    """Send the change no more; one that the hub refused is kept for a person to look at."""
    path = folder / CHANGE_FILE
    if refused:
        path.replace(folder / REFUSED_FILE)
    else:
        path.unlink(missing_ok=True)


def _keys(keys: Iterable[_Key]) -> frozenset[PublicKey]:
    return frozenset(PublicKey(Algorithm(each.algorithm), bytes.fromhex(each.public)) for each in keys)


def _as_kept(keys: Iterable[PublicKey]) -> list[_Key]:
    ordered = sorted((each.algorithm.value, each.raw.hex()) for each in keys)
    return [_Key(algorithm, public) for algorithm, public in ordered]
