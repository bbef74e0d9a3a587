"""Notice types as JSON Schema (draft 2020-12), made from the Avro schemas: for programs in other languages.

Decides how the JSON form of `broker.core.notice_json` is described.  It describes what is refused, so a code
that its list lacks, or a check digit that does not fit, is none of its business (`schemas.flags`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from broker.core.catalogue import NoticeType
from broker.core.limits import MOST_SLOT_STRING_BYTES
from broker.core.model import Slot
from broker.core.slots import slot_of
from schemas.walk import Node, named_types, type_of
from schemas.wording import labels

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$"
LONGS = (-(1 << 63), (1 << 63) - 1)
INTS = (-(1 << 31), (1 << 31) - 1)

Schema = dict[str, Any]


def json_schema(notice_type: NoticeType) -> Schema:
    """Return the schema of one notice type, complete in itself."""
    known = definitions([notice_type], "#/$defs/")
    whole = known.pop(str(notice_type.schema["name"]))
    return {"$schema": DIALECT, **whole, "$defs": known}


def definitions(types: Iterable[NoticeType], where: str) -> dict[str, Schema]:
    """Return the schemas of all named types, which refer to each other below `where`."""
    found: dict[str, Schema] = {}
    for notice_type in types:
        names = named_types(notice_type.schema)
        for name, node in names.items():
            if name not in found and node["type"] in ("record", "enum"):
                found[name] = _named(node, names, where, notice_type)
    return dict(sorted(found.items()))


def _named(node: Node, names: Mapping[str, Node], where: str, notice_type: NoticeType) -> Schema:
    doc = {"description": node["doc"]} if "doc" in node else {}
    if node["type"] == "enum":
        return {"type": "string", "enum": list(node["symbols"]), **doc}
    is_whole = node is notice_type.schema
    if is_whole:
        doc["title"] = labels("en").word("types", notice_type.name)
    properties = {}
    needed = []
    for field in node["fields"]:
        kind, nullable, is_array = type_of(field["type"], names)
        schema = _kind(field, kind, where)
        if is_array:
            schema = {"type": "array", "items": schema}
        if nullable:
            schema = {"anyOf": [schema, {"type": "null"}]}
        elif not _is_verdict(node, field):
            needed.append(field["name"])
        properties[field["name"]] = {**schema, **_marks(field, is_whole=is_whole)}
    shape: Schema = {"type": "object", **doc, "properties": properties, "additionalProperties": False}
    return {**shape, "required": needed} if needed else shape


def _is_verdict(record: Node, field: Node) -> bool:
    """Whether a field is the verdict on a check digit, which is filled in where it is missing."""
    return bool(record["name"] == "Identifier" and field["name"] == "check")


def _kind(field: Node, kind: Node, where: str) -> Schema:
    match kind:
        case {"type": "record", "name": str() as name} if "check_digit" in field:
            # The bare number will do: its verdict is filled in.
            return {"anyOf": [_text(), {"$ref": f"{where}{name}"}]}
        case {"type": "record" | "enum", "name": str() as name}:
            return {"$ref": f"{where}{name}"}
        case {"logicalType": "timestamp-millis"}:
            return {"type": "string", "format": "date-time", "pattern": TIME}
        case {"logicalType": "decimal", "precision": int() as precision, "scale": int() as scale}:
            whole = precision - scale
            return {"type": "string", "pattern": rf"^-?[0-9]{{1,{whole}}}(\.[0-9]{{1,{scale}}})?$"}
        case {"type": "fixed", "size": int() as size}:
            return {"type": "string", "pattern": f"^[0-9a-f]{{{2 * size}}}$"}
        case {"type": "bytes"}:
            return {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
        case {"type": ("int" | "long") as name}:
            low, high = INTS if name == "int" else LONGS
            return {"type": "integer", "minimum": low, "maximum": high}
        case {"type": "boolean"}:
            return {"type": "boolean"}
        case _:
            return _text()


def _text() -> Schema:
    return {"type": "string", "maxLength": MOST_SLOT_STRING_BYTES}


def _marks(field: Node, *, is_whole: bool) -> Schema:
    rules = [str(field.get("doc", ""))]
    if "codes" in field:
        rules.append(f"Code list: {field['codes']}.")
    if "form" in field:
        rules.append(f"Usual form: {field['form']}.")
    marks: Schema = {"description": " ".join(filter(None, rules))}
    if is_whole:
        marks["x-halong-slot"] = Slot(slot_of(field)).label
    return marks
