"""The classes of `adapters.notices`, made from the schemas.

    python -m schemas.typed

writes one file for each notice type, one for the types that several share, and the package's door.  Decides
how a schema reads as Python; how values travel is decided in `adapters.typed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from textwrap import wrap

from broker.core.catalogue import NoticeType
from broker.core.model import Slot
from schemas import load_catalogue
from schemas.walk import Node, named_types, type_of
from schemas.wording import labels

FOLDER = Path("adapters/notices")
SHARED = "shared"
WIDTH = 110
MADE = "Made from schemas/ by `python -m schemas.typed`; a test compares."
HEX = "str"


def files() -> dict[str, str]:
    """Return the text of every file of the package by its name."""
    types = sorted(load_catalogue(), key=lambda one: str(one.schema["code"]))
    nodes = {one.name: named_types(one.schema) for one in types}
    users: dict[str, int] = {}
    for found in nodes.values():
        for name in found:
            users[name] = users.get(name, 0) + 1
    shared = {name: node for found in nodes.values() for name, node in found.items() if users[name] > 1}
    made = {f"{SHARED}.py": _shared_file(shared)}
    for one in types:
        own = {name: node for name, node in nodes[one.name].items() if name not in shared}
        made[f"{_module(one.name)}.py"] = _type_file(one, own, shared)
    made["__init__.py"] = _door(types, nodes, shared)
    return made


def _module(name: str) -> str:
    return name.replace("-", "_")


# --- files ----------------------------------------------------------------------------------------------


def _shared_file(shared: Mapping[str, Node]) -> str:
    body = list(_definitions(shared, shared))
    return _file(f"Types that several notices use.\n\n{MADE}\n", [], body)


def _type_file(one: NoticeType, own: Mapping[str, Node], shared: Mapping[str, Node]) -> str:
    whole = str(one.schema["name"])
    below = {name: node for name, node in own.items() if name != whole}
    body = [*_definitions(below, {**own, **shared}), *_notice(one, {**own, **shared})]
    text = "\n".join(body)
    used = sorted(name for name in shared if re.search(rf"\b{name}\b", text))
    imports = [_import(f"adapters.notices.{SHARED}", used)] if used else []
    runtime = sorted(name for name in ("Perhaps", "Shown", "TypedNotice") if re.search(rf"\b{name}\b", text))
    imports.append(_import("adapters.typed", runtime))
    title = labels("en").word("types", one.name)
    return _file(f"The notice type `{one.name}`: {title.lower()}.\n\n{MADE}\n", imports, body)


def _door(
    types: Iterable[NoticeType], nodes: Mapping[str, Mapping[str, Node]], shared: Mapping[str, Node]
) -> str:
    imports, names = [], []
    for one in types:
        own = sorted(
            name for name, node in nodes[one.name].items() if name not in shared and node["type"] != "fixed"
        )
        imports.append((f"adapters.notices.{_module(one.name)}", own))
        names += own
    common = sorted(name for name, node in shared.items() if node["type"] != "fixed")
    imports.append((f"adapters.notices.{SHARED}", common))
    exported = ["CLASSES", *sorted([*names, *common])]
    lines = [f'"""A class for each notice type.\n\n{MADE}\n"""', ""]
    lines += [_import(module, found) for module, found in sorted(imports)]
    lines += ["from adapters.typed import TypedNotice", "", "__all__ = ["]
    lines += [f'    "{name}",' for name in exported] + ["]", ""]
    lines.append("CLASSES: dict[str, type[TypedNotice]] = {")
    lines += [f'    "{one.name}": {one.schema["name"]},' for one in types]
    lines += ["}", '"""The class of each type by its name."""']
    return "\n".join(lines) + "\n"


def _file(docstring: str, imports: list[str], body: list[str]) -> str:
    text = "\n".join(body)
    standard = [
        line
        for name, line in (
            (r"\bdatetime\b", "from datetime import datetime"),
            (r"\bDecimal\b", "from decimal import Decimal"),
            (r"\bLiteral\b", "from typing import ClassVar, Literal"),
        )
        if re.search(name, text)
    ]
    if "ClassVar" not in text:
        standard = [line.replace("ClassVar, ", "") for line in standard]
    msgspec = ["from msgspec import Struct", ""] if "(Struct," in text else []
    head = [
        f'"""{docstring}"""',
        "",
        "from __future__ import annotations",
        "",
        *standard,
        "",
        *msgspec,
        *imports,
    ]
    gap = "\n\n\n" if text.lstrip("\n").startswith("class ") else "\n\n"
    return "\n".join(head).rstrip("\n") + gap + text.strip("\n") + "\n"


def _import(module: str, names: Iterable[str]) -> str:
    names = list(names)
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


# --- definitions ----------------------------------------------------------------------------------------


def _definitions(nodes: Mapping[str, Node], names: Mapping[str, Node]) -> Iterator[str]:
    """Yield enums first, then records after those that they use."""
    for name, node in sorted(nodes.items()):
        if node["type"] == "enum":
            yield from ("", _enum(name, node), *_doc(str(node["doc"]), ""))
    for name, node in sorted(nodes.items()):
        if node["type"] == "record":
            yield from ("", "", f"class {name}(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):")
            yield from (*_doc(str(node["doc"]), "    "), "")
            yield from _fields(node, names)


def _enum(name: str, node: Node) -> str:
    symbols = [f'"{symbol}"' for symbol in node["symbols"]]
    line = f"{name} = Literal[{', '.join(symbols)}]"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name} = Literal[", *(f"    {symbol}," for symbol in symbols), "]"])


def _fields(record: Node, names: Mapping[str, Node]) -> Iterator[str]:
    # What is needed comes first, and `check` last: the node fills it in.
    for field in record["fields"]:
        text, nullable = _kind(field, names)
        if record["name"] == "Identifier" and field["name"] == "check":
            nullable = True
        yield f"    {field['name']}: {text}{' | None = None' if nullable else ''}"
        yield from _doc(_said(record, field), "    ")


def _notice(one: NoticeType, names: Mapping[str, Node]) -> Iterator[str]:
    yield from ("", "", f"class {one.schema['name']}(TypedNotice, frozen=True, kw_only=True):")
    yield from (*_doc(str(one.schema["doc"]), "    "), "")
    yield f'    TYPE: ClassVar[str] = "{one.name}"'
    yield "    SLOTS: ClassVar[dict[str, tuple[str, ...]]] = {"
    for slot in Slot:
        fields = [f'"{field["name"]}"' for field in one.fields(slot)]
        inner = ", ".join(fields) + ("," if len(fields) == 1 else "")
        line = f'        "{slot.label}": ({inner}),'
        if len(line) <= WIDTH:
            yield line
        else:
            yield from (
                f'        "{slot.label}": (',
                *(f"            {each}," for each in fields),
                "        ),",
            )
    yield from ("    }", "")
    for field in one.schema["fields"]:
        text, nullable = _kind(field, names)
        typed = f"Perhaps[{text}] = None" if nullable else f"Shown[{text}]"
        yield f"    {field['name']}: {typed}"
        yield from _doc(_said(one.schema, field), "    ")


def _said(record: Node, field: Node) -> str:
    label = labels("en").field(str(record["name"]), field["name"])
    slot = f" ({field['sensitivity']})" if "sensitivity" in field else ""
    codes = f" Code list: {field['codes']}." if "codes" in field else ""
    return f"{label}{slot}: {field['doc']}{codes}"


def _kind(field: Node, names: Mapping[str, Node]) -> tuple[str, bool]:
    node, nullable, is_array = type_of(field["type"], names)
    match node:
        case {"type": "record", "name": str() as name} if "check_digit" in field:
            text = f"{name} | str"
        case {"type": "record" | "enum", "name": str() as name}:
            text = name
        case {"logicalType": "timestamp-millis"}:
            text = "datetime"
        case {"logicalType": "decimal"}:
            text = "Decimal"
        case {"type": "fixed" | "bytes"}:
            text = HEX
        case {"type": "int" | "long"}:
            text = "int"
        case {"type": "boolean"}:
            text = "bool"
        case _:
            text = "str"
    return (f"list[{text}]" if is_array else text), nullable


def _doc(text: str, indent: str) -> list[str]:
    text = text.replace("\\", "\\\\")
    if len(text) + len(indent) + 6 <= WIDTH:
        return [f'{indent}"""{text}"""']
    return [*_wrapped(f'"""{text}', indent), f'{indent}"""']


def _wrapped(text: str, indent: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def main() -> None:
    """Write the package."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
