"""What would have become of past notices under other agreements: two directories, the same headers.

Decides how a past decision is made again, and how two outcomes differ.  Only headers are looked at, as in any
decision: what a notice says plays no part.  Where headers come from, and how the result is shown, is the
business of the commands.

Each side remembers what it gave itself: a recall goes on each side where the original went on that side.
What was said before the period went where it really went, on both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple, TypeAlias

from broker.core.agreements import Context, Reference, Share
from broker.core.index import Index
from broker.core.model import Header, Slot

EXAMPLES = 3
"""Notices that are named for each row, so that somebody can look at them."""


class Change(Enum):
    """How what a member gets of a notice differs from what it got."""

    ADDED = "added"  # it gets the notice, and did not
    REMOVED = "removed"  # it does not get it any more
    WIDENED = "widened"  # it gets more parts of it
    NARROWED = "narrowed"  # it gets fewer parts of it
    EXCHANGED = "exchanged"  # it gets some that it did not, and others no more
    TERMS = "terms"  # the same parts, but it owes something else for them


def change_of(before: Share | None, after: Share | None) -> Change | None:
    """Return how one member's part of a notice has changed, or None if it has not."""
    if before is None or after is None:
        if before is after:
            return None
        return Change.ADDED if before is None else Change.REMOVED
    if before.slots == after.slots:
        return None if before.obligations == after.obligations else Change.TERMS
    if before.slots < after.slots:
        return Change.WIDENED
    return Change.NARROWED if after.slots < before.slots else Change.EXCHANGED


@dataclass(frozen=True, slots=True)
class Past:
    """A statement that was admitted.  `number` is its place among the decisions."""

    statement: bytes
    header: Header
    decided_at: int
    number: int


class Lane(NamedTuple):
    """Who sent what kind of notice to whom."""

    giver: str
    member: str
    notice_type: str


@dataclass(slots=True)
class Row:
    """What changes for one lane: how often, which parts, and notices by their references."""

    changes: Counter[Change] = field(default_factory=Counter)
    gained: Counter[Slot] = field(default_factory=Counter)
    lost: Counter[Slot] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, change: Change, before: Share | None, after: Share | None, reference: str) -> None:
        """Count a delivery that has changed so."""
        had, has = (frozenset[Slot]() if share is None else share.slots for share in (before, after))
        self.changes[change] += 1
        self.gained.update(has - had)
        self.lost.update(had - has)
        if len(self.examples) < EXAMPLES:
            self.examples.append(reference)


@dataclass(slots=True)
class Outcome:
    """What the period comes to: how many notices and deliveries on each side, and the lanes that change."""

    notices: int = 0
    changed: int = 0
    before: Counter[Lane] = field(default_factory=Counter)
    after: Counter[Lane] = field(default_factory=Counter)
    rows: dict[Lane, Row] = field(default_factory=dict)

    def total(self, change: Change) -> int:
        """Return how many deliveries change so."""
        return sum(row.changes[change] for row in self.rows.values())


_Shares: TypeAlias = Mapping[str, Share]
_Both: TypeAlias = tuple[_Shares, _Shares]
"""What became of one statement on the two sides: one and the same value where nothing can differ."""


class Replay:
    """Decides past statements again, under two directories.

    Statements that `looks_back` is true of come in the order of their decisions, all others whenever.

    Args:
        old: What the changes are counted from.
        new: What they are counted to.
        past: Returns a statement of the period that another refers to, or None.
        before: Returns what was really decided about a statement from before the period, or None.
        later_by: How much later everything is taken to have happened, in milliseconds.
    """

    def __init__(
        self,
        old: Index,
        new: Index,
        *,
        past: Callable[[bytes], Past | None] = lambda _statement: None,
        before: Callable[[bytes], Reference | None] = lambda _statement: None,
        later_by: int = 0,
    ) -> None:
        self._sides = (old, new)
        self._same_members = old.directory.members.keys() == new.directory.members.keys()
        self._past = past
        self._before = before
        self._later_by = later_by
        self._given: dict[bytes, _Both] = {}
        self._alike: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
        self._outcome = Outcome()

    def looks_back(self, past: Past) -> bool:
        """Say whether what becomes of it may depend on the statements that it refers to."""
        at = past.decided_at + self._later_by
        return any(side.looks_back(past.header, at) for side in self._sides)

    def add(self, past: Past, only: str | None = None) -> None:
        """Decide a statement on both sides, and count what differs; for one member only, if it is named."""
        header = past.header
        self._outcome.notices += 1
        if self._is_plain(past) and self._has_same_grants(header):
            # Nearly all notices: the change is about others, and who gets this one says all.
            context = Context(past.decided_at + self._later_by, {})
            self._count_alike(header, self._sides[0].members_of(header, context), only)
            return
        before, after = self._both(past)
        if before is after:
            self._count_alike(header, tuple(before), only)
        elif only is None:
            self._compare(past, before, after)
        else:
            self._compare(past, _of(before, only), _of(after, only))

    def outcome(self) -> Outcome:
        """Return what all statements that were added come to."""
        result = self._outcome
        for (giver, notice_type, members), count in self._alike.items():
            for member in members:
                lane = Lane(giver, member, notice_type)
                result.before[lane] += count
                result.after[lane] += count
        self._alike.clear()
        return result

    def reference(self, side: int, statement: bytes, number: int) -> Reference | None:
        """Return what a side decided about a statement before the decision with this number."""
        past = self._past(statement)
        if past is None:
            found = self._before(statement)
            return None if found is None else replace(found, decided_at=found.decided_at + self._later_by)
        # What a dispatcher refused, or did not know yet, counts for nothing.
        if past.number >= number or not self._admits(side, past):
            return None
        header, at = past.header, past.decided_at + self._later_by
        shares = self._both(past)[side]
        return Reference(statement, header.originator, header.notice_type, header.act, at, shares)

    def _is_plain(self, past: Past) -> bool:
        return not self.looks_back(past) and self._past(past.statement) is None

    def _has_same_grants(self, header: Header) -> bool:
        old, new = self._sides
        return self._same_members and old.group_of(header) is new.group_of(header)

    def _both(self, past: Past) -> _Both:
        kept = self._given.get(past.statement)
        if kept is None:
            before = self._decide(0, past)
            kept = before, before if self._is_alike(past) else self._decide(1, past)
            if self._past(past.statement) is not None:
                self._given[past.statement] = kept
        return kept

    def _is_alike(self, past: Past) -> bool:
        """Say whether the same grants and the same past let both sides only decide the same."""
        if not self._has_same_grants(past.header):
            return False
        known = (self._past(each) for each in past.header.references)
        earlier = (each for each in known if each is not None and each.number < past.number)
        return not self.looks_back(past) or all(one is other for one, other in map(self._both, earlier))

    def _decide(self, side: int, past: Past) -> _Shares:
        # A dispatcher refuses what comes from nobody.
        if not self._admits(side, past):
            return {}
        context = Context(past.decided_at + self._later_by, _References(self, side, past))
        return self._sides[side].shares(self._later(past.header), context)

    def _admits(self, side: int, past: Past) -> bool:
        return past.header.originator in self._sides[side].directory.members

    def _later(self, header: Header) -> Header:
        if not self._later_by:
            return header
        return replace(
            header,
            retain_until=_moved(header.retain_until, self._later_by),
            feedback_due=_moved(header.feedback_due, self._later_by),
        )

    def _count_alike(self, header: Header, members: tuple[str, ...], only: str | None) -> None:
        if only is not None:
            members = tuple(each for each in members if each == only)
        self._alike[header.originator, header.notice_type, members] += 1

    def _compare(self, past: Past, before: _Shares, after: _Shares) -> None:
        header, result = past.header, self._outcome
        changes: dict[tuple[int, int], Change | None] = {}
        stays: list[str] = []
        differs = False
        for member in before.keys() | after.keys():
            old, new = before.get(member), after.get(member)
            # Members that the same grants reach have one share between them.
            pair = id(old), id(new)
            if pair not in changes:
                changes[pair] = change_of(old, new)
            change = changes[pair]
            if change is None:
                stays.append(member)
                continue
            differs = True
            lane = Lane(header.originator, member, header.notice_type)
            result.before[lane] += old is not None
            result.after[lane] += new is not None
            result.rows.setdefault(lane, Row()).add(change, old, new, header.reference)
        result.changed += differs
        self._count_alike(header, tuple(sorted(stays)), None)


def _of(shares: _Shares, member: str) -> _Shares:
    return {member: shares[member]} if member in shares else {}


def _moved(time: int | None, by: int) -> int | None:
    return None if time is None else time + by


class _References(Mapping[bytes, Reference]):
    """What a statement refers to, as one side decided it; found only when the decision looks at it."""

    def __init__(self, replay: Replay, side: int, past: Past) -> None:
        self._replay = replay
        self._side = side
        self._past = past

    def __getitem__(self, statement: bytes) -> Reference:
        found = None
        if statement in self._past.header.references:
            found = self._replay.reference(self._side, statement, self._past.number)
        if found is None:
            raise KeyError(statement)
        return found

    def __iter__(self) -> Iterator[bytes]:
        return (each for each in self._past.header.references if self.get(each) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
