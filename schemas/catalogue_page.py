"""The catalogue of notice types as a page of the documentation, made from the schemas.

    python -m schemas.catalogue_page

writes docs/catalogue.md.  Decides how the page looks; what it says is in schemas, labels and code lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from broker.core.catalogue import NoticeType
from broker.core.model import Slot
from schemas import code_list, code_lists, labels, load_catalogue
from schemas.walk import Node, named_types, type_of

PAGE = Path("docs/catalogue.md")
INTRODUCTION = """# Notice types

<!-- Made from schemas/ by `python -m schemas.catalogue_page`; a test compares. -->

What a notice of each type can say. Each field belongs to one of six *slots*, which agreements share or
withhold as a whole: **facts** (not nominal), **identifiers** (parcels, containers, declarations),
**entities** (firms and offices), **persons**, **intelligence** (assessments and free text), **attachments**.
A field that is *needed* is never null; every other one may be left out.

In a JSON file for `halong publish`, decimals are strings (`"12.5"`), times are ISO 8601 with their offset
(`"2026-11-25T09:00:00+07:00"`), bytes are hex, enums their symbols. A number with a check digit may be given
as text; its verdict is filled in. Codes, check digits and unusual forms are flagged to readers, never
refused.
"""


def catalogue_page() -> str:
    """Return the page as Markdown."""
    types = sorted(load_catalogue(), key=lambda one: str(one.schema["code"]))
    parts = [INTRODUCTION, *_contents(types)]
    for one in types:
        parts += _type(one)
    parts += _shared_types(types)
    parts += _lists()
    return "\n".join(parts) + "\n"


def _contents(types: Iterable[NoticeType]) -> Iterator[str]:
    yield "| code | type | | Vietnamese | usual mark | always sealed |\n| --- | --- | --- | --- | --- | --- |"
    for one in types:
        sealed = ", ".join(one.schema["sealed"]) or "–"
        yield (
            f"| {one.schema['code']} | [`{one.name}`](#{one.name}) | {labels('en').word('types', one.name)} "
            f"| {labels('vi').word('types', one.name)} | TLP:{one.schema['tlp']} | {sealed} |"
        )
    yield ""


def _type(one: NoticeType) -> Iterator[str]:
    yield f"## {one.name}\n\n{one.schema['doc']}\n\nSchema `{one.digest.hex()}`\n"
    for slot in Slot:
        fields = one.fields(slot)
        if fields:
            yield f"### {one.name}: {slot.label}\n"
            yield from _fields(str(one.schema["name"]), fields)
    own = _own_types(one)
    if own:
        yield f"### {one.name}: types of its own\n"
        yield from _named(own)


def _fields(record: str, fields: Iterable[Node]) -> Iterator[str]:
    yield "| field | | Vietnamese | type | |\n| --- | --- | --- | --- | --- |"
    for field in fields:
        node, nullable, is_array = type_of(field["type"], {})
        name = _type_text(node, field)
        kind = f"list of {name}" if is_array else name
        needed = "" if nullable else " **needed**"
        words = [labels(language).field(record, field["name"]) for language in ("en", "vi")]
        rules = "".join(f" {rule}" for rule in _rules(field))
        yield f"| `{field['name']}`{needed} | {words[0]} | {words[1]} | {kind} | {field['doc']}{rules} |"
    yield ""


def _type_text(node: Node, field: Node) -> str:
    match node:
        case {"logicalType": "timestamp-millis"}:
            return "time"
        case {"logicalType": "decimal", "precision": precision, "scale": scale}:
            return f"decimal({precision}, {scale})"
        case {"type": "fixed", "size": size}:
            return f"{size} bytes"
        case {"name": name}:
            return f"[{name}](#{name.lower()})"
        case {"type": "string"} if "codes" in field:
            return f"code of [{field['codes']}](#code-lists)"
        case {"type": "string"}:
            return "text"
        case {"type": "int" | "long"}:
            return "number"
        case _:
            return str(node["type"])


def _rules(field: Node) -> Iterator[str]:
    if "check_digit" in field and field["check_digit"] != "none":
        yield f"Check digit: `{field['check_digit']}`."
    if "form" in field:
        yield f"Form: `{field['form'].replace('|', chr(92) + '|')}`."


def _own_types(one: NoticeType) -> dict[str, Node]:
    """Return the named types that no other notice type has."""
    others: set[str] = set()
    for other in load_catalogue():
        if other.name != one.name:
            others |= set(named_types(other.schema))
    return {
        name: node
        for name, node in named_types(one.schema).items()
        if name not in others and node["type"] != "fixed" and name != one.schema["name"]
    }


def _shared_types(types: Iterable[NoticeType]) -> Iterator[str]:
    shared: dict[str, Node] = {}
    for one in types:
        own = _own_types(one)
        for name, node in named_types(one.schema).items():
            if name not in own and name != one.schema["name"] and node["type"] != "fixed":
                shared.setdefault(name, node)
    yield "## Types that several notices use\n"
    yield from _named(shared)


def _named(types: Mapping[str, Node]) -> Iterator[str]:
    for name, node in sorted(types.items()):
        yield f"#### {name}\n\n{node['doc']}\n"
        if node["type"] == "record":
            yield from _fields(name, _resolved(node, types))
        else:
            yield "| symbol | | Vietnamese |\n| --- | --- | --- |"
            for symbol in node["symbols"]:
                words = [labels(language).symbol(name, symbol) for language in ("en", "vi")]
                yield f"| `{symbol}` | {words[0]} | {words[1]} |"
            yield ""


def _resolved(node: Node, types: Mapping[str, Node]) -> Iterator[dict[str, Any]]:
    """Yield the record's fields with names of types made recognisable as such."""
    for field in node["fields"]:
        inner, nullable, is_array = type_of(field["type"], types)
        known = {"type": "record", "name": inner["type"]} if inner["type"][0].isupper() else inner
        kind: Any = {"type": "array", "items": known} if is_array else known
        yield {**field, "type": ["null", kind] if nullable else kind}


def _lists() -> Iterator[str]:
    yield "## Code lists\n\nWhere the facts come from, and their terms: `schemas/codes/README.md`.\n"
    yield "| list | edition | codes |\n| --- | --- | --- |"
    for name in code_lists():
        one = code_list(name)
        yield f"| {name} | {one.edition} | {len(one):,} |"


def main() -> None:
    """Write the page."""
    PAGE.write_text(catalogue_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
