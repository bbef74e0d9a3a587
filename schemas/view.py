"""A notice as a reader sees it: what stands where, in one language, before it is drawn.

Decides what is shown of a notice, in which order, and how *withheld*, *sealed to others* and *none* are told
apart.  Whether the notice may be believed was decided before: `Shown` says what was found.  Leaves values
to `readable` and `fields`, the drawing to `rendering`.

The order on the page: traffic light and handling first, exercise banner, type and reference, route,
what is asked and by when, the slots, obligations, signature and log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.core.model import Act, Slot, Status, Tlp
from schemas.fields import Reading, Row
from schemas.flags import flags
from schemas.obligations import obligation_rows
from schemas.readable import Value, coded, time, visible
from schemas.shown import Shown, SlotState
from schemas.walk import type_of
from schemas.wording import Labels, labels

HEAD_FIELDS = {
    "route": "Route",
    "grading": "Grading",
    "urgency": "Urgency",
    "severity": "Severity",
    "certainty": "Certainty",
    "suggested_action": "SuggestedAction",
    "officer_safety": "boolean",
}
"""Facts that the top of the page shows, and the section of facts therefore does not, with their types."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One place of a route; `role` is `origin`, `transit` or `destination`."""

    role: str
    label: str
    place: Value


@dataclass(frozen=True, slots=True)
class Section:
    """One slot."""

    slot: Slot
    label: str
    state: SlotState
    state_label: str
    note: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Feedback:
    """How the reader answers: a command, and the outcomes that it may name."""

    command: str
    outcomes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class View:
    """A notice in one language, ready to be drawn."""

    language: str
    words: Labels
    title: str
    act: str
    tlp: str
    tlp_class: str
    tlp_note: str
    handling: str
    handling_note: str
    banner: tuple[str, str] | None
    doubt: tuple[str, str] | None
    """What is to be known of a notice whose key was stolen."""
    reference: str
    head: tuple[Row, ...]
    route: tuple[Stop, ...]
    route_note: str
    action: str
    deadline: Value | None
    danger: bool
    graded: bool
    """Whether the facts are there that would say how the notice is graded."""
    grade: tuple[str, str] | None
    assessment: tuple[Row, ...]
    sections: tuple[Section, ...]
    obligations: tuple[Row, ...]
    agreements: tuple[str, ...]
    verified: bool
    signed_by: str
    logged: str
    proof: tuple[Row, ...]
    feedback: Feedback | None
    shown_to: str


def view(shown: Shown, language: str) -> View:
    """Return the notice as it reads in `language`."""
    return _Viewing(shown, labels(language)).view()


class _Viewing:
    """One notice being put in one language."""

    def __init__(self, shown: Shown, words: Labels) -> None:
        self.shown = shown
        self.words = words
        self.head_fields = frozenset(
            field["name"]
            for field in shown.notice_type.fields(Slot.FACTS)
            if HEAD_FIELDS.get(field["name"]) == _type_name(field)
        )
        facts = shown.values.get(Slot.FACTS, {}) if shown.slots[Slot.FACTS] is SlotState.SHOWN else {}
        self.facts = {name: value for name, value in facts.items() if name in self.head_fields}
        everything = {name: value for slot in shown.values.values() for name, value in slot.items()}
        self.reading = Reading(
            shown.notice_type, words, shown.offset_minutes, flags(shown.notice_type, everything)
        )

    def view(self) -> View:
        shown, words, header = self.shown, self.words, self.shown.header
        tlp, handling, status = header.tlp.name, header.handling.name, header.status.name
        live = header.status is Status.ACTUAL
        stops = self._stops()
        return View(
            language=words.language,
            words=words,
            title=visible(words.word("types", header.notice_type)),
            act=words.word("acts", header.act.name),
            tlp="TLP:AMBER+STRICT" if header.tlp is Tlp.AMBER_STRICT else f"TLP:{tlp}",
            tlp_class=tlp.partition("_")[0].lower(),
            tlp_note=words.word("tlp", tlp),
            handling=handling,
            handling_note=words.word("handling", handling),
            banner=None if live else (words.word("banners", status), words.word("banner_notes", status)),
            doubt=self._doubt(),
            reference=header.reference.removeprefix("halong:"),
            head=self._head(stops),
            route=stops,
            route_note="" if stops else self._route_note(),
            action=self._action(),
            deadline=self._deadline(),
            danger=self.facts.get("officer_safety") is True,
            graded=shown.slots[Slot.FACTS] in {SlotState.SHOWN, SlotState.NONE},
            grade=self._grade(),
            assessment=self._assessment(),
            sections=tuple(self._section(slot) for slot in Slot),
            obligations=self._obligations(),
            agreements=tuple(
                f"{visible(ground.agreement)}, {words.page('version')} {ground.version}"
                for ground in shown.grounds
            ),
            verified=shown.verified,
            signed_by=words.page("signed_by").format(member=self._name(header.originator)),
            logged=self._logged(),
            proof=self._proof(),
            feedback=self._feedback(),
            shown_to=words.page("shown_to").format(member=self._name(shown.member)) if shown.member else "",
        )

    def _doubt(self) -> tuple[str, str] | None:
        since = self.shown.doubtful_since
        if since is None:
            return None
        said = self.words.page("doubt_note")
        at = self._time(since).text
        return self.words.page("doubt"), said.format(member=self._name(self.shown.header.originator), time=at)

    def _name(self, member: str) -> str:
        name = (self.shown.names or {}).get(member)
        return visible(f"{name} ({member})" if name else member)

    def _time(self, at: int) -> Value:
        return time(at, self.words.language, self.shown.offset_minutes)

    def _row(self, key: str, *values: Value | str) -> Row:
        ready = tuple(Value(visible(value)) if isinstance(value, str) else value for value in values)
        return Row(self.words.page(key), ready)

    def _head(self, stops: tuple[Stop, ...]) -> tuple[Row, ...]:
        header, words = self.shown.header, self.words
        rows = [
            self._row("originator", self._name(header.originator)),
            self._row("issued", self._time(header.issued_at)),
        ]
        if header.effective_until is not None:
            rows.append(self._row("valid_until", self._time(header.effective_until)))
        regions = [words.word("regions", region.name) for region in header.regions_concerned]
        rows.append(self._row("region", words.word("regions", header.region.name)))
        if regions:
            rows.append(self._row("regions_concerned", *regions))
        if header.countries and not stops:
            names = [coded("countries", code, words.language) for code in header.countries]
            rows.append(self._row("countries", *names))
        rows.append(self._row("purpose", words.word("purposes", header.purpose)))
        if header.campaign is not None:
            rows.append(self._row("campaign", header.campaign))
        if header.addressees:
            rows.append(self._row("addressees", *map(self._name, header.addressees)))
        if header.references:
            ids = [Value(one.hex(), kind="code") for one in header.references]
            rows.append(self._row("refers_to", *ids))
        return tuple(rows)

    def _stops(self) -> tuple[Stop, ...]:
        route = self.facts.get("route") or {}
        places = [
            ("origin", route.get("origin")),
            *(("transit", place) for place in route.get("transit") or ()),
            ("destination", route.get("destination")),
        ]
        return tuple(
            Stop(role, self.words.field("Route", role), self.reading.place(place))
            for role, place in places
            if place
        )

    def _route_note(self) -> str:
        if "route" not in self.head_fields:
            return ""
        has_facts = self.shown.slots[Slot.FACTS] is SlotState.SHOWN
        return self.words.page("no_route" if has_facts else "route_withheld")

    def _action(self) -> str:
        action = self.facts.get("suggested_action")
        if action:
            return self.words.symbol("SuggestedAction", action)
        has_facts = self.shown.slots[Slot.FACTS] in {SlotState.SHOWN, SlotState.NONE}
        return self.words.page("nothing_asked" if has_facts else "asked_withheld")

    def _deadline(self) -> Value | None:
        owed = self.shown.obligations
        times = [self.shown.header.feedback_due, owed.feedback_due if owed else None]
        known = [at for at in times if at is not None]
        return self._time(min(known)) if known else None

    def _grade(self) -> tuple[str, str] | None:
        grading = self.facts.get("grading")
        if not grading:
            return None
        source, information = grading["source"], grading["information"]
        words = (
            self.words.symbol("SourceGrade", source),
            self.words.symbol("InformationGrade", information),
        )
        return f"{source}{information.removeprefix('I')}", " · ".join(words)

    def _assessment(self) -> tuple[Row, ...]:
        names = ("urgency", "severity", "certainty")
        return tuple(
            Row(self.words.field("", name), (Value(self.words.symbol(name.title(), self.facts[name])),))
            for name in names
            if self.facts.get(name)
        )

    def _section(self, slot: Slot) -> Section:
        state = self.shown.slots[slot]
        rows: tuple[Row, ...] = ()
        if state is SlotState.SHOWN:
            omit = self.head_fields if slot is Slot.FACTS else frozenset[str]()
            rows = self.reading.rows(slot, self.shown.values.get(slot, {}), omit=omit)
        return Section(
            slot=slot,
            label=self.words.word("slots", slot.name),
            state=state,
            state_label=self.words.word("states", state.name),
            note="" if state is SlotState.SHOWN else self.words.word("state_notes", state.name),
            rows=rows,
        )

    def _obligations(self) -> tuple[Row, ...]:
        shown = self.shown
        if shown.obligations is None:
            return ()
        return obligation_rows(shown.obligations, shown.further, self.words, shown.offset_minutes)

    def _logged(self) -> str:
        proof = self.shown.proof
        if proof is None:
            return self.words.page("not_logged")
        return self.words.page("logged").format(index=proof.index, size=proof.size)

    def _proof(self) -> tuple[Row, ...]:
        shown = self.shown
        rows = [self._row("statement", Value(shown.statement.hex(), kind="code"))]
        if shown.key is not None:
            rows.append(self._row("key", Value(shown.key.hex(), kind="code")))
        rows.append(self._row("schema", Value(shown.header.schema.hex(), kind="code")))
        if shown.decided_at is not None:
            rows.append(self._row("decided_at", self._time(shown.decided_at)))
        if shown.proof is not None:
            rows.append(self._row("log", shown.proof.log))
            rows.append(self._row("entry", str(shown.proof.index)))
            rows.append(self._row("tree_size", str(shown.proof.size)))
            if shown.proof.root is not None:
                rows.append(self._row("tree_root", Value(shown.proof.root.hex(), kind="code")))
        return tuple(rows)

    def _feedback(self) -> Feedback | None:
        shown, header = self.shown, self.shown.header
        if not shown.feedback_command or header.act is Act.FEEDBACK or shown.member == header.originator:
            return None
        outcomes: Mapping[str, str] = self.words.tables["enums"]["Outcome"]
        name = header.reference.removeprefix("halong:")
        command = f"{shown.feedback_command} {name} --outcome CHECKED_NO_FINDING"
        return Feedback(command, tuple(outcomes.items()))


def _type_name(field: Mapping[str, Any]) -> str:
    node, _, _ = type_of(field["type"], {})
    return str(node.get("name", node["type"]))
