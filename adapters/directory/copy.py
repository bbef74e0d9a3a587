"""The node's copy of the signed directory: what gets into it, and nothing else does.

Decides whether what a hub handed out becomes the directory that this node trusts: `take` for the newest
version, `take_past` for one that a decision names.  Signatures and forms are decided in
`broker.directory.loading`, order in `broker.directory.continuity`; here they are put together with what only
this member knows.

::

    metadata/, files/     the same as at the hub: `broker.directory.layout`
    client/               the memory of TUF's own client
    own.json              what the member knows of itself: `own`
    seen.json             when this node first saw each version: `seen`

Calls block, and each holds the folder's lock, against the node and against commands.
"""

from __future__ import annotations

import fcntl
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import cast

from adapters.directory.client import check_with_client
from adapters.directory.own import Own, Signed, intended, read_own, said_by, settle, write_own
from adapters.directory.seen import Seen
from broker.clock import Clock
from broker.core.errors import (
    DirectoryEquivocation,
    DirectoryExpired,
    DirectoryMalformed,
    DirectoryMixed,
    DirectoryPin,
)
from broker.directory.change import Change
from broker.directory.continuity import check_newest_follows, check_own, check_past
from broker.directory.layout import Layout, is_name
from broker.directory.loading import load_newest, load_version
from broker.directory.roles import (
    MOST_BYTES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    TIMESTAMP_NAME,
    metadata_name,
    role_of_member,
)
from broker.directory.shapes import encoded, file_of
from broker.directory.sources import trusted_root
from broker.directory.versions import Line, Memory, Newest, Version

CLIENT = "client"
LOCK = ".lock"
MOST_FILES = 20_000


@dataclass(frozen=True, slots=True)
class Took:
    """What came of an answer: the newest version, and whether somebody else signed for the member."""

    newest: Newest
    signed_elsewhere: bool


class Copy:
    """One node's copy.

    Args:
        path: The folder; the lowest root in it is the one that is trusted without asking.
        member: Whose node it is.
        clock: Tells what is still vouched for, and when a version was seen.
        grace: For how long what is no longer vouched for counts all the same, in milliseconds: what comes by
            stick is days old.
    """

    def __init__(self, path: Path, member: str, clock: Clock, *, grace: int = 0) -> None:
        self.path = path
        self._member = member
        self._role = role_of_member(member)
        self._clock = clock
        self._grace = grace
        self._layout = Layout(path)
        self._memory = Memory()
        self._stamp: bytes | None = None
        self._held: Newest | None = None
        self.seen = Seen(path)

    def root(self) -> bytes:
        """Return the root that is trusted without asking.

        Raises:
            BadConfiguration: There is none.
        """
        return trusted_root(self.path)

    def timestamp(self) -> bytes | None:
        """Return the timestamp of the newest version that was taken."""
        return self._layout.get(TIMESTAMP_NAME)

    def held(self) -> Newest | None:
        """Return the newest version that was taken, also one that counts no more; None before the first.

        Raises:
            UnfitDirectory: The copy is damaged.
        """
        stamp = self.timestamp()
        if stamp is not None and stamp != self._stamp:
            self._held = load_newest(self._layout, self.root(), reader=self._member, memory=self._memory)
            self._stamp = stamp
            self.seen.read()
        return self._held

    def ends_at(self, newest: Newest) -> int:
        """Return until when a version counts here."""
        return newest.expires_at + self._grace

    def take(self, files: Mapping[str, bytes]) -> Took:
        """Take over what a hub handed out as its newest version.

        Args:
            files: By name: the timestamp, the roots, and what this copy has not.

        Raises:
            UnfitDirectory: With the code of what is wrong; nothing of it was taken.
            BadConfiguration: The folder cannot be used.
        """
        with self._alone():
            root, before, own = self.root(), self.held(), read_own(self.path)
            everything = self._over(files)
            # 1. All of it is genuine and fits together, under the root that was trusted first.
            newest = load_newest(everything, root, reader=self._member, memory=self._memory)
            # 2. It is true to us: our keys alone sign for us, and what we signed last is in it.
            own = self._check_own(newest.version, own, everything)
            # 3. It takes back nothing of what was taken before.
            stamp = everything[TIMESTAMP_NAME]
            if before is not None:
                check_newest_follows(before, newest)
                self._check_one_timestamp(before, newest, stamp)
            # 4. What is here under the same name is the same.
            kept = self._kept(files, newest.version)
            self._check_unchanged(kept)
            # 5. It is still vouched for, and TUF's own client follows, by its own memory.  A version that it
            #    knows it need not read again.
            known = before is not None and before.version.directory is newest.version.directory
            members = () if known else newest.version.delegations.keys()
            check_with_client(self.path / CLIENT, everything, root, members, self._clock.now() - self._grace)
            elsewhere = self._remember_own(newest.version, own, everything)
            self._layout.add({**kept, TIMESTAMP_NAME: stamp})
            self._stamp, self._held = stamp, newest
            self.seen.add(newest.version.directory.version, newest.version.number, self._clock.now())
            return Took(newest, elsewhere)

    def take_past(self, version: bytes, files: Mapping[str, bytes]) -> None:
        """Take over a past version that something names.

        Raises:
            UnfitDirectory: With the code of what is wrong; nothing of it was taken.
            BadConfiguration: The folder cannot be used.
        """
        with self._alone():
            newest, own = self.held(), read_own(self.path)
            if newest is None:
                raise DirectoryMixed("a past version before the newest one", field=SNAPSHOT)
            everything = self._over(files)
            # 1. It is the one that is named, genuine, and fits together.
            number = self._number_of(version, files)
            past = load_version(everything, number, self.root(), reader=self._member, memory=self._memory)
            # 2. It is past: no timestamp has vouched for one that is newer than the newest.
            if past.number >= newest.version.number:
                raise DirectoryEquivocation("a version that no timestamp names", field=SNAPSHOT)
            # 3. It stands between its neighbours.
            check_past(past, *self._neighbours(past.number))
            # 4. Who signed for us then had our keys.
            delegation = past.delegations.get(self._member)
            if delegation is not None and set(delegation.keys) not in (own.keys, own.next, *own.past):
                raise DirectoryPin("a past version let others sign for this member", field=self._member)
            # 5. What is here under the same name is the same.
            kept = self._kept(files, past)
            self._check_unchanged(kept)
            self._layout.add(kept)
            self.seen.add(version, past.number, None)

    def check_held(self) -> None:
        """Refuse that the newest version is still the one that was taken, if it cannot be.

        Raises:
            DirectoryExpired: It is no longer vouched for.
            DirectoryWithheld: The hub took a change of ours since.
        """
        held = self.held()
        if held is None:
            return
        # 1. It is still vouched for.
        self._check_vouched(held)
        # 2. What we signed last is in it.
        self._check_own(held.version, read_own(self.path), self._layout)

    def acknowledge(self, change: Change) -> None:
        """Remember that the hub took a change of ours: from now on it must show it."""
        with self._alone():
            write_own(self.path, replace(read_own(self.path), signed=said_by(change)))

    # --- what the checks look at ------------------------------------------------------------------------

    def _over(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Return the files over those that are here, if they are files that a directory could have."""
        if len(files) > MOST_FILES:
            raise DirectoryMalformed(f"more than {MOST_FILES} files", field="files")
        for name, data in files.items():
            if not is_name(name) or len(data) > MOST_BYTES[TARGETS]:
                raise DirectoryMalformed("a file that no directory has", field="files")
        # Nothing is ever written through it.
        return ChainMap(dict(files), cast("MutableMapping[str, bytes]", self._layout))

    def _kept(self, files: Mapping[str, bytes], version: Version) -> dict[str, bytes]:
        """Return what of an answer belongs to the version, with the roots that led to its own."""
        numbers = self._layout.numbers(ROOT)
        roots = {metadata_name(ROOT, each) for each in range(numbers[0], version.lines[ROOT].number + 1)}
        return {name: data for name, data in files.items() if name in version.names or name in roots}

    def _check_unchanged(self, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            if self._layout.get(name, data) != data:
                raise DirectoryEquivocation("two files of one name", field=name)

    def _check_one_timestamp(self, before: Newest, newest: Newest, stamp: bytes) -> None:
        if newest.number == before.number and self._stamp is not None:
            said, says = (file_of(TIMESTAMP, each).signed for each in (self._stamp, stamp))
            if said != says:
                raise DirectoryEquivocation("two timestamps of one number", field=TIMESTAMP)

    def _check_vouched(self, newest: Newest) -> None:
        if self._clock.now() >= self.ends_at(newest):
            raise DirectoryExpired("the directory is no longer vouched for", field=TIMESTAMP)

    def _check_own(self, version: Version, own: Own, files: Mapping[str, bytes]) -> Own:
        delegation = version.delegations.get(self._member)
        if own.next and delegation is not None and set(delegation.keys) == own.next:
            own = own.rotated()
        line = version.lines.get(self._role)
        signed = own.signed
        if signed is None or line is None:
            last = None
        elif (line.number, self._digest(line, files)) == (signed.number, signed.sha256):
            last = line
        else:
            last = Line(signed.number, signed.sha256, 0)
        check_own(version, self._member, own.keys, last)
        return own

    def _remember_own(self, version: Version, own: Own, files: Mapping[str, bytes]) -> bool:
        """Remember what our role is now, and say whether another than this node signed it."""
        line = version.lines[self._role]
        signed = Signed(line.number, self._digest(line, files))
        change = intended(self.path)
        waited = None if change is None else said_by(change)
        if change is not None and change.number <= line.number:
            settle(self.path, refused=signed != waited)
        write_own(self.path, replace(own, signed=signed))
        return own.signed is not None and signed not in (own.signed, own.carried, waited)

    def _digest(self, line: Line, files: Mapping[str, bytes]) -> str:
        """Return SHA-256 of what our role's file says, without the signatures."""
        file = file_of(self._role, files[metadata_name(self._role, line.number)])
        return sha256(encoded(file.signed)).hexdigest()

    def _number_of(self, version: bytes, files: Mapping[str, bytes]) -> int:
        for name, data in files.items():
            if name.endswith(f".{SNAPSHOT}.json") and sha256(data).digest() == version:
                return int(name.removeprefix("metadata/").partition(".")[0])
        raise DirectoryMixed("not the version that was asked for", field=SNAPSHOT)

    def _neighbours(self, number: int) -> tuple[Version | None, Version | None]:
        numbers = self._layout.numbers(SNAPSHOT)
        lower = [each for each in numbers if each < number]
        upper = [each for each in numbers if each > number]
        return (
            self._version(lower[-1]) if lower else None,
            self._version(upper[0]) if upper else None,
        )

    def _version(self, number: int) -> Version:
        return load_version(self._layout, number, self.root(), reader=self._member, memory=self._memory)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
