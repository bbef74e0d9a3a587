"""Two acts about who has acceded: what only one side lists counts for nothing, and who leaves gets no more.

Members accede and leave by the commands, in processes of their own, while hub and nodes run.  Which notices
came before and which after is told by the version of the directory that each decision names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.configuration import load_node_config
from adapters.directory.own import CHANGE_FILE
from broker.core.agreements import Agreement, Clause, parse_agreement
from broker.demo import day, expected
from broker.demo.acts import Findings
from broker.demo.expected import Sent
from broker.demo.processes import Farm, ask
from broker.demo.screen import Picture, Screen
from broker.demo.setting import SCENARIO, Setting, agreements
from broker.demo.watching import Watch

ONE_SIDED = SCENARIO / "one-sided" / "nl-rilo-ap-2026.toml"
FIRST, SECOND = "nl", "rilo-ap"
"""Who accedes before the day begins, and who in the middle of it."""

LEFT = "asia-pacific-rilo-2026"
LEAVER, STAYS, GIVER = "jp", "vn", "rilo-ap"

HANDED_OVER_SECONDS = 60.0

Show = Callable[[Picture], None]


@dataclass(frozen=True, slots=True)
class Told:
    """What `halong agreement explain` says of one notice and one member.

    Attributes:
        reason: The clause that kept it from the member; None if it got it.
        agreements: By which it got it, or each that did not give it.
        as_logged: Whether the hub's log shows the same.
        directory: The version on which it was decided.
    """

    reason: str | None
    agreements: tuple[str, ...]
    as_logged: bool
    directory: str


def accede(setting: Setting, member: str) -> bool:
    """Let a member accede to the agreement of the two, and say whether it had not."""
    agreement = one_sided()
    if setting.directory().acceded(member, agreement):
        return False
    ask("agreement", "accede", str(ONE_SIDED), "--yes", "--dir", str(setting.member(member)))
    return True


def one_sided() -> Agreement:
    """Return the agreement to which the two accede at different times."""
    return parse_agreement(ONE_SIDED.read_bytes(), ONE_SIDED.name)


def handed_over(setting: Setting, watch: Watch, member: str, show: Show = lambda _picture: None) -> None:
    """Wait until the member's node has handed over what the member signed, and the hub works by it."""
    config = load_node_config(setting.member(member))
    change = config.path(config.directory) / CHANGE_FILE
    watch.until(lambda: not change.exists(), f"handing over what {member} signed", HANDED_OVER_SECONDS, show)


def only_one_side(
    setting: Setting, farm: Farm, watch: Watch, sent: Sequence[Sent], screen: Screen, findings: Findings,
    show: Show,
) -> tuple[list[dict[str, Any]], list[Sent]]:  # fmt: skip
    """Show that one accession counts for nothing; then let the other side accede, and publish more."""
    agreement, pids = one_sided(), _pids(farm)
    before = [each for each in _covered(sent, agreement) if not each.directory.acceded(SECOND, agreement)]
    screen.line(f"{agreement.name}   {FIRST} lists it before the day begins, {SECOND} does not")
    told = explain(setting, before[-1], SECOND) if before else None
    if told is not None:
        _show(screen, before[-1], SECOND, told)
    findings.expect(
        told is not None
        and told.as_logged
        and (told.reason, told.agreements) == (Clause.ACCESSION.value, (agreement.name,))
        and all(each.withheld[SECOND].reason is Clause.ACCESSION for each in before)
        and not _came(setting, SECOND, before),
        f"{len(before)} notices that it would cover: none came to {SECOND}, by clause accession",
    )
    began_at = time.monotonic()
    signs = accede(setting, SECOND)
    handed_over(setting, watch, SECOND, show)
    in_force = time.monotonic() - began_at
    line = watch.members[SECOND].line
    watch.look()
    had, came_at = line.received, began_at

    def look(picture: Picture) -> None:
        nonlocal came_at
        if line.received > had and came_at == began_at:
            came_at = time.monotonic()
        show(picture)

    published = day.publish(setting, watch, [day.waste(setting, 2)], look)
    sent = day.arrive(watch, look)
    after = [each for each in _covered(sent, agreement) if each.directory.acceded(SECOND, agreement)]
    findings.facts["accession"] = {
        "agreement": agreement.name,
        "before": len(before),
        "came_before": _came(setting, SECOND, before),
        "after": len(after),
        "came_after": _came(setting, SECOND, after),
        "seconds_to_force": round(in_force, 2) if signs else None,
        "seconds_to_notice": round(came_at - began_at, 2) if signs else None,
    }
    if signs:
        screen.line(
            f"{SECOND} signs it, too; its node hands that over: in force {in_force:.1f} s after the command"
        )
        screen.line(
            f"{FIRST} publishes {len(after)} more: the first came {came_at - began_at:.1f} s"
            " after the command"
        )
    else:
        screen.line(f"{SECOND} has acceded to it since: nothing is signed or sent again")
    findings.expect(
        bool(after)
        and all(SECOND in each.shares for each in after)
        and _came(setting, SECOND, after) == len(after)
        and _pids(farm) == pids,
        f"since both list the same bytes, all {len(after)} came to {SECOND}; no process was started again",
    )
    return published, sent


def one_side_leaves(
    setting: Setting, farm: Farm, watch: Watch, sent: Sequence[Sent], screen: Screen, findings: Findings,
    show: Show,
) -> tuple[list[dict[str, Any]], list[Sent]]:  # fmt: skip
    """Let a member leave, and count what came to it before and after."""
    text = agreements()[LEFT]
    agreement, pids = parse_agreement(text, LEFT), _pids(farm)
    if not any(each.directory.acceded(STAYS, agreement) for each in sent):
        screen.line(f"{LEFT} is left out of this play: nobody can leave it")
        return [], list(sent)
    if setting.directory().acceded(LEAVER, agreement):
        started = time.monotonic()
        said = ask("agreement", "leave", LEFT, "--yes", "--dir", str(setting.member(LEAVER)))
        handed_over(setting, watch, LEAVER, show)
        took = time.monotonic() - started
        screen.line(
            f"{LEAVER} leaves {said['agreement']}: signed with its own key, in force after {took:.1f} s;"
            f" it holds {said['held']:,} notices under it"
        )
    else:
        screen.line(f"{LEAVER} has left {agreement.name}: nothing is signed or sent again")
    published = day.publish(setting, watch, [day.trends(setting, 2)], show)
    sent = day.arrive(watch, show)
    given = [each for each in sent if each.header.originator == GIVER]
    before = [each for each in given if each.directory.acceded(LEAVER, agreement)]
    after = [each for each in given if not each.directory.acceded(LEAVER, agreement)]
    counts = [[_came(setting, member, part) for member in (STAYS, LEAVER)] for part in (before, after)]
    screen.columns(
        (f"notices of {GIVER}", "published", f"to {STAYS}", f"to {LEAVER}"),
        [
            [when, f"{len(part):,}", *(f"{each:,}" for each in came)]
            for when, part, came in zip(
                ("while all listed it", f"since {LEAVER} has left"), (before, after), counts, strict=True
            )
        ],
    )
    findings.expect(
        counts == [[len(before), len(before)], [len(after), 0]]
        and bool(before and after)
        and not setting.directory().acceded(LEAVER, agreement)
        and _pids(farm) == pids,
        f"{LEAVER} got {counts[0][1]} of {len(before)} before, and {counts[1][1]} of {len(after)} since;"
        f" {STAYS}, which stayed, all of them",
    )
    findings.facts["leaving"] = {
        "agreement": agreement.name,
        "member": LEAVER,
        "before": len(before),
        "came_before": counts[0][1],
        "after": len(after),
        "came_after": counts[1][1],
    }
    answers = [(each, explain(setting, each, LEAVER)) for each in (*before[-1:], *after[-1:])]
    for each, told in answers:
        _show(screen, each, LEAVER, told)
    findings.expect(
        [told.reason for _, told in answers] == [None, Clause.ACCESSION.value]
        and all(told.as_logged for _, told in answers),
        "halong agreement explain tells why, each on the version of its day, and the log shows the same",
    )
    return published, sent


def explain(setting: Setting, notice: Sent, member: str) -> Told:
    """Ask the command why a member got a notice or did not, and whether the hub's log shows the same."""
    said = ask("agreement", "explain", notice.reference, "--member", member, "--dir", str(setting.hub))
    (one,) = said["receivers"]
    by = one["agreements"] if one["reason"] is None else one["failed"]
    return Told(one["reason"], tuple(by), said["as_logged"], said["directory"])


def _show(screen: Screen, notice: Sent, member: str, told: Told) -> None:
    by = ", ".join(told.agreements)
    what = f"to {member} by {by}" if told.reason is None else f"not to {member}: clause {told.reason} of {by}"
    screen.line(f"  {notice.reference}  {what}   (version {told.directory[:12]})", style="dim")


def _covered(sent: Sequence[Sent], agreement: Agreement) -> list[Sent]:
    """Return the notices of the first side that the agreement is about, once that side had listed it."""
    types = {each for grant in agreement.grants if grant.giver == FIRST for each in grant.types}
    return [
        each
        for each in sent
        if each.header.originator == FIRST
        and each.header.notice_type in types
        and each.directory.acceded(FIRST, agreement)
    ]


def _came(setting: Setting, member: str, notices: Sequence[Sent]) -> int:
    """Count the notices that lie in a member's inbox folder."""
    there = {each["statement"] for each in expected.inbox(setting.member(member))}
    return sum(each.arrived.statement.hex() in there for each in notices)


def _pids(farm: Farm) -> list[int | None]:
    return [service.pid for service in farm.services.values()]
