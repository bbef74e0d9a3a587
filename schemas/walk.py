"""Going through a schema, and through a value beside its schema.

Decides nothing: it finds named types again where a schema uses them by name, and pairs each value with
the field that it stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

Node = Mapping[str, Any]
MOST_KNOWN = 1_024

P = ParamSpec("P")
T = TypeVar("T")


def once_a_node(work: Callable[Concatenate[Node, P], T]) -> Callable[Concatenate[Node, P], T]:
    """Let a function look at each part of a schema once: schemas live as long as the catalogue."""
    done: dict[int, tuple[Node, T]] = {}

    @wraps(work)
    def remembering(node: Node, /, *args: P.args, **kwargs: P.kwargs) -> T:
        known = done.get(id(node))
        # An id may be given again once its node is gone; ours is not gone while it is kept here.
        if known is None or known[0] is not node:
            found = work(node, *args, **kwargs)
            if len(done) >= MOST_KNOWN:
                done.clear()
            known = done[id(node)] = node, found
        return known[1]

    return remembering


@dataclass(frozen=True, slots=True)
class Spot:
    """One value, and where it stands.

    `marks` are the field with all its attributes, `record` the name of the record that it is in, `node` the
    type of the value: for an array of items, each item is a spot of its own.
    """

    path: str
    record: str
    marks: Node
    node: Node
    value: Any


@once_a_node
def named_types(schema: Node) -> Mapping[str, Node]:
    """Return all named types of a schema, the schema itself among them, by their names."""
    found: dict[str, Node] = {}
    _collect(schema, found)
    return found


def type_of(node: Any, names: Mapping[str, Node]) -> tuple[Node, bool, bool]:
    """Return the type behind a field's type, whether it may be null, and whether it is an array of it."""
    nullable = isinstance(node, list)
    if nullable:
        node = node[1]
    is_array = isinstance(node, Mapping) and node.get("type") == "array"
    if is_array:
        node = node["items"]
    if isinstance(node, str):
        node = names.get(node, {"type": node})
    return node, nullable, is_array


def spots(schema: Node, values: Mapping[str, Any]) -> Iterator[Spot]:
    """Yield every value that is there, in the schema's order, records before what is in them.

    `values` may be the Python or the JSON form, and needs not to be complete or right: what does not
    fit the schema is passed over.
    """
    yield from _spots(schema, values, named_types(schema), "")


def _spots(record: Node, values: Mapping[str, Any], names: Mapping[str, Node], above: str) -> Iterator[Spot]:
    for field in record["fields"]:
        value = values.get(field["name"])
        if value is None:
            continue
        node, _, is_array = type_of(field["type"], names)
        path = f"{above}{field['name']}"
        if not is_array:
            pairs = [(path, value)]
        elif isinstance(value, list | tuple):
            pairs = [(f"{path}.{place}", item) for place, item in enumerate(value)]
        else:
            continue
        for place, item in pairs:
            yield Spot(place, record["name"], field, node, item)
            if node["type"] == "record" and isinstance(item, Mapping):
                yield from _spots(node, item, names, f"{place}.")


def _collect(node: Any, found: dict[str, Node]) -> None:
    match node:
        case list():
            for one in node:
                _collect(one, found)
        case {"type": "record", "name": str() as name, "fields": fields}:
            found[name] = node
            for field in fields:
                _collect(field["type"], found)
        case {"type": "enum" | "fixed", "name": str() as name}:
            found[name] = node
        case {"type": "array", "items": items}:
            _collect(items, found)
        case _:
            pass
