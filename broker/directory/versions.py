"""What is known of one version of the signed directory once it is verified, and the memory of what was.

Nothing is decided here.  A `Version` is made by `loading` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from tuf.api.metadata import Root

from broker.core.directory import Directory, Member
from broker.core.keys import PublicKey
from broker.core.succession import Succession
from broker.directory.shapes import Listed

T = TypeVar("T")

MOST_KEPT = 16_384


@dataclass(frozen=True, slots=True)
class Delegation:
    """Whose signatures a role needs, and how many of them."""

    keys: tuple[PublicKey, ...]
    threshold: int


@dataclass(frozen=True, slots=True)
class Line:
    """A role's file as the snapshot names it; `digest` is SHA-256 in hexadecimal."""

    number: int
    digest: str
    length: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a root says, after everybody who must has signed it.

    `succession` has the log and those before it with their ends; `log_key` is the former's key as text.
    `holders` names who holds a key, by its id in hexadecimal.
    """

    number: int
    digest: str
    length: int
    network: str
    log_key: str
    succession: Succession
    holders: Mapping[str, str]
    roles: Mapping[str, Delegation]
    expires_at: int
    signed: Root = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a member's role lists: its entry, and what it acceded to.

    `delegation` has the keys by which the secretariat lets it be signed, `listed` the length and digest of
    each file by its path in the role.
    """

    member: Member
    entry: bytes = field(repr=False)
    accessions: Mapping[tuple[str, int], bytes]
    listed: Mapping[str, Listed]
    delegation: Delegation
    expires_at: int
    member_with_accessions: Member = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "member_with_accessions", replace(self.member, accessions=dict(self.accessions))
        )


@dataclass(frozen=True, slots=True)
class Version:
    """One version, verified: the value that everybody works with, and what it was made of.

    Attributes:
        directory: The value.
        number: That of the snapshot.
        lines: Each role's file by role: root, targets, and each member's, also of those that have left.
        terms: What the root says.
        delegations: With which keys each member signs.
        listings: What each member's role lists.
        left: What the role of each that is a member no more listed last.
        expires_at: When the first of root, targets and snapshot expires, UTC ms.
        digests: SHA-256, in hexadecimal, of each file that it consists of, by name; agreements of others may
            not be there.
    """

    directory: Directory
    number: int
    lines: Mapping[str, Line]
    terms: Terms
    delegations: Mapping[str, Delegation]
    listings: Mapping[str, Listing]
    left: Mapping[str, Listing]
    expires_at: int
    digests: Mapping[str, str]

    @property
    def known(self) -> Mapping[str, Listing]:
        """What members listed, and those that were."""
        return {**self.left, **self.listings}

    @property
    def names(self) -> frozenset[str]:
        """The names of all files that it consists of."""
        return frozenset(self.digests)


@dataclass(frozen=True, slots=True)
class Newest:
    """The version that a timestamp names.

    Attributes:
        version: The version.
        number: That of the timestamp.
        stamp: The timestamp itself; the next one takes its place in the folder.
        vouched_until: When the timestamp expires, UTC ms.
    """

    version: Version
    number: int
    stamp: bytes = field(repr=False)
    vouched_until: int

    @property
    def expires_at(self) -> int:
        """Until when the version counts: the first of what it is signed with expires then, UTC ms."""
        return min(self.vouched_until, self.version.expires_at)


class Memory:
    """What was verified before, by what it was verified from; the oldest goes when there is too much.

    Keys hold digests of everything that the result depends on, so nothing that changed is found again.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}

    def holds(self, key: Hashable) -> bool:
        """Say whether this was verified before."""
        return key in self._kept

    def once(self, key: Hashable, verify: Callable[[], T]) -> T:
        """Return what `verify` returned for this key, calling it if it was not asked before."""
        if key not in self._kept:
            self._kept[key] = verify()
            while len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return cast("T", self._kept[key])
