"""The description of the local API: OpenAPI 3.1, made from the routes, the shapes and the notice types.

    python -m adapters.api.openapi

writes docs/openapi.json.  Tells nothing about a node or a network, so it needs no token.

Source: OpenAPI 3.1.1; RFC 9457.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from adapters.api import shapes
from adapters.api.problem import MEDIA_TYPE, RULE_BROKEN, STATUS
from adapters.api.routes import ALWAYS, ROUTES, Parameter, Route
from broker.core.catalogue import Catalogue
from broker.core.errors import HalongError, NotAuthorised
from schemas import load_catalogue
from schemas.json_schema import definitions

FILE = Path("docs/openapi.json")
WHERE = "#/components/schemas/"
DEFAULT_PORT = 8446
FEEDBACK = "Feedback"

INTRODUCTION = """\
A node's API for the member's own systems, on the loopback address of the machine that the node runs on.

Show the token that is in the node's folder, in `api.token`: `Authorization: Bearer …`. Times are ISO 8601
with their offset, decimals are strings, bytes are hexadecimal. Every answer that is not a success is a
problem (RFC 9457) with a stable `code`: 400 the request is not of its form, 422 a rule of the network refuses
it, 429 and 503 send the same again later.
"""

EXAMPLE = {
    "type": "drug-parcel",
    "countries": ["JP", "VN"],
    "subjects": ["hs:8516"],
    "source": "case-2026-004711",
    "notice": {
        "channel": "POST",
        "postal_item": "CP987654326NL",
        "declared_goods": [{"hs": "851671", "value": {"amount": "45.00", "currency": "EUR"}}],
        "narrative": {"language": "en", "text": "Third parcel from the same sender within two weeks."},
    },
}
FEEDBACK_EXAMPLE = {
    "to": "halong:vn/asia-pacific/main/123",
    "notice": {"outcome": "HIT_SEIZED", "usefulness": 5},
}

Schema = dict[str, Any]


def description(catalogue: Catalogue, port: int = DEFAULT_PORT) -> dict[str, Any]:
    """Return the description of the API of a node that knows these notice types."""
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Halong: the local API of a member's node",
            "version": version("halong"),
            "description": INTRODUCTION,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": f"http://127.0.0.1:{port}"}],
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(catalogue),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "What is in the file `api.token` of the node's folder.",
                }
            },
        },
    }


# --- paths ----------------------------------------------------------------------------------------------


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary}
    if route.doc:
        operation["description"] = route.doc
    if route.parameters:
        operation["parameters"] = [_parameter(each) for each in route.parameters]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": _body(route)}}
    operation["responses"] = dict(_responses(route))
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.default is ...,
        "description": parameter.doc,
        "schema": parameter.schema,
    }


def _body(route: Route) -> dict[str, Any]:
    assert route.body is not None
    one = _ref(route.body)
    schema: Schema = one
    if route.many:
        many = {"type": "array", "items": one, "minItems": 1, "maxItems": shapes.MOST_NOTICES}
        schema = {"anyOf": [one, many]}
    return {"schema": schema, "example": EXAMPLE if route.body is shapes.NewNotice else FEEDBACK_EXAMPLE}


def _responses(route: Route) -> Iterator[tuple[str, Any]]:
    if isinstance(route.answer, str):
        media_type = route.answer
        schema: Schema = {"type": "object" if media_type.endswith("json") else "string"}
    else:
        media_type, schema = "application/json", _ref(route.answer)
    yield (
        str(route.status),
        {
            "description": HTTPStatus(route.status).phrase,
            "content": {media_type: {"schema": schema}},
        },
    )
    for status, kinds in sorted(_problems(route).items()):
        codes = ", ".join(f"`{kind.code}`" for kind in kinds if kind.code)
        yield (
            str(status),
            {
                "description": f"{HTTPStatus(status).phrase}: {codes}"
                if codes
                else "A rule refuses it; `code` says which.",
                "content": {MEDIA_TYPE: {"schema": _ref(shapes.Problem)}},
            },
        )


def _problems(route: Route) -> dict[int, list[type[HalongError]]]:
    found: dict[int, list[type[HalongError]]] = {}
    for kind in (*ALWAYS, NotAuthorised, *route.refusals):
        found.setdefault(STATUS.get(kind, RULE_BROKEN), []).append(kind)
    return found


# --- schemas --------------------------------------------------------------------------------------------


def _ref(shape: type[msgspec.Struct]) -> Schema:
    return {"$ref": f"{WHERE}{shape.__name__}"}


def _schemas(catalogue: Catalogue) -> dict[str, Schema]:
    used = {route.answer for route in ROUTES if not isinstance(route.answer, str)}
    used |= {route.body for route in ROUTES if route.body is not None} | {shapes.Problem}
    ordered = sorted(used, key=lambda one: one.__name__)
    _, ours = msgspec.json.schema_components(ordered, ref_template=WHERE + "{name}")
    types = sorted((catalogue.current(one.name) for one in catalogue), key=lambda one: one.name)
    contents = definitions(types, WHERE)
    clashing = ours.keys() & contents.keys()
    assert not clashing, clashing
    general = ours["NewNotice"]
    kinds = {one.name: str(one.schema["name"]) for one in types}
    for name, content in kinds.items():
        assert f"New{content}" not in ours, content
        ours[f"New{content}"] = _new_notice(general, name, content)
    ours["NewNotice"] = {
        "title": "NewNotice",
        "description": general["description"],
        "oneOf": [{"$ref": f"{WHERE}New{content}"} for content in kinds.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {name: f"{WHERE}New{content}" for name, content in kinds.items()},
        },
    }
    if FEEDBACK in contents:
        ours["NewAnswer"]["properties"]["notice"] = {"$ref": f"{WHERE}{FEEDBACK}"}
    return dict(sorted({**ours, **contents}.items()))


def _new_notice(general: Mapping[str, Any], name: str, content: str) -> Schema:
    """Return the shape of a notice of one type: the general one, with its content described."""
    properties = {
        **general["properties"],
        "type": {"type": "string", "const": name},
        "notice": {"$ref": f"{WHERE}{content}"},
    }
    return {**general, "title": f"New{content}", "properties": properties}


def page() -> bytes:
    """Return the file of the documentation."""
    return msgspec.json.format(msgspec.json.encode(description(load_catalogue())), indent=1) + b"\n"


def main() -> None:
    """Write the file of the documentation."""
    FILE.write_bytes(page())


if __name__ == "__main__":
    main()
