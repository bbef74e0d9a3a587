"""Who must sign a change of the directory, who has, and who is still waited for.

Decides nothing that a reader would not decide again in `loading`; it says beforehand what will suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from broker.core.errors import BadConfiguration
from broker.core.keys import PublicKey
from broker.directory.change import Change
from broker.directory.roles import ROOT, TARGETS
from broker.directory.verifying import delegation_of
from broker.directory.versions import Delegation, Version


@dataclass(frozen=True, slots=True)
class Need:
    """So many of these keys must sign.

    Attributes:
        whose: Whose keys they are, in words.
        keys: The keys.
        threshold: How many of them.
        signed: Those that have.
    """

    whose: str
    keys: tuple[PublicKey, ...]
    threshold: int
    signed: tuple[PublicKey, ...]

    @property
    def waiting(self) -> tuple[PublicKey, ...]:
        """Those that have not signed, and could."""
        return tuple(key for key in self.keys if key not in self.signed)

    @property
    def missing(self) -> int:
        """How many signatures are still missing."""
        return max(0, self.threshold - len(self.signed))


def needs_of(change: Change, before: Version | None, together: Sequence[Change] = ()) -> tuple[Need, ...]:
    """Return whose signatures the change needs.

    Args:
        change: The change.
        before: The version in force; None for a network that has none yet.
        together: Changes that come into force with it; a root or targets among them says who signs below.

    Raises:
        BadConfiguration: Nobody may sign it: neither what is in force nor what comes with it names its keys.
    """
    return tuple(
        Need(whose, each.keys, each.threshold, change.signed_by(each.keys))
        for whose, each in _delegations(change, before, together)
    )


def _delegations(
    change: Change, before: Version | None, together: Sequence[Change]
) -> list[tuple[str, Delegation]]:
    by_role = {each.role: each for each in together}
    if change.role == ROOT:
        own = ("this root", delegation_of(change.delegator, ROOT))
        return [own] if before is None else [("the root before", before.terms.roles[ROOT]), own]
    above = by_role.get(ROOT if change.role == TARGETS else TARGETS)
    if above is not None:
        try:
            return [(_whose(change), delegation_of(above.delegator, change.role))]
        except ValueError:
            found = None
    elif before is None:
        found = None
    elif change.role == TARGETS:
        found = before.terms.roles[TARGETS]
    else:
        found = before.delegations.get(change.member)
    if found is None:
        raise BadConfiguration(f"{change.role}: the secretariat's file does not name it", field=change.role)
    return [(_whose(change), found)]


def _whose(change: Change) -> str:
    return "the secretariat" if change.role == TARGETS else change.member
