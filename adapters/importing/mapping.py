"""How a row of somebody's table becomes a notice: a small file of columns, not code.

Decides which rows a map selects, what each row says, and why a row cannot be said.  What a notice must
hold is the catalogue's; that a row is never sent twice is the store's, by the source that `convert`
names.  Every selected row ends in exactly one of two places: a notice, or a reason.
The file itself is read in `map_file`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from broker.core.errors import BadConfiguration

Row = Mapping[str, str]
CodeList = Callable[[str, str | None], Container[str]]
Resolve = Callable[[str], str | None]

SETS = ("countries", "subjects", "addressees", "regions_concerned", "references")
SPANS = {
    "effective_days": ("effective_until", timedelta(days=1)),
    "retain_days": ("retain_until", timedelta(days=1)),
    "feedback_hours": ("feedback_due", timedelta(hours=1)),
}


class Unusable(Exception):
    """A row cannot become a notice.

    Args:
        column: The column at fault, or the notice's field.
        reason: Why, without the value.
    """

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")
        self.column = column
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Cell:
    """How one column's text becomes a value."""

    column: str
    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A row is selected if the column holds one of the values, or, negated, none of them."""

    column: str
    values: frozenset[str]
    negated: bool


@dataclass(frozen=True, slots=True)
class Mapped:
    """One row as the JSON form of a notice.

    `source` names map and row, so that the same row is the same notice for ever.
    """

    source: str
    notice: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TableMap:
    """A map that was read and holds together; `header` and `notice` are trees with `Cell` leaves."""

    id: str
    notice_type: str
    key: str
    where: tuple[Condition, ...]
    header: Mapping[str, Any]
    notice: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, Any]]
    delimiter: str
    encoding: str

    def columns(self) -> frozenset[str]:
        """Return the columns that the table must have."""
        cells = [cell.column for tree in (self.header, self.notice) for cell in _cells(tree)]
        return frozenset([self.key, *cells, *(condition.column for condition in self.where)])

    def check_columns(self, present: Sequence[str], table: str) -> None:
        """Refuse a table that lacks a column of the map.

        Raises:
            BadConfiguration: Columns are missing; names them.
        """
        missing = sorted(self.columns() - set(present))
        if missing:
            raise BadConfiguration(
                f"the map {self.id} names columns that the table lacks: {', '.join(missing)}", field=table
            )

    def selects(self, row: Row) -> bool:
        """Tell whether the row is one that the map wants to say."""
        return all((row[one.column].strip() in one.values) is not one.negated for one in self.where)

    def convert(self, row: Row, *, now: int, codes: CodeList, resolve: Resolve) -> Mapped:
        """Return the row as a notice.

        Args:
            row: The row, by column.
            now: The time that the spans of the header count from.
            codes: Finds a code list by name and edition.
            resolve: Finds the statement id of a reference, or None.

        Raises:
            Unusable: It cannot be said; names the column and the reason.
        """
        key = row[self.key].strip()
        if not key:
            raise Unusable(self.key, "the key is empty")
        reading = _Reading(row, self.tables, codes, resolve)
        notice: dict[str, Any] = {"type": self.notice_type}
        for name, template in self.header.items():
            if name in SPANS:
                target, unit = SPANS[name]
                notice[target] = _iso(now + int(template * (unit / timedelta(milliseconds=1))))
                continue
            value = reading.value(template)
            notice[name] = sorted(set(value or ())) if name in SETS else value
        notice["notice"] = reading.value(self.notice) or {}
        return Mapped(f"{self.id}/{key}", notice)


@dataclass(slots=True)
class _Reading:
    row: Row
    tables: Mapping[str, Mapping[str, Any]]
    codes: CodeList
    resolve: Resolve

    def value(self, template: Any) -> Any:
        """Return the template with every cell read; what is empty is left out, up to whole records."""
        match template:
            case Cell():
                return self.cell(template)
            case Mapping():
                read = {name: self.value(part) for name, part in template.items()}
                filled = {name: value for name, value in read.items() if value is not None}
                spoken = any(read[name] is not None for name in template if _speaks(template[name]))
                return filled if spoken or not any(_speaks(part) for part in template.values()) else None
            case list():
                return [value for part in template if (value := self.value(part)) is not None] or None
            case _:
                return template

    def cell(self, cell: Cell) -> Any:
        text = self.row[cell.column].strip()
        if text in cell.options.get("empty", ()):
            text = ""
        if not text:
            if cell.options.get("required"):
                raise Unusable(cell.column, "empty, and the notice needs it")
            return cell.options.get("default")
        match cell.kind:
            case "integer":
                return _integer(cell, text)
            case "decimal":
                return _decimal(cell, text)
            case "date":
                return _date(cell, text)
            case "code":
                return self.code(cell, text)
            case "lookup":
                try:
                    return self.tables[cell.options["table"]][text]
                except KeyError:
                    raise Unusable(cell.column, f"not in the map's table {cell.options['table']}") from None
            case "statement":
                statement = self.resolve(text)
                if statement is None:
                    raise Unusable(cell.column, "no notice of that reference is known at this node")
                return statement
            case _:
                return _text(cell, text)

    def code(self, cell: Cell, text: str) -> str:
        name, edition = cell.options["list"], cell.options.get("edition")
        if text not in self.codes(name, edition):
            raise Unusable(cell.column, f"not in the code list {name}{f' {edition}' if edition else ''}")
        return _text(cell, text)


def _speaks(template: Any) -> bool:
    """Tell whether a part can differ from row to row: constants alone do not make a record."""
    return next(_cells(template), None) is not None


def _cells(template: Any) -> Iterator[Cell]:
    match template:
        case Cell():
            yield template
        case Mapping():
            for part in template.values():
                yield from _cells(part)
        case list():
            for part in template:
                yield from _cells(part)
        case _:
            pass


# --- converters -----------------------------------------------------------------------------------------


def _text(cell: Cell, text: str) -> str:
    options = cell.options
    if "take" in options:
        text = text[: options["take"]]
    if options.get("upper"):
        text = text.upper()
    return f"{options.get('prefix', '')}{text}"


def _integer(cell: Cell, text: str) -> int:
    try:
        number = Decimal(text)
        if number != number.to_integral_value():
            raise Unusable(cell.column, "not a whole number")
    except InvalidOperation:
        raise Unusable(cell.column, "not a number") from None
    return int(number)


def _decimal(cell: Cell, text: str) -> str:
    """Return a decimal as text, rounded half to even at `scale`: tables carry noise of floating point."""
    try:
        number = Decimal(text)
        if not number.is_finite():
            raise Unusable(cell.column, "not a number")
        number = number.quantize(Decimal(1).scaleb(-cell.options.get("scale", 4)), rounding=ROUND_HALF_EVEN)
    except InvalidOperation:
        raise Unusable(cell.column, "not a number") from None
    return format(number, "f")


def _date(cell: Cell, text: str) -> str:
    try:
        moment = datetime.strptime(text, cell.options.get("format", "%Y-%m-%d")).replace(tzinfo=UTC)
    except ValueError:
        raise Unusable(cell.column, "not a date in the map's format") from None
    moment -= timedelta(hours=cell.options.get("offset_hours", 0))
    return _iso((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))


def _iso(at: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"
