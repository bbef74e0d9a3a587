"""The hub's own copy of the signed directory, the only one that grows: changes are taken, and vouched for.

Decides which change may come next: its number follows, it is signed as it must be, and what it makes together
with all the rest is a version that every reader would take, for that is what reads it before it is written.
The hub's online key signs which files are one version and that it is the newest, and nothing else.

Numbers of snapshots and timestamps go up by one, and at each start of the hub to the number of the moment, if
that is higher: readers refuse a number that is lower than one that they saw, and a hub that comes out of a
backup does not know which it had given since.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from tuf.api.metadata import Snapshot, Timestamp
from tuf.api.serialization.json import CanonicalJSONSerializer

from broker.core.errors import BadConfiguration, DirectoryUnsigned
from broker.core.keys import PublicKey, Signer
from broker.directory.building import directory_keys, snapshot_signed, timestamp_signed
from broker.directory.change import Change
from broker.directory.continuity import check_follows
from broker.directory.layout import Layout
from broker.directory.loading import load_newest
from broker.directory.member_file import parse_member
from broker.directory.roles import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP_NAME,
    file_name,
    metadata_name,
    signature_by,
)
from broker.directory.shapes import File, Signature, encoded
from broker.directory.signers import needs_of
from broker.directory.versions import Line, Memory, Newest, Version

LOCK_SECONDS = 10.0
RENEW_SNAPSHOT_MS = 60 * 86_400_000
"""How long before its end a snapshot is made anew although nothing changed."""

MOMENT_MS = 10_000
"""A moment in which one number is given; no hub changes its directory more often than that for long."""

MOST_BY_CLOCK = 1 << 30
"""A clock that is wrong brings numbers no further: half of those that there are."""


class Repository:
    """The directory at the hub.

    Args:
        path: The folder, laid out as `layout` says; made when the first version is.
    """

    def __init__(self, path: Path) -> None:
        self._layout = Layout(path)
        self._memory = Memory()

    @property
    def files(self) -> Layout:
        """All files, by name."""
        return self._layout

    def first_root(self) -> bytes | None:
        """Return the first root, or None where there is no directory yet."""
        return self._layout.get(metadata_name(ROOT, 1))

    def newest(self) -> Newest | None:
        """Return the version that is in force, or None where there is none yet.

        Raises:
            UnfitDirectory: What lies there is no version that a reader would take.
        """
        root = self.first_root()
        if root is None or TIMESTAMP_NAME not in self._layout:
            return None
        return load_newest(self._layout, root, memory=self._memory)

    def take(self, changes: Sequence[Change], online: Signer, at: int) -> Newest:
        """Put changes into force, all of them together or none, and return the version that they make.

        Args:
            changes: One for each role; those that need each other come together.
            online: The hub's key for snapshot and timestamp.
            at: Now.

        Raises:
            BadConfiguration: A change is not the next of its role.
            UnfitDirectory: What they make is no version that a reader would take.
        """
        with self._alone():
            before = self.newest()
            added = self._files_of(changes, None if before is None else before.version)
            return self._publish(before, added, online, at)

    def renew(self, online: Signer, at: int, *, afresh: bool = False) -> Newest:
        """Vouch for the version in force for another day, and return it.

        The snapshot is made anew, too, if it ends soon.

        Args:
            online: The hub's key for snapshot and timestamp.
            at: Now.
            afresh: The hub starts, and may have been set back: make snapshot and timestamp anew, under
                numbers that are higher than all that it can have given.

        Raises:
            BadConfiguration: There is no version yet, or the key is not the one that the root names.
        """
        with self._alone():
            before = self.newest()
            if before is None:
                raise BadConfiguration("there is no directory yet", field="directory")
            if afresh or at >= before.version.expires_at - RENEW_SNAPSHOT_MS:
                return self._publish(before, {}, online, at, least=_of_the_moment(at) if afresh else 1)
            line = self._line_of_snapshot(before.version)
            return self._stamp(before, {}, line, online, at)

    def _files_of(self, changes: Sequence[Change], before: Version | None) -> dict[str, bytes]:
        added: dict[str, bytes] = {}
        if len({each.role for each in changes}) != len(changes):
            raise BadConfiguration("two changes of one role", field="change")
        for change in changes:
            line = None if before is None else before.lines.get(change.role)
            wanted = 1 if line is None else line.number + 1
            if change.number != wanted:
                raise BadConfiguration(
                    f"{change.role}: the next is number {wanted}, this is {change.number}", field=change.role
                )
            needs = needs_of(change, before, changes)
            for need in needs:
                if need.missing:
                    raise DirectoryUnsigned(
                        f"{change.role}: {need.missing} more of {need.whose} must sign", field=change.role
                    )
            added |= {file_name(digest): text for digest, text in change.files.items()}
            keys = [key for need in needs for key in need.keys] + list(self._own_keys(change, added))
            added[metadata_name(change.role, change.number)] = change.metadata(list(dict.fromkeys(keys)))
        return added

    def _own_keys(self, change: Change, added: Mapping[str, bytes]) -> tuple[PublicKey, ...]:
        """Return the keys that a member's entry lists: its role may bear the signatures of all of them."""
        entry = change.entry_digest
        if entry is None:
            return ()
        text = _Over(added, self._layout).get(file_name(entry))
        return () if text is None else directory_keys(parse_member(text, change.role))

    def _publish(
        self, before: Newest | None, added: dict[str, bytes], online: Signer, at: int, *, least: int = 1
    ) -> Newest:
        lines = {} if before is None else dict(before.version.lines)
        for name, data in added.items():
            folder, _, file = name.partition("/")
            if folder == "metadata":
                order, role, _ = file.split(".")
                lines[role] = Line(int(order), sha256(data).hexdigest(), len(data))
        if TARGETS not in lines:  # which nobody could have signed without a root
            raise BadConfiguration("the first version needs a root and targets", field="change")
        # What a crash has left without a timestamp was never in force, and is written over.
        number = least if before is None else max(before.version.number + 1, least)
        data = _signed(snapshot_signed(number, lines, at), online)
        added[metadata_name(SNAPSHOT, number)] = data
        line = Line(number, sha256(data).hexdigest(), len(data))
        return self._stamp(before, added, line, online, at, least=least)

    def _stamp(
        self, before: Newest | None, added: dict[str, bytes], snapshot: Line, online: Signer, at: int,
        *, least: int = 1,
    ) -> Newest:  # fmt: skip
        number = least if before is None else max(before.number + 1, least)
        added[TIMESTAMP_NAME] = _signed(timestamp_signed(number, snapshot, at), online)
        files = _Over(added, self._layout)
        root = files[metadata_name(ROOT, 1)]
        # What every reader would look at, before anything is written.
        newest = load_newest(files, root, memory=self._memory)
        if before is not None:
            check_follows(before.version, newest.version)
        self._layout.add(added)
        return newest

    def _line_of_snapshot(self, version: Version) -> Line:
        data = self._layout[metadata_name(SNAPSHOT, version.number)]
        return Line(version.number, sha256(data).hexdigest(), len(data))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others out, the command line and the running hub alike."""
        self._layout.path.mkdir(parents=True, exist_ok=True)
        with (self._layout.path / ".lock").open("wb") as lock:
            until = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise BadConfiguration("somebody else is changing it", field="directory") from None
                    time.sleep(0.02)
            yield


class _Over(Mapping[str, bytes]):
    """Files that are not written yet, over those that are."""

    def __init__(self, added: Mapping[str, bytes], below: Mapping[str, bytes]) -> None:
        self._added = added
        self._below = below

    def __getitem__(self, name: str) -> bytes:
        return self._added[name] if name in self._added else self._below[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._below), **self._added})

    def __len__(self) -> int:
        return len(list(iter(self)))


def _signed(signed: Snapshot | Timestamp, online: Signer) -> bytes:
    payload = CanonicalJSONSerializer().serialize(signed)
    signature = Signature(keyid=online.public.id.hex(), sig=signature_by(online, payload))
    return encoded(File(signed=signed.to_dict(), signatures=[signature]))


def _of_the_moment(at: int) -> int:
    return min(at // MOMENT_MS, MOST_BY_CLOCK)
