"""Typed notices: what a notice says as a Python value, to and from its JSON form.

Decides how the classes of `adapters.notices` become the content of a notice and are made from one, and how
what an agreement withholds is told from what there is not: a field of such a slot is `WITHHELD`, never None.
What fits a type is decided by the node (`adapters.sending.draft`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Struct

T = TypeVar("T")


class Withheld(Enum):
    """The value of a field that the agreements keep from the reader.  It is false, as None is."""

    WITHHELD = "withheld"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "WITHHELD"


WITHHELD: Final = Withheld.WITHHELD

Shown: TypeAlias = T | Withheld
"""The type of a field that is needed: never None, but it may be withheld."""

Perhaps: TypeAlias = T | Withheld | None
"""The type of every other field."""


class TypedNotice(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What a notice of one type says.

    `TYPE` is the type's name, `SLOTS` names the fields of each slot.
    """

    TYPE: ClassVar[str]
    SLOTS: ClassVar[Mapping[str, tuple[str, ...]]]

    def to_json(self) -> dict[str, Any]:
        """Return the content in its JSON form, without what is None.

        Raises:
            ValueError: A time has no offset, or a field is withheld: only its originator can say it.
        """
        found: dict[str, Any] = _to_json(self)
        return found

    @classmethod
    def from_json(cls, content: Mapping[str, Any], slots: Mapping[str, str]) -> Self:
        """Return the notice that a delivery shows.

        Args:
            content: The fields of the slots that are shown.
            slots: What the reader has of each slot: `shown`, `none`, `withheld`, `sealed`.

        Raises:
            msgspec.ValidationError: It is of another version of the type, which has other kinds or symbols.
        """
        kinds = _kinds(cls)
        values: dict[str, Any] = {}
        for slot, names in cls.SLOTS.items():
            hidden = slots.get(slot) in ("withheld", "sealed")
            for name in names:
                values[name] = (
                    WITHHELD if hidden else msgspec.convert(content.get(name), kinds[name], strict=True)
                )
        return cls(**values)


@cache
def _kinds(cls: type[TypedNotice]) -> dict[str, Any]:
    """Return the type of each field as it is when it is shown."""
    hints = get_type_hints(cls)
    kinds = {}
    for names in cls.SLOTS.values():
        for name in names:
            seen = [kind for kind in get_args(hints[name]) if kind is not Withheld]
            kind = seen[0]
            for other in seen[1:]:
                kind |= other
            kinds[name] = kind
    return kinds


def _to_json(value: Any) -> Any:
    match value:
        case Struct():
            fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
            return {name: _to_json(one) for name, one in fields if one is not None}
        case list() | tuple():
            return [_to_json(one) for one in value]
        case Decimal():
            return f"{value:f}"
        case datetime():
            if value.tzinfo is None:
                raise ValueError("a time needs its offset from UTC")
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Withheld():
            raise ValueError("a field that was withheld cannot be published")
        case _:
            return value
