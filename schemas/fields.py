"""The fields of a notice as rows: labels, values and, for records, rows within rows.

Decides how each kind of record reads: an amount or a place is one line, a firm or a person a group of
lines.  Works from the schema and its marks, so a type that it does not know still reads.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from broker.core.catalogue import NoticeType
from broker.core.model import Slot
from schemas.check_digits import check_digit
from schemas.flags import Flag, FlagKind
from schemas.readable import Value, coded, money, number, percent, quantity, time, visible
from schemas.walk import Node, type_of
from schemas.wording import Labels

Fields = Mapping[str, Any]
SECRETS = frozenset({"FileKey"})
"""Types that a page says it has, and does not show: a page is printed and passed on."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled line: values, or groups of rows."""

    label: str
    values: tuple[Value, ...] = ()
    groups: tuple[tuple[Row, ...], ...] = ()


class Reading:
    """How the fields of one notice read in one language.

    Args:
        notice_type: The type.
        words: The language's words.
        offset_minutes: The reader's wall clock, minutes east of UTC.
        found: The notice's flags; each is a note on its value.
    """

    def __init__(
        self, notice_type: NoticeType, words: Labels, offset_minutes: int, found: Iterable[Flag]
    ) -> None:
        self._type = notice_type
        self._words = words
        self._language = words.language
        self._offset = offset_minutes
        self._notes: dict[str, list[Flag]] = {}
        for flag in found:
            self._notes.setdefault(flag.path, []).append(flag)
        self._lines: Mapping[str, Callable[[Fields], Value]] = {
            "Quantity": lambda one: quantity(one["value"], one["unit"], self._language),
            "Money": lambda one: money(one["amount"], one["currency"], self._language),
            "Place": self.place,
            "FreeText": self._prose,
            "Band": self._band,
            "ExternalId": lambda one: self._pair(
                self._words.symbol("ExternalSystem", one["system"]), one["value"]
            ),
        }

    def rows(self, slot: Slot, values: Fields, *, omit: Container[str] = ()) -> tuple[Row, ...]:
        """Return a row for each field of the slot that has a value."""
        record = str(self._type.schema["name"])
        return self._rows(record, self._type.fields(slot), values, "", omit)

    def place(self, place: Fields) -> Value:
        """Return a place as one line: `Hai Phong, Viet Nam`, with its most exact code."""
        country = coded("countries", place["country"], self._language)
        location = place.get("location")
        if not location:
            return country
        town = coded("locations", location, self._language)
        if town.code is None:
            return replace(country, code=town.text)
        name = town.text if town.text == country.text else f"{town.text}, {country.text}"
        return Value(name, code=town.code)

    def _rows(
        self, record: str, fields: Iterable[Node], values: Fields, above: str, omit: Container[str] = ()
    ) -> tuple[Row, ...]:
        rows = []
        for field in fields:
            name, value = field["name"], values.get(field["name"])
            if value is None or name in omit:
                continue
            node, _, is_array = type_of(field["type"], {})
            path = f"{above}{name}"
            items = [(f"{path}.{place}", item) for place, item in enumerate(value)] if is_array else []
            pairs = items if is_array else [(path, value)]
            label = visible(self._words.field(record, name))
            if node["type"] == "record" and node["name"] not in {"Identifier", *self._lines}:
                groups = [self._rows(node["name"], node["fields"], item, f"{at}.") for at, item in pairs]
                rows.append(Row(label, groups=tuple(groups)))
            else:
                rows.append(Row(label, tuple(self._value(field, node, item, at) for at, item in pairs)))
        return tuple(rows)

    def _value(self, field: Node, node: Node, value: Any, path: str) -> Value:
        if node["type"] != "record":
            ready = self._leaf(field, node, value)
        elif node["name"] == "Identifier":
            ready = self._identifier(field, value)
        else:
            ready = self._lines[node["name"]](value)
        below = [flag for at, found in self._notes.items() if _is_at(at, path, node) for flag in found]
        odd = dict.fromkeys(self._note(flag) for flag in below if flag.kind is not FlagKind.CHECK_DIGIT)
        return replace(ready, flags=tuple(odd))

    def _note(self, flag: Flag) -> str:
        text = self._words.word("flags", flag.kind.name)
        return text.format(list=flag.list, edition=flag.edition)

    def _leaf(self, field: Node, node: Node, value: Any) -> Value:
        match node:
            case {"type": "enum", "name": str() as name}:
                return Value(visible(self._words.symbol(name, value)))
            case {"logicalType": "timestamp-millis"}:
                return time(value, self._language, self._offset)
            case {"logicalType": "decimal"} if field.get("unit") == "P1":
                return percent(value, self._language)
            case {"logicalType": "decimal"} | {"type": "int" | "long"}:
                return Value(number(value, self._language), kind="number")
            case {"type": "boolean"}:
                return Value(self._words.page("yes" if value else "no"))
            case {"name": str() as name} if name in SECRETS:
                return Value(self._words.page("key_held"))
            case {"type": "fixed" | "bytes"}:
                return Value(value.hex(), kind="code")
            case {"type": "string"} if "codes" in field:
                return coded(field["codes"], value, self._language)
            case _:
                return Value(visible(str(value)), kind="code" if "form" in field else "text")

    def _identifier(self, field: Node, one: Fields) -> Value:
        # Computed again: what the originator says about its own number is not a check.
        verdict = check_digit(field["check_digit"], one["value"]) if "check_digit" in field else one["check"]
        fits = {"VALID": True, "INVALID": False}.get(verdict)
        notes = () if fits is None else (self._words.symbol("Check", verdict),)
        return Value(visible(one["value"]), kind="code", notes=notes, fits=fits)

    def _prose(self, one: Fields) -> Value:
        name = coded("languages", one["language"], self._language).text
        note = self._words.page("in_language").format(language=name)
        known = one["language"].isascii() and one["language"].isalpha() and len(one["language"]) == 2
        return Value(
            visible(one["text"]),
            language=one["language"].lower() if known else None,
            kind="prose",
            notes=(note,),
        )

    def _band(self, one: Fields) -> Value:
        ends = [
            percent(one[end], self._language).text for end in ("lowest", "highest") if one[end] is not None
        ]
        return Value(" – ".join(ends), kind="number")

    def _pair(self, name: str, value: str) -> Value:
        return Value(visible(f"{name}: {value}"))


def _is_at(flagged: str, path: str, node: Node) -> bool:
    """Whether a flag belongs to the value at `path`: a record on one line has the flags of its parts."""
    return flagged == path or (node["type"] == "record" and flagged.startswith(f"{path}."))
