"""The signed directory as a `Source`: a folder that anybody may have written, and a root that is trusted.

Decides when a version is taken into use: once it is genuine, fits together, follows the one that was in use
and is still vouched for.  Signatures and forms are decided in `loading`, order in `continuity`.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from threading import Lock

from broker.clock import Clock
from broker.core.directory import Directory
from broker.core.errors import DirectoryExpired, DirectoryMixed
from broker.directory.continuity import check_newest_follows, check_past
from broker.directory.layout import Layout
from broker.directory.loading import load_newest, load_version
from broker.directory.roles import SNAPSHOT, TIMESTAMP_NAME, metadata_name
from broker.directory.versions import Memory, Newest, Version

KEPT_VERSIONS = 8


class SignedDirectory:
    """A `Source` over a signed directory.

    Args:
        path: The folder, laid out as `layout` says.
        root: A root that is trusted without asking, as its bytes; the first, or that of the day of joining.
        clock: Tells whether a version is still vouched for.
        reader: The member whose copy this is; None is the hub, which has every file.
    """

    def __init__(self, path: Path, root: bytes, clock: Clock, *, reader: str | None = None) -> None:
        self._layout = Layout(path)
        self._root = root
        self._clock = clock
        self._reader = reader
        self._memory = Memory()
        self._newest: Newest | None = None
        self._files: Mapping[str, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._seen: set[int] = set()
        self._past: dict[bytes, Version] = {}
        self._lock = Lock()  # callers have threads of their own, since reading blocks

    @property
    def newest(self) -> Newest | None:
        """What was loaded last, with its numbers, delegations and the time until which it counts."""
        return self._newest

    def load(self) -> Directory:
        """Return the newest version.

        Raises:
            UnfitDirectory: With the code of what is wrong; the version before stays as it was.
            BadConfiguration: The folder cannot be read.
        """
        with self._lock:
            before = self._newest
            # 1. All that it is made of is genuine and fits together.
            newest = load_newest(
                self._layout, self._root, reader=self._reader, memory=self._memory, before=before
            )
            # 2. It takes nothing back.
            if before is not None:
                check_newest_follows(before, newest)
            # 3. It is still vouched for.
            if self._clock.now() >= newest.expires_at:
                raise DirectoryExpired("the directory is no longer vouched for", field="timestamp")
            if before is None or newest.stamp != before.stamp:
                self._files = self._files_of(newest)
            self._newest = newest
            return newest.version.directory

    def at(self, version: bytes) -> Directory | None:
        """Return a past version, or None if it was never held.

        Raises:
            UnfitDirectory: It was held, and is not what it was, or was none of this directory's.
        """
        found = self.version(version)
        return None if found is None else found.directory

    def version(self, version: bytes) -> Version | None:
        """Return a version with all that is known of it, or None if it was never held.

        Raises:
            UnfitDirectory: It was held, and is not what it was, or was none of this directory's.
        """
        with self._lock:
            newest = self._vouched()
            if newest is None or newest.version.directory.version == version:
                return None if newest is None else newest.version
            if version not in self._past:
                number = self._number_of(version, newest)
                if number is None:
                    return None
                past = self._load(number)
                self._check_between(past, newest)
                while len(self._past) >= KEPT_VERSIONS:
                    del self._past[next(iter(self._past))]
                self._past[version] = past
            return self._past[version]

    def files(self) -> Mapping[str, bytes]:
        """Return the files of what was loaded last, by name: the version's, and its timestamp.

        Another timestamp for the same version is another mapping.
        """
        return self._files

    def _load(self, number: int) -> Version:
        return load_version(self._layout, number, self._root, reader=self._reader, memory=self._memory)

    def _files_of(self, newest: Newest) -> Mapping[str, bytes]:
        # The timestamp as it was verified: in the folder the next one may have taken its place.
        files: dict[str, bytes] = {TIMESTAMP_NAME: newest.stamp}
        for name, digest in newest.version.digests.items():
            data = self._files.get(name)
            # What was read before under the same name is not read again.
            if data is None or sha256(data).hexdigest() != digest:
                data = self._layout.get(name)
            if data is not None:
                if sha256(data).hexdigest() != digest:
                    raise DirectoryMixed(f"{name}: is not what it was a moment ago", field=name)
                files[name] = data
        return files

    def _vouched(self) -> Newest | None:
        """Return the newest version, no matter whether it still counts."""
        if self._newest is None and TIMESTAMP_NAME in self._layout:
            return load_newest(self._layout, self._root, reader=self._reader, memory=self._memory)
        return self._newest

    def _number_of(self, version: bytes, newest: Newest) -> int | None:
        for number in self._layout.numbers(SNAPSHOT):
            # What has a higher number than the newest was never in force.
            if number not in self._seen and number <= newest.version.number:
                data = self._layout.get(metadata_name(SNAPSHOT, number))
                if data is not None:
                    self._numbers[sha256(data).digest()] = number
                    self._seen.add(number)
        return self._numbers.get(version)

    def _check_between(self, past: Version, newest: Newest) -> None:
        numbers = [each for each in self._layout.numbers(SNAPSHOT) if each < newest.version.number]
        lower = [each for each in numbers if each < past.number]
        upper = [each for each in numbers if each > past.number]
        before = self._load(lower[-1]) if lower else None
        after = self._load(upper[0]) if upper else newest.version
        check_past(past, before, after)
