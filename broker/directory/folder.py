"""A directory as a folder of plain files, with an archive of every version that was ever in force.

::

    network.toml                      name, log_key
    members/<id>.toml                 an entry, with what the member acceded to
    agreements/<id>/<version>.toml    an agreement's bytes

Whoever can write the folder decides who is a member; the signed directory takes its place behind the
same `Source`.  Decides that the files fit together; what they mean is decided in `core.directory` and
`core.agreements`.  A version is the SHA-256 of its snapshot: the names of its files and their digests, as
JSON with sorted keys and no white space.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import NoReturn

from broker.core.agreements import Agreement, parse_agreement
from broker.core.directory import Directory, Member
from broker.core.errors import BadConfiguration, WeakKey
from broker.core.note import LogKey
from broker.core.strict_toml import MOST_FILE_BYTES, Table
from broker.directory.member_file import member_text, parse_member
from broker.files import sync_folder, write_whole

__all__ = [
    "FolderDirectory",
    "directory_of_files",
    "member_text",
    "parse_member",
    "remarks_on",
    "snapshot_of",
]

NETWORK = "network.toml"
SNAPSHOT = "snapshot.json"
MOST_FILES = 20_000
KEPT_VERSIONS = 8


class FolderDirectory:
    """A `Source` that reads a folder.

    Args:
        path: The folder.
        archive: Where versions are kept; made when the first is.
    """

    def __init__(self, path: Path, archive: Path) -> None:
        self._path = path
        self._archive = archive
        self._files: Mapping[str, bytes] = {}
        self._loaded: Directory | None = None
        self._past: dict[bytes, Directory] = {}
        self._lock = Lock()  # callers have threads of their own, since reading blocks

    def load(self) -> Directory:
        """Return the directory that the files make now, after its version was archived.

        Raises:
            BadConfiguration: Naming the file, what is wrong with it and what is possible.
        """
        files = self._read()
        snapshot = snapshot_of(files)
        version = sha256(snapshot).digest()
        if self._loaded is None or self._loaded.version != version:
            directory = directory_of_files(files, version)
            self._keep(files, snapshot, version)
            self._files, self._loaded = {**files, SNAPSHOT: snapshot}, directory
        return self._loaded

    def files(self) -> Mapping[str, bytes]:
        """Return the files of the version that was loaded last, by name, its snapshot among them."""
        return self._files

    def at(self, version: bytes) -> Directory | None:
        """Return the version from the archive, or None if it is not there.

        Raises:
            BadConfiguration: A file of it is missing or was changed.
        """
        with self._lock:
            if self._loaded is not None and self._loaded.version == version:
                return self._loaded
            if version not in self._past:
                kept = self._snapshot_path(version)
                if not kept.exists():
                    return None
                directory = directory_of_files(self._archived(kept, version), version)
                while len(self._past) >= KEPT_VERSIONS:
                    del self._past[next(iter(self._past))]
                self._past[version] = directory
            return self._past[version]

    def write_member(self, member: Member) -> Path:
        """Write the member's file, whole, and return its path."""
        path = self._path / "members" / f"{member.id}.toml"
        write_whole(path, member_text(member))
        return path

    def write_agreement(self, text: bytes) -> Agreement:
        """Write an agreement's file and return what it says.

        Raises:
            BadConfiguration: It is no agreement, or this version is there with other bytes.
        """
        agreement = parse_agreement(text)
        name = f"agreements/{agreement.name}.toml"
        path = self._path / name
        if path.exists() and path.read_bytes() != text:
            raise BadConfiguration(
                f"{name}: is there with other bytes; what was acceded to does not change: make it version "
                f"{agreement.version + 1}",
                field=name,
            )
        write_whole(path, text)
        return agreement

    def accede(self, member: str, agreement: Agreement) -> None:
        """List the agreement's bytes in the member's file.

        Raises:
            BadConfiguration: There is no such member, or it is not a party.
        """
        if member not in agreement.parties:
            raise BadConfiguration(
                f"{member} is not a party of {agreement.name}", field=f"members/{member}.toml"
            )
        self._change_accession(member, (agreement.id, agreement.version), agreement.digest)

    def leave(self, member: str, agreement_id: str, version: int) -> None:
        """List the agreement in the member's file no more.

        Raises:
            BadConfiguration: There is no such member.
        """
        self._change_accession(member, (agreement_id, version), None)

    def _change_accession(self, member: str, key: tuple[str, int], digest: bytes | None) -> None:
        name = f"members/{member}.toml"
        with _named(name):
            before = parse_member((self._path / name).read_bytes(), name)
        accessions = {each: value for each, value in before.accessions.items() if each != key}
        if digest is not None:
            accessions[key] = digest
        self.write_member(replace(before, accessions=accessions))

    def _read(self) -> dict[str, bytes]:
        if not (self._path / NETWORK).is_file():
            raise BadConfiguration(f"{NETWORK}: is missing; there is no directory here", field=NETWORK)
        found: dict[str, bytes] = {}
        for path in self._paths():
            name = ascii(path.relative_to(self._path).as_posix())[1:-1]
            with _named(name):
                # What editors and half-written files leave begins with a dot or ends with a tilde.
                if path.name.startswith(".") or name.endswith("~") or name == SNAPSHOT:
                    continue
                # Reading a pipe or a device could wait for ever, and no later version would be seen.
                if not path.is_file():
                    raise BadConfiguration(f"{name}: is no plain file", field=name)
                if path.stat().st_size > MOST_FILE_BYTES:
                    raise BadConfiguration(f"{name}: longer than {MOST_FILE_BYTES} bytes", field=name)
                found[name] = path.read_bytes()
            if len(found) > MOST_FILES:
                raise BadConfiguration(f"more than {MOST_FILES} files", field="directory")
        return found

    def _paths(self) -> list[Path]:
        """Return all files, sorted; what cannot be looked into is refused, not taken for empty."""

        def refuse(error: OSError) -> NoReturn:
            raise error

        found: list[Path] = []
        with _named("directory"):
            for folder, folders, names in os.walk(self._path, onerror=refuse):
                folders[:] = [each for each in folders if not each.startswith(".")]
                found += [Path(folder, name) for name in names]
        return sorted(found)

    def _archived(self, kept: Path, version: bytes) -> dict[str, bytes]:
        names = json.loads(_whole(kept, version, "archive"))
        return {
            name: _whole(self._file_path(bytes.fromhex(digest)), bytes.fromhex(digest), f"archive: {name}")
            for name, digest in names.items()
        }

    def _keep(self, files: Mapping[str, bytes], snapshot: bytes, version: bytes) -> None:
        kept = self._snapshot_path(version)
        if kept.exists():
            return
        with _named("archive"):
            for data in files.values():
                path = self._file_path(sha256(data).digest())
                if not path.exists():
                    write_whole(path, data)
            sync_folder(self._archive / "files")
            # The snapshot last: whoever finds it finds all that it names.
            write_whole(kept, snapshot)
            sync_folder(self._archive / "versions")

    def _file_path(self, digest: bytes) -> Path:
        return self._archive / "files" / digest.hex()

    def _snapshot_path(self, version: bytes) -> Path:
        return self._archive / "versions" / f"{version.hex()}.json"


def snapshot_of(files: Mapping[str, bytes]) -> bytes:
    """Return the snapshot whose SHA-256 names the version that these files are."""
    digests = {name: sha256(data).hexdigest() for name, data in files.items()}
    return json.dumps(digests, sort_keys=True, separators=(",", ":")).encode()


def directory_of_files(files: Mapping[str, bytes], version: bytes) -> Directory:
    """Return the directory that these files make.

    Raises:
        BadConfiguration: Naming the file, what is wrong with it and what is possible.
    """
    try:
        return _directory(files, version)
    except WeakKey as error:
        raise BadConfiguration(str(error), field=error.field) from None


def _directory(files: Mapping[str, bytes], version: bytes) -> Directory:
    network, log_key = _network(files.get(NETWORK, b""))
    members: dict[str, Member] = {}
    agreements: list[Agreement] = []
    for name, data in sorted(files.items()):
        match name.split("/"):
            case [only] if only == NETWORK:
                continue
            case ["members", file] if file.endswith(".toml"):
                member = parse_member(data, name)
                if file != f"{member.id}.toml":
                    raise BadConfiguration(
                        f"{name}: id: must be {file.removesuffix('.toml')!r}, as the file is named",
                        field=f"{name}: id",
                    )
                members[member.id] = member
            case ["agreements", _, file] if file.endswith(".toml"):
                agreement = parse_agreement(data, name)
                if name != f"agreements/{agreement.name}.toml":
                    raise BadConfiguration(
                        f"{name}: says that it is {agreement.name}; its place is "
                        f"agreements/{agreement.name}.toml",
                        field=f"{name}: id",
                    )
                agreements.append(agreement)
            case _:
                raise BadConfiguration(
                    f"{name}: is no file of a directory; possible are {NETWORK}, members/<id>.toml and "
                    "agreements/<id>/<version>.toml",
                    field=name,
                )
    return Directory(version, network, log_key, members, tuple(agreements))


def remarks_on(directory: Directory) -> tuple[str, ...]:
    """Return what is allowed but counts for nothing, one sentence each, for an operator to look at."""
    remarks: list[str] = []
    agreements = {(each.id, each.version): each for each in directory.agreements}
    for member in directory.members.values():
        for (id_, version), digest in sorted(member.accessions.items()):
            agreement = agreements.get((id_, version))
            if agreement is None:
                remarks.append(f"{member.id} acceded to {id_}/{version}, of which there is no file")
            elif member.id not in agreement.parties:
                remarks.append(f"{member.id} acceded to {id_}/{version}, but is not a party of it")
            elif digest != agreement.digest:
                remarks.append(
                    f"{member.id} acceded to other bytes of {id_}/{version} than those in its file"
                )
    for agreement in directory.agreements:
        missing = sorted(each for each in agreement.parties if not directory.acceded(each, agreement))
        if missing:
            remarks.append(f"{agreement.name} does not bind {', '.join(missing)}: not acceded")
    return tuple(remarks)


def _network(text: bytes) -> tuple[str, str]:
    table = Table.parse(text, NETWORK)
    name = table.text("name")
    log_key = table.text("log_key")
    table.finish()
    try:
        LogKey.parse(log_key)
    except BadConfiguration as error:
        table.fail("log_key", str(error))
    return name, log_key


def _whole(path: Path, digest: bytes, name: str) -> bytes:
    with _named(name):
        data = path.read_bytes()
    if sha256(data).digest() != digest:
        raise BadConfiguration(f"{name}: is not what it was when it was archived", field=name)
    return data


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Turn the system's errors into one that names the file, not the machine's path."""
    try:
        yield
    except OSError as error:
        raise BadConfiguration(f"{name}: {error.strerror or 'cannot be used'}", field=name) from None
