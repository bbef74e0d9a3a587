"""Slots: how a notice type falls into six parts, and how each is hidden in a digest.

Decides which fields belong to which slot, what a slot's schema is, and which text may stand in one.
Leaves to `catalogue` the values of a notice, and to `redaction` who gets which slot.

Source: docs/formats.md, "Slots" and the rule for text; Unicode Standard Annex #15 (NFC).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from unicodedata import is_normalized

from broker.core import records
from broker.core.codec import Schema
from broker.core.errors import BadConfiguration
from broker.core.limits import MOST_SLOT_STRING_BYTES
from broker.core.model import Disclosure, Slot

SLOTS_BY_LABEL = {slot.label: slot for slot in Slot}
_SLOT_LABEL = b"halong/slot/1\0"
# Controls but tab and line feed, and what turns the direction of text or breaks its lines.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# What a slot's schema keeps of the whole one: what the encoding depends on.
_STRUCTURE = ("type", "symbols", "size", "items", "logicalType", "precision", "scale")
_NAMED = {"record", "enum", "fixed"}


def disclose(slot: Slot, value: bytes, salt: bytes) -> Disclosure:
    """Return the slot's value with its salt, which is used once: for one slot of one notice."""
    return Disclosure(slot, salt, value)


def slot_digest(disclosure: Disclosure) -> bytes:
    """Return what the header says about the slot."""
    return sha256(_SLOT_LABEL + records.encode(disclosure)).digest()


def check_text(text: str) -> None:
    """Let text pass that reads the same to everybody.

    Raises:
        ValueError: It is too long, not in NFC, or has controls or marks of direction in it.
    """
    # Nearly all text is of this kind, in which a character is a byte.
    if text.isascii() and text.isprintable() and len(text) <= MOST_SLOT_STRING_BYTES:
        return
    # A character has at most four bytes; half a pair is the codec's to refuse.
    if 4 * len(text) > MOST_SLOT_STRING_BYTES < len(text.encode(errors="surrogatepass")):
        raise ValueError(f"text of more than {MOST_SLOT_STRING_BYTES} bytes")
    if _UNWANTED.search(text):
        raise ValueError("text with a control character or a mark of direction")
    if not is_normalized("NFC", text):
        raise ValueError("text that is not in NFC")


def slot_of(field: Mapping[str, Any]) -> Slot:
    """Return the slot of a top-level field.

    Raises:
        BadConfiguration: It is not marked with one.
    """
    slot = SLOTS_BY_LABEL.get(str(field.get("sensitivity")))
    if slot is None:
        raise BadConfiguration("a field that is not marked with its slot", field=str(field.get("name")))
    return slot


def slot_schemas(schema: Schema) -> dict[Slot, dict[str, Any]]:
    """Return the schema of each slot of a notice type, which `check_schema` let pass.

    A named type is defined where a slot first uses it; marks and docs are gone.

    Raises:
        BadConfiguration: A field is not marked with its slot.
    """
    whole = expanded(schema)
    schemas: dict[Slot, dict[str, Any]] = {}
    for slot in Slot:
        fields = [field for field in whole["fields"] if slot_of(field) is slot]
        top = {**whole, "name": f"{whole['name']}_{slot.label}", "fields": fields}
        schemas[slot] = _bare(top, "", set())
    return schemas


def expanded(schema: Schema) -> dict[str, Any]:
    """Return the schema with every name of a type replaced by the type, and namespaces written out.

    Marks and docs stay.  A type that is used often is one shared object, so nothing grows.
    """
    result: dict[str, Any] = _expanded(schema, "", {})
    return result


def _expanded(node: Any, namespace: str, known: dict[str, Any]) -> Any:
    if isinstance(node, str):
        return known.get(_full(node, namespace), node)
    if isinstance(node, list):
        return [_expanded(branch, namespace, known) for branch in node]
    result = dict(node)
    if node["type"] in _NAMED:
        full = _full(node["name"], node.get("namespace", namespace))
        namespace, _, result["name"] = full.rpartition(".")
        result["namespace"] = namespace
    if node["type"] == "record":
        result["fields"] = [
            {**field, "type": _expanded(field["type"], namespace, known)} for field in node["fields"]
        ]
    if node["type"] == "array":
        result["items"] = _expanded(node["items"], namespace, known)
    if node["type"] in _NAMED:
        known[full] = result
    return result


def _bare(node: Any, namespace: str, defined: set[str]) -> Any:
    if isinstance(node, str):
        return node
    if isinstance(node, list):
        return [_bare(branch, namespace, defined) for branch in node]
    result = {key: node[key] for key in _STRUCTURE if key in node}
    if node["type"] in _NAMED:
        full = _full(node["name"], node["namespace"])
        if full in defined:
            return node["name"] if node["namespace"] == namespace else full
        defined.add(full)
        result["name"] = node["name"]
        if node["namespace"] != namespace:
            namespace = result["namespace"] = node["namespace"]
    if node["type"] == "record":
        result["fields"] = [
            {"name": field["name"], "type": _bare(field["type"], namespace, defined)}
            for field in node["fields"]
        ]
    if node["type"] == "array":
        result["items"] = _bare(node["items"], namespace, defined)
    return result


def _full(name: str, namespace: str) -> str:
    return f"{namespace}.{name}" if namespace and "." not in name else name
