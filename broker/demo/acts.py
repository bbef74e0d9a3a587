"""Three acts: one notice, four views · an agreement decides · attacks; and what was expected in all of them.

Each shows its proof, and says what it expected and found: a `Finding` that does not hold fails the demo.
The others are in `ceremony`, `accession`, `disk`, `crash` and `proof`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from broker.clock import SystemClock
from broker.core.agreements import Clause
from broker.core.catalogue import Catalogue
from broker.core.directory import Directory
from broker.core.errors import HalongError
from broker.core.model import Slot
from broker.core.notice import Notice, open_envelope, read_envelope
from broker.demo import expected
from broker.demo.attacks import Attempt, attack
from broker.demo.expected import Arrival, Sent
from broker.demo.screen import Screen
from broker.demo.setting import CAST, NETWORK, Setting
from schemas.fields import Row
from schemas.rendering import SlotState, slot_states
from schemas.shown import Shown
from schemas.view import View, view

WITHHELD = "withheld"
NOTHING = "—"
ROWS_A_SLOT = 3
CELL = 20
EXAMPLES = 6

WHY: Mapping[Clause, str] = {
    Clause.PARTIES: "no agreement has both as parties",
    Clause.DIRECTION: "no grant in this direction",
    Clause.TYPE: "no grant for this type of notice",
    Clause.COUNTRIES: "its grant is for other countries",
    Clause.SUBJECTS: "its grant is for other goods",
    Clause.TLP: "marked more closely than its grant allows",
    Clause.PERSONAL_DATA: "it would give personal data alone, which is not switched on",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was expected, and whether it held."""

    what: str
    held: bool


@dataclass(slots=True)
class Findings:
    """All that was expected, as it is shown."""

    screen: Screen
    all: list[Finding] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    """What was measured and counted on the way, by names that scripts rely on."""

    def expect(self, held: bool, what: str) -> None:
        """Show and keep whether it held."""
        self.all.append(Finding(what, held))
        (self.screen.good if held else self.screen.bad)(what)

    @property
    def held(self) -> bool:
        """Tell whether all of it held."""
        return all(finding.held for finding in self.all)


# --- one notice, four views -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Copy:
    """A notice as one member has it, checked by the originator's key in the directory."""

    member: str
    notice: Notice
    seen: View

    def cells(self) -> dict[tuple[Slot, str], str]:
        """Return what it says, by slot and label."""
        return {
            (section.slot, label): text
            for section in self.seen.sections
            for label, text in _lines(section.rows)
        }


@dataclass(frozen=True, slots=True)
class Example:
    """A file that a receiver got, and the originator's public key by which anybody can check it."""

    file: Path
    key: bytes


def four_views(
    setting: Setting, sent: Sequence[Sent], catalogue: Catalogue, screen: Screen, findings: Findings
) -> Example | None:
    """Show one notice as its originator and each receiver have it; return a receiver's file of it."""
    directory = setting.directory()
    shown = max((each for each in sent if each.shares), key=_variety, default=None)
    if shown is None:
        findings.expect(held=False, what="some notice reached somebody")
        return None
    copies, refused, file = [], [], None
    for role in CAST:
        if role.id == shown.header.originator:
            data: bytes | None = shown.arrived.raw
        else:
            path = _file(setting, role.id, shown)
            data = None if path is None else path.read_bytes()
            file = path if path is not None and file is None else file
        if data is not None:
            try:
                copies.append(_open(role.id, data, shown, directory, catalogue))
            except HalongError as error:
                refused.append(f"{role.id}: {error.code}")
    _show_copies(shown, copies, screen)
    findings.expect(
        not refused and {copy.member for copy in copies} == {shown.header.originator, *shown.shares},
        f"each copy holds under the signature of {shown.header.originator.upper()}, whatever was taken out",
    )
    return Example(file, copies[0].notice.key.public.raw) if file is not None and copies else None


def _variety(sent: Sent) -> tuple[int, int, bool]:
    """Tell how much there is to see: different shares, then receivers, then what goes to a person's door."""
    shares = {share.slots for share in sent.shares.values()}
    return len(shares), len(sent.shares), sent.header.notice_type == "drug-parcel"


def _file(setting: Setting, member: str, shown: Sent) -> Path | None:
    for each in expected.inbox(setting.member(member)):
        if each["statement"] == shown.arrived.statement.hex():
            path: Path = each["path"]
            return path.with_suffix(".envelope")
    return None


def _open(member: str, data: bytes, shown: Sent, directory: Directory, catalogue: Catalogue) -> Copy:
    arrived = read_envelope(data)
    at = shown.header.issued_at
    notice = open_envelope(arrived, directory, catalogue, NETWORK, at, complete=False)
    page = Shown(
        header=notice.header,
        statement=notice.statement,
        notice_type=notice.notice_type,
        values=notice.values,
        slots=slot_states(notice.envelope),
        verified=True,
        member=member,
        key=notice.key.id,
        names={id_: each.name for id_, each in directory.members.items()},
    )
    return Copy(member, notice, view(page, "en"))


def _show_copies(shown: Sent, copies: Sequence[Copy], screen: Screen) -> None:
    header = shown.header
    screen.line(f"{header.reference.removeprefix('halong:')}   {header.notice_type}   TLP {header.tlp.name}")
    whole = next(copy for copy in copies if copy.member == header.originator)
    cells = {copy.member: copy.cells() for copy in copies}
    states = {copy.member: slot_states(copy.notice.envelope) for copy in copies}
    heads = ["", *(f"{role.id}{' signed' if role.id == header.originator else ' got'}" for role in CAST)]
    rows: list[list[str]] = []
    for slot in Slot:
        labels = [label for of, label in whole.cells() if of is slot][:ROWS_A_SLOT]
        for label in labels or [slot.label]:
            row = [label[:CELL]]
            for role in CAST:
                state = states.get(role.id, {}).get(slot)
                if state is SlotState.WITHHELD:
                    row.append(WITHHELD)
                elif state is SlotState.SHOWN:
                    row.append(_short(cells[role.id].get((slot, label), NOTHING)))
                else:
                    row.append("none" if state is SlotState.NONE else NOTHING)
            rows.append(row)
    by = f"signed by {header.originator.upper()}"
    checked = {copy.member for copy in copies}
    rows.append([by, *("verified" if role.id in checked else "nothing came" for role in CAST)])
    screen.columns(heads, rows, dim=(WITHHELD, NOTHING, "none", "nothing came"))


def _lines(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    for row in rows:
        if row.values:
            yield row.label, "; ".join(value.code or value.text for value in row.values)
        for group in row.groups:
            yield from _lines(group)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


# --- an agreement decides -------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """Notices of a type that a member does not get for one reason."""

    notice_type: str
    member: str
    clause: Clause
    agreements: str


def an_agreement_decides(setting: Setting, sent: Sequence[Sent], screen: Screen, findings: Findings) -> None:
    """Show who did not get what, by which clause; and that the inboxes hold exactly what was agreed."""
    examples: dict[_Kind, Sent] = {}
    counts: Counter[_Kind] = Counter()
    withheld = 0
    for each in sent:
        for member, verdict in each.withheld.items():
            withheld += 1
            if verdict.reason is Clause.ACCESSION:
                continue  # what only one side lists has an act of its own
            names = [
                f"{failed.agreement.agreement}/{failed.agreement.version}"
                for failed in verdict.agreements
                if failed.clause is verdict.reason
            ]
            kind = _Kind(each.header.notice_type, member, verdict.reason, ", ".join(names))
            counts[kind] += 1
            examples.setdefault(kind, each)
    # What an agreement says comes before what none says; of each kind, what happened most.
    order = sorted(examples, key=lambda kind: (not kind.agreements, -counts[kind], kind.notice_type))
    for kind in order[:EXAMPLES]:
        header = examples[kind].header
        countries = " ".join(header.countries)
        screen.line(
            f"{header.reference.removeprefix('halong:')}  {kind.notice_type}  {countries}"
            f"   and {counts[kind] - 1:,} like it"
        )
        of = f" of {kind.agreements}" if kind.agreements else ""
        screen.line(
            f"  not to {kind.member}: {WHY.get(kind.clause, 'not granted')}"
            f"   (clause {kind.clause.value}{of})",
            style="dim",
        )
    if not order:
        screen.line("everybody got everything: there is an agreement for all of it")
    due = {arrival for each in sent for arrival in each.arrivals()}
    came = sum(
        (expected.arrivals(role.id, setting.member(role.id)) for role in CAST), start=Counter[Arrival]()
    )
    findings.expect(
        set(came) == due and came.total() == len(due),
        f"the inboxes hold the {len(due):,} deliveries that the agreements give, slot for slot,"
        f" and none of {withheld:,} that they do not",
    )


# --- attacks --------------------------------------------------------------------------------------------


def attacks(setting: Setting, sent: Sequence[Sent], screen: Screen, findings: Findings) -> list[Attempt]:
    """Attack the running hub, and show what it answered."""
    victim = next((each for each in sent if each.header.originator == "vn"), None)
    if victim is None:
        findings.expect(held=False, what="there is a notice of vn to attack with")
        return []
    attempts = asyncio.run(
        attack(
            victim.arrived.raw,
            owner=setting.door("vn"),
            other=setting.door("nl"),
            stranger=setting.stranger(SystemClock().now()),
        )
    )
    screen.columns(
        (),
        [[each.tried, "→", "refused:" if each.repelled else "ANSWERED:", each.answered] for each in attempts],
    )
    findings.expect(
        bool(attempts) and all(attempt.repelled for attempt in attempts),
        f"{len(attempts)} attacks over mutual TLS, each refused by its own code, none delivered",
    )
    return attempts
