"""Lines of `doctor` that hubs and nodes share: keys, certificates, disk, clock, versions."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from broker.core.errors import HalongError
from broker.core.limits import CLOCK_SKEW_MS
from broker.directory.certificates import issued_by, key_digest, read_certificate
from broker.directory.signed import SignedDirectory
from broker.keyring import KeyPlace, open_signer
from broker.keyring.secret import Ask, nobody

DAY = 86_400_000
HOUR = 3_600_000
CLOCK_DOUBT_MS = 30_000
LIBRARIES = ("cryptography", "aiohttp", "aiokafka")
SET_THE_CLOCK = "timedatectl set-ntp true"
RENEW_DAYS = 30
LOW_BYTES = 1 << 30
EMPTY_BYTES = 64 << 20


class Mark(IntEnum):
    """How a line of the checklist turned out."""

    GOOD = 0
    WARNING = 1
    BAD = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, what was found, and what mends it."""

    name: str
    mark: Mark
    found: str
    mend: str = ""


def good(name: str, found: str) -> Check:
    """Return a line that needs nothing."""
    return Check(name, Mark.GOOD, found)


def warning(name: str, found: str, mend: str) -> Check:
    """Return a line that somebody should look at."""
    return Check(name, Mark.WARNING, found, mend)


def bad(name: str, found: str, mend: str) -> Check:
    """Return a line that is broken."""
    return Check(name, Mark.BAD, found, mend)


def check_versions() -> Check:
    """Say what runs here, and refuse what cannot."""
    python = ".".join(map(str, sys.version_info[:3]))
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES if _is_there(name))
    found = f"halong {version('halong')}, Python {python}, {libraries}"
    if sys.flags.optimize:
        mend = "unset PYTHONOPTIMIZE, and do not give -O: libraries state their errors as assertions"
        return bad("versions", f"{found}, without assertions", mend)
    return good("versions", found)


def _is_there(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def check_clock(ours: int, theirs: int | None, whose: str) -> Check | None:
    """Compare the clock of this machine with another's; None where that tells nothing."""
    if theirs is None:
        return None
    seconds = (ours - theirs) / 1000
    found = f"{abs(seconds):,.0f} s {'ahead of' if seconds > 0 else 'behind'} {whose}"
    if abs(ours - theirs) >= CLOCK_SKEW_MS:
        return bad("clock", f"{found}: what is signed now is refused", SET_THE_CLOCK)
    if abs(ours - theirs) >= CLOCK_DOUBT_MS:
        return warning("clock", found, SET_THE_CLOCK)
    return good("clock", f"with that of {whose}")


def check_private(name: str, path: Path) -> Check:
    """Look whether a file that holds notices or secrets is its owner's alone."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return bad(name, f"others may read {path.name}: mode {mode:04o}", f"chmod 600 {path}")
    return good(name, f"{path.name}, mode {mode:04o}, {path.stat().st_size / (1 << 20):,.1f} MiB")


def check_keys(root: Path, keys: Iterable[KeyPlace], ask: Ask = nobody) -> list[Check]:
    """Look whether each key can be used, and a file be read by its owner alone."""
    return [_on_token(key, ask) if key.token is not None else _in_file(root, key, ask) for key in keys]


def _on_token(key: KeyPlace, ask: Ask) -> Check:
    wanted = key.token
    assert wanted is not None
    name = f"key {wanted.attributes.get('object', wanted.id.hex())}"
    try:
        public = open_signer(key, ask=ask).public
    except HalongError as error:
        return bad(
            name, f"{key.shown}: {error} [{error.code}]", "see that the token is there and its PIN is right"
        )
    return good(name, f"{key.shown}, {public.algorithm.value}")


def _in_file(root: Path, key: KeyPlace, ask: Ask) -> Check:
    path, mend = root / key.file, "bring the key back from its backup"
    name = f"key {path.stem}"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        open_signer(key, root, ask)
    except OSError as error:
        return bad(name, f"{key.shown}: {error.strerror}", mend)
    except HalongError as error:
        return bad(name, f"{key.shown}: {error}", mend)
    if mode & 0o077:
        return bad(name, f"others may read it: mode {mode:04o}", f"chmod 600 {path}")
    return good(name, f"{key.shown}, mode {mode:04o}")


def check_certificate(name: str, path: Path, key: Path, authority: Path, now: int, renew: str) -> Check:
    """Look whether a certificate is there, fits its key and its authority, and for how long."""
    try:
        pem = path.read_bytes()
        certificate = read_certificate(pem)
        if certificate.key != key_digest(key.read_bytes()):
            return bad(name, "it is not for the key beside it", renew)
        if not issued_by(pem, authority.read_bytes()):
            return bad(name, "it is not of the authority beside it", renew)
    except OSError as error:
        return bad(name, f"{path.name}: {error.strerror}", renew)
    except (HalongError, ValueError) as error:
        return bad(name, f"{path.name}: {error}", renew)
    if now < certificate.valid_from:
        return bad(name, "it is not valid yet: is the clock right?", SET_THE_CLOCK)
    days = (certificate.valid_until - now) // DAY
    if days < 0:
        return bad(name, "it has expired", renew)
    if days < RENEW_DAYS:
        return warning(name, f"it expires in {days} days", renew)
    return good(name, f"{certificate.subject}, {days} days left")


def check_disk(folder: Path) -> Check:
    """Look how much room there is."""
    free = shutil.disk_usage(folder).free
    found = f"{free / (1 << 30):,.1f} GiB free"
    if free < EMPTY_BYTES:
        return bad("disk", found, f"make room on the disk of {folder}")
    if free < LOW_BYTES:
        return warning("disk", found, f"make room on the disk of {folder}")
    return good("disk", found)


def counts_for(source: SignedDirectory, now: int) -> str:
    """Say for how long a directory that was loaded counts."""
    newest = source.newest
    return "" if newest is None else f"; it counts for {(newest.expires_at - now) // HOUR} hours more"
