"""The file of a backup: a plain tar whose last part, `manifest.json`, names all others by SHA-256.

Decides how parts are written, named and held against the manifest.  Anybody can look into one with `tar`.
Digests find what a disk or a copy has spoiled.  They do not stop somebody who writes both part and manifest;
what is signed inside (the log, every notice) does, once it is verified.
"""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from broker.core.errors import BadConfiguration, NotCanonical
from broker.core.wire import json_shape, read
from broker.progress import Tell

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MOST_MANIFEST_BYTES: Final = 256 << 20
COPY_BYTES: Final = 1 << 20

FILES: Final = "files/"
"""Before the path that a file has in its folder."""
KEYS: Final = "keys.sealed"
STORE: Final = "store"

_NAME: Final = re.compile(r"[A-Za-z0-9_@+-][A-Za-z0-9._@+ -]*(/[A-Za-z0-9_@+-][A-Za-z0-9._@+ -]*)*")


# Whoever wrote the file wrote these: they are shown on a terminal, and reckoned with.
Count = Annotated[int, Meta(ge=0, lt=1 << 62)]
Name = Annotated[str, Meta(pattern=r"^[!-~]{0,200}\Z")]
Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]*\Z")]
Time = Annotated[int, Meta(ge=0, lt=253_402_300_800_000)]
"""Milliseconds, up to the year 9999."""


class Part(msgspec.Struct, frozen=True):
    """One part of the file, as the manifest vouches for it."""

    name: str
    size: int
    sha256: str


class PartitionCopy(msgspec.Struct, frozen=True):
    """One partition of a log: how many records were copied, and where it ended."""

    topic: str
    number: Count
    records: Count
    end: Count


class LogCopy(msgspec.Struct, frozen=True):
    """A log as it was copied.

    `size` and `root` are of its last checkpoint; `dispatched` says where its dispatcher was: topic, number,
    place.
    """

    engine: str
    partitions: list[PartitionCopy]
    dispatched: list[tuple[str, Count, Count]]
    leaves: Count
    size: Count
    root: Hex


@json_shape
class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup is of, and all of its parts."""

    format: int
    kind: Literal["hub", "member"]
    network: Name
    member: Name
    made_at: Time
    halong: str
    parts: list[Part]
    log: LogCopy | None = None

    @property
    def has_keys(self) -> bool:
        """Tell whether the private keys are in it, sealed."""
        return any(part.name == KEYS for part in self.parts)

    @property
    def size(self) -> int:
        """How many bytes its parts have."""
        return sum(part.size for part in self.parts)


class Writer:
    """Writes the parts one after the other."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115  closed by finish
        self.parts: list[Part] = []

    def add(self, name: str, data: bytes) -> None:
        """Add a part."""
        self.add_stream(name, io.BytesIO(data), len(data))

    def add_stream(self, name: str, stream: IO[bytes], size: int) -> None:
        """Add a part of `size` bytes.

        Raises:
            BadConfiguration: A file has a name that a backup does not carry.
        """
        if not _NAME.fullmatch(name):
            raise BadConfiguration("a file's name has a sign that a backup does not carry", field=name)
        hashed = _Hashed(stream)
        about = tarfile.TarInfo(name)
        about.size, about.mode = size, 0o600
        self._tar.addfile(about, hashed)
        self.parts.append(Part(name, size, hashed.digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, and the tar's end."""
        data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        about = tarfile.TarInfo(MANIFEST)
        about.size, about.mode = len(data), 0o600
        self._tar.addfile(about, io.BytesIO(data))
        self._tar.close()


class _Hashed(io.RawIOBase):
    """A stream whose bytes are hashed while they are read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data


class _Part(io.RawIOBase):
    """The bytes of one part; a file that ends within them is no backup."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except (tarfile.TarError, EOFError):
            raise _not_whole(self._path) from None


def _not_whole(path: Path) -> BadConfiguration:
    return BadConfiguration("not a backup, or not whole: make another", field=str(path))


_NO_TAR: Final = (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError, MemoryError)
"""What tarfile raises on headers whose numbers are none, are huge, or that nest without end."""


def parts(path: Path) -> Iterator[tuple[str, io.RawIOBase, int]]:
    """Yield the parts in their order: name, bytes to read now, size.

    Raises:
        BadConfiguration: It is no backup, or ends too early.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                # A sparse part says itself how long it is, and fills that with zeros.
                plain = member.isreg() and not member.issparse()
                stream = tar.extractfile(member) if plain else None
                if stream is None or not _NAME.fullmatch(member.name):
                    raise BadConfiguration("a part of it is none that a backup has", field=str(path))
                yield member.name, _Part(stream, path), member.size
    except _NO_TAR:
        raise _not_whole(path) from None


def checked(path: Path, tell: Tell | None = None) -> Manifest:
    """Read the whole file, and return its manifest once every part is what that says.

    Raises:
        BadConfiguration: It is no backup, is damaged, or was written by a later version.
    """
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    done, size = 0, path.stat().st_size
    for name, stream, length in parts(path):
        if manifest is not None or name in found:
            raise BadConfiguration("a part comes twice, or after the last", field=str(path))
        if name == MANIFEST:
            manifest = _manifest(path, stream, length)
            continue
        digest = sha256()
        while data := stream.read(COPY_BYTES):
            digest.update(data)
            done += len(data)
            if tell is not None:
                tell(done, size)
        found[name] = length, digest.hexdigest()
    if manifest is None:
        raise _not_whole(path)
    for part in manifest.parts:
        if found.pop(part.name, None) != (part.size, part.sha256):
            raise BadConfiguration(
                f"{part.name} is not what was backed up: the file is damaged", field=str(path)
            )
    if found:
        raise BadConfiguration("it has a part that its manifest does not name", field=str(path))
    return manifest


def _manifest(path: Path, stream: io.RawIOBase, length: int) -> Manifest:
    if length > MOST_MANIFEST_BYTES:
        raise BadConfiguration("the manifest is larger than any", field=str(path))
    data = stream.read()
    with contextlib.suppress(NotCanonical):
        said = read(data, _Format)
        if said.format > FORMAT:
            raise BadConfiguration(
                f"is a backup of format {said.format}, which Halong {said.halong} wrote; this version reads "
                f"format {FORMAT}",
                field=str(path),
            )
    try:
        manifest = read(data, Manifest)
    except NotCanonical:
        raise BadConfiguration("the manifest cannot be read", field=str(path)) from None
    if (manifest.kind == "hub") != (manifest.log is not None):
        raise BadConfiguration("a hub's backup has a log, and a node's has none", field=str(path))
    return manifest


@json_shape
class _Format(msgspec.Struct):
    format: int
    halong: str
