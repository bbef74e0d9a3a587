"""How one log follows another: the end of each log that was given up, and what the next one must show of it.

A hub that was set back cannot go on with its log: members have seen more of it than there is.  It goes on
with a log of the next name under another key, and the network's root says how the one before ended: with
checkpoints that this log signed and members saw, from the largest tree that the hub still has up to the
largest that anybody saw.

Decides which name a log has that follows another, what an end is, that an end is never shortened, and whether
an end covers what one reader saw.  Leaves to others who must have signed it (`broker.directory.roots`), and
whether a quorum cosigned a checkpoint of it (`policy`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from broker.core.errors import BadProof, BadSuccession
from broker.core.merkle import verify_consistency
from broker.core.note import LogKey, TreeHead
from broker.core.signed_note import merged, split_note

_NUMBERED = re.compile(r"(.+)-([2-9]|[1-9][0-9]{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class EndedLog:
    """A log that was given up, by its key and its end.

    Attributes:
        log: Its key; what it signed is verified under it for ever.
        ends: Signed notes of checkpoints, as bytes, in ascending size.  The first is of the largest tree
            whose leaves the hub still has; all others are of larger ones, which members saw.
        heads: What they state, in the same order.

    Raises:
        BadSuccession: The notes are no end of this log.
    """

    log: LogKey
    ends: tuple[bytes, ...]
    heads: tuple[TreeHead, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.ends:
            raise BadSuccession("an end has a checkpoint", field="ended")
        try:
            heads = tuple(self.log.open_checkpoint(note) for note in self.ends)
        except BadProof as error:
            raise BadSuccession(f"not the end of the log that is named: {error}", field="ended") from None
        # Of two trees of one size no later log can say which of them it follows.
        if any(later.size <= head.size for head, later in pairwise(heads)):
            raise BadSuccession("checkpoints do not ascend, or two are of one size", field="ended")
        object.__setattr__(self, "heads", heads)

    @property
    def missing(self) -> range:
        """Indexes of the leaves that members have seen proof of, and that the hub does not have any more."""
        return range(self.heads[0].size, self.heads[-1].size)

    def check_covers(self, seen: TreeHead, path: Sequence[bytes] | None = None) -> None:
        """Let an end pass that takes back nothing of what one reader saw of the log.

        Args:
            seen: The largest tree that the reader saw.
            path: From `seen` to `next_to(seen)`, if that is another tree; None if nobody shows it.

        Raises:
            BadSuccession: It is shorter, of another history, or is not shown to continue what was seen.
        """
        head = self.next_to(seen)
        if head is None:
            raise BadSuccession("the log ended beyond the end that is named", field="ended")
        if head.size == seen.size:
            path = ()
        if path is None or not verify_consistency(seen.size, head.size, seen.root, head.root, path):
            raise BadSuccession("the end does not continue what was seen of the log", field="ended")

    def next_to(self, seen: TreeHead) -> TreeHead | None:
        """Return the smallest tree of the end that is not smaller than `seen`, None if all are."""
        return next((head for head in self.heads if head.size >= seen.size), None)

    def check_keeps(self, earlier: EndedLog) -> None:
        """Let an end pass that says all that was said earlier: it may gain what further members saw.

        Raises:
            BadSuccession: It is of another log, lacks a tree, or has another where there was one, or begins
                with another.
        """
        if self.log != earlier.log or not set(earlier.heads) <= set(self.heads):
            raise BadSuccession("takes back how a log ended", field="ended")
        if self.heads[0] != earlier.heads[0]:
            raise BadSuccession("says otherwise which leaves are there", field="ended")


@dataclass(frozen=True, slots=True)
class Succession:
    """The log of a network, and those before it, the first of them first.

    Raises:
        BadSuccession: Their names are not in order, or a key is there twice.
    """

    log: LogKey
    ended: tuple[EndedLog, ...] = ()

    def __post_init__(self) -> None:
        logs = self.logs
        if any(later.name != name_after(log.name) for log, later in pairwise(logs)):
            raise BadSuccession("a log that follows another does not have the next name", field="log_key")
        # A key that may be in other hands since it was set back signs for no further log.
        if len({log.public.raw for log in logs}) != len(logs):
            raise BadSuccession("a key is that of two logs", field="log_key")

    @property
    def logs(self) -> tuple[LogKey, ...]:
        """The keys of all logs, that of the present one last."""
        return (*(each.log for each in self.ended), self.log)

    def check_follows(self, before: Succession) -> None:
        """Let pass what goes on with the same log, or with one that follows from it.

        Raises:
            BadSuccession: It names another log without the end of the one before, or takes an end back.
        """
        if self.logs not in (before.logs, (*before.logs, self.log)):
            raise BadSuccession("another log that does not show the end of the one before", field="log_key")
        for kept, was in zip(self.ended, before.ended, strict=False):
            kept.check_keeps(was)

    def of_name(self, origin: str) -> LogKey | None:
        """Return the key of the log that has or had this name, the one under which its notes verify."""
        return next((log for log in self.logs if log.name == origin), None)


def end_of(log: LogKey, notes: Iterable[bytes]) -> EndedLog:
    """Return the end that checkpoints of a log are together: one of each size, with all its cosignatures.

    Args:
        log: The log.
        notes: Signed notes of its checkpoints, from whoever kept them, in any order, also more than once.

    Raises:
        BadSuccession: There is none, one is not of this log, or the log signed two trees of one size.
    """
    found: dict[int, bytes] = {}
    for note in notes:
        (head,) = EndedLog(log, (note,)).heads
        text, lines = split_note(note)
        known = found.setdefault(head.size, note)
        if split_note(known)[0] != text:
            raise BadSuccession("the log signed two trees of one size", field="ended")
        # The log says one time of a tree: what it said to others of the same is not put beside it.
        found[head.size] = merged(known, [line for line in lines if line.name != log.name])
    return EndedLog(log, tuple(note for _, note in sorted(found.items())))


def name_after(name: str) -> str:
    """Return the name of the log that follows the one of this name: `x/log`, `x/log-2`, `x/log-3`."""
    numbered = _NUMBERED.fullmatch(name)
    return f"{name}-2" if numbered is None else f"{numbered[1]}-{int(numbered[2]) + 1}"
