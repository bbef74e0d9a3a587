"""What stands in a path, a query or a header, read by the schema that describes it.

Decides strictly: what the description does not allow is refused, and so is a name that it does not have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from adapters.api.routes import Parameter, Schema
from broker.core.errors import NotCanonical

MOST_LETTERS = 32
_WHOLE = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def read(request: web.Request, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the value of each parameter.

    Raises:
        NotCanonical: One is missing, twice there, not as described, or not described at all.
    """
    known = {each.name for each in parameters if each.where == "query"}
    for name in request.query:
        if name not in known:
            raise NotCanonical("this path has no such parameter", field="query")
    return {each.name: _value(each, _texts(request, each)) for each in parameters}


def _texts(request: web.Request, parameter: Parameter) -> list[str]:
    match parameter.where:
        case "path":
            return [request.match_info[parameter.name]]
        case "query":
            return request.query.getall(parameter.name, [])
        case "header":
            return request.headers.getall(parameter.name, [])


def _value(parameter: Parameter, texts: list[str]) -> Any:
    if not texts:
        if parameter.default is ...:
            raise NotCanonical("is missing", field=parameter.name)
        return parameter.default
    schema = parameter.schema
    if schema["type"] == "array":
        return tuple(_one(schema["items"], text, parameter.name) for text in texts)
    if len(texts) > 1:
        raise NotCanonical("is there more than once", field=parameter.name)
    return _one(schema, texts[0], parameter.name)


def _one(schema: Schema, text: str, name: str) -> Any:
    if schema["type"] == "string":
        return _text(schema, text, name)
    whole = schema["type"] == "integer"
    if len(text) > MOST_LETTERS or not (_WHOLE if whole else _DECIMAL).fullmatch(text):
        raise NotCanonical("not a whole number" if whole else "not a number", field=name)
    number = int(text) if whole else float(text)
    if not schema["minimum"] <= number <= schema["maximum"]:
        raise NotCanonical(f"not between {schema['minimum']} and {schema['maximum']}", field=name)
    return number


def _text(schema: Schema, text: str, name: str) -> str:
    if "enum" in schema and text not in schema["enum"]:
        raise NotCanonical(f"not one of {', '.join(schema['enum'])}", field=name)
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)):
        raise NotCanonical("too short or too long", field=name)
    # Patterns of a description end at `$`, which here would let a line feed pass.
    if "pattern" in schema and not re.fullmatch(schema["pattern"].removesuffix("$"), text):
        raise NotCanonical("not of its form", field=name)
    return text
