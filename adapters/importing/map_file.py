"""What a map file may say.

A map is TOML: `id`, `type`, `key` (a column unique in the table), `[where]`, `[header]`, `[notice]`,
`[tables.<name>]`.  A value is a constant, or a table with `column` and perhaps `as`: text (the default),
integer, decimal, date, code (a row whose code is not in the list is not sent), lookup, statement.  What they
do is `mapping`; whether the notice is complete is the catalogue's to say.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from adapters.importing.mapping import SETS, SPANS, Cell, Condition, TableMap
from broker.core.errors import BadConfiguration

_TOP = {"id", "type", "key", "where", "header", "notice", "tables", "delimiter", "encoding"}
_HEADER = {
    "region", "regions_concerned", "countries", "status", "act", "references", "tlp", "handling", "purpose",
    "subjects", "campaign", "addressees", "effective_days", "retain_days", "feedback_hours",
}  # fmt: skip
_OPTIONS = {
    "text": {"take", "prefix", "upper"},
    "integer": set[str](),
    "decimal": {"scale"},
    "date": {"format", "offset_hours"},
    "code": {"list", "edition", "take", "prefix"},
    "lookup": {"table"},
    "statement": set[str](),
}
_SHARED_OPTIONS = {"column", "as", "default", "required", "empty"}


def parse_map(data: bytes, name: str) -> TableMap:
    """Return the map that the file `name` holds.

    Raises:
        BadConfiguration: It is no map; names the setting.
    """
    try:
        tree = tomllib.loads(data.decode())
    except ValueError as error:  # TOML or UTF-8 that is none, and a number too long to be read
        raise BadConfiguration(f"not readable as TOML: {error}", field=name) from None
    except RecursionError:
        raise BadConfiguration("not readable as TOML: nested too deeply", field=name) from None
    _only(tree, _TOP, name, "the map")
    header, notice = tree.get("header", {}), tree.get("notice")
    if not isinstance(header, dict) or not isinstance(notice, dict):
        raise BadConfiguration("a map has a table [notice], and perhaps [header]", field=name)
    _only(header, _HEADER, name, "[header]")
    for span in SPANS.keys() & header.keys():
        if not isinstance(header[span], int | float) or header[span] <= 0:
            raise BadConfiguration(f"{span} is a number above zero", field=f"{name}: header.{span}")
    for listed in SETS:
        if not isinstance(header.get(listed, []), list):
            raise BadConfiguration(f"{listed} is a list", field=f"{name}: header.{listed}")
    tables = tree.get("tables", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise BadConfiguration("[tables.<name>] pairs texts of the table with values", field=name)
    return TableMap(
        id=_string(tree, "id", name),
        notice_type=_string(tree, "type", name),
        key=_string(tree, "key", name),
        where=_conditions(tree.get("where", {}), name),
        header={field: _template(part, f"{name}: header.{field}", tables) for field, part in header.items()},
        notice={field: _template(part, f"{name}: notice.{field}", tables) for field, part in notice.items()},
        tables=tables,
        delimiter=_string(tree, "delimiter", name, ","),
        encoding=_string(tree, "encoding", name, "utf-8-sig"),
    )


def _only(tree: Mapping[str, Any], known: set[str], name: str, what: str) -> None:
    for setting in tree:
        if setting not in known:
            raise BadConfiguration(
                f"{what} has no setting {setting}; possible: {', '.join(sorted(known))}", field=name
            )


def _string(tree: Mapping[str, Any], setting: str, name: str, default: str | None = None) -> str:
    value = tree.get(setting, default)
    if not isinstance(value, str) or not value:
        raise BadConfiguration(f"{setting} is needed, and is a text", field=f"{name}: {setting}")
    return value


def _conditions(tree: Any, name: str) -> tuple[Condition, ...]:
    if not isinstance(tree, dict):
        raise BadConfiguration("[where] pairs columns with the values that select a row", field=name)
    conditions: list[Condition] = []
    for column, wanted in tree.items():
        negated = isinstance(wanted, dict) and wanted.keys() == {"not"}
        values = wanted["not"] if negated else wanted
        values = values if isinstance(values, list) else [values]
        if not all(isinstance(value, str) for value in values):
            raise BadConfiguration(
                "a condition is a text, a list of texts, or { not = … } of them",
                field=f"{name}: where.{column}",
            )
        conditions.append(Condition(column, frozenset(values), negated))
    return tuple(conditions)


def _template(part: Any, place: str, tables: Mapping[str, Any]) -> Any:
    match part:
        case {"column": _}:
            return _cell(part, place, tables)
        case dict():
            return {field: _template(value, f"{place}.{field}", tables) for field, value in part.items()}
        case list():
            return [_template(value, f"{place}[{index}]", tables) for index, value in enumerate(part)]
        case str() | bool() | int():
            return part
        case _:
            raise BadConfiguration(
                "a constant is a text, a whole number or true and false; write decimals and times as text",
                field=place,
            )


def _cell(part: Mapping[str, Any], place: str, tables: Mapping[str, Any]) -> Cell:
    kind = part.get("as", "text")
    if kind not in _OPTIONS:
        raise BadConfiguration(f"`as` is one of {', '.join(_OPTIONS)}", field=place)
    _only(part, _OPTIONS[kind] | _SHARED_OPTIONS, place, f"a column as {kind}")
    if not isinstance(part["column"], str):
        raise BadConfiguration("`column` is the name of a column", field=place)
    if kind == "code" and not isinstance(part.get("list"), str):
        raise BadConfiguration("a code names its `list`", field=place)
    if kind == "lookup" and part.get("table") not in tables:
        raise BadConfiguration("a lookup names one of the map's [tables.<name>]", field=place)
    for option, wanted in (
        ("take", int),
        ("scale", int),
        ("offset_hours", int),
        ("empty", list),
        ("required", bool),
        ("prefix", str),
        ("format", str),
    ):
        if option in part and not isinstance(part[option], wanted):
            raise BadConfiguration(f"`{option}` is of another kind", field=place)
    return Cell(
        part["column"], kind, {name: value for name, value in part.items() if name not in ("column", "as")}
    )
