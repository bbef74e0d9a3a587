"""Schemas, code lists and labels as files, and the one door through which they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from schemas.code_lists import CodeList, code_list, code_lists
from schemas.wording import LANGUAGES, Labels, labels

if TYPE_CHECKING:
    from broker.core.catalogue import Catalogue, NoticeType

__all__ = [
    "LANGUAGES",
    "CodeList",
    "Labels",
    "code_list",
    "code_lists",
    "labels",
    "load_catalogue",
    "notice_schemas",
    "type_name",
]


def notice_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of all notice types by the types' names: `drug-parcel`."""
    folder = files("schemas") / "notice"
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".avsc"))
    return {
        name.removesuffix(".avsc"): json.loads((folder / name).read_text(encoding="utf-8")) for name in found
    }


def load_catalogue(*extra: Mapping[str, Any]) -> Catalogue:
    """Return the catalogue of all notice types, and of the types that the `extra` schemas describe.

    Raises:
        BadConfiguration: A schema cannot be used.
    """
    # Not at the top: the core reads its records' schemas out of this package while it is being imported.
    from broker.core.catalogue import Catalogue

    return Catalogue([*_own_types(), *map(_type_of, extra)])


@cache
def _own_types() -> tuple[NoticeType, ...]:
    """Return the notice types of this package; they never change, and reading them takes a while."""
    return tuple(map(_type_of, notice_schemas().values()))


def _type_of(schema: Mapping[str, Any]) -> NoticeType:
    from broker.core.catalogue import NoticeType

    return NoticeType(type_name(schema), schema)


def type_name(schema: Mapping[str, Any]) -> str:
    """Return the name of the notice type that a schema describes: `DrugParcel` is `drug-parcel`."""
    return re.sub("(?<!^)(?=[A-Z])", "-", str(schema.get("name"))).lower()
