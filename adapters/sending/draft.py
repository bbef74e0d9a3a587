"""A notice as its author means it, before it is numbered and signed, and its strict JSON.

Decides whether a file, a row or a program's object is a notice that could be signed: every mistake is
found before it is queued, and named by its field.  Who would get it is decided later (`compose`), under
the agreements of the moment in which it is signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self, TypeVar

import msgspec

from adapters.stored import stored
from broker.core.avro_types import Mismatch
from broker.core.catalogue import Catalogue, NoticeType
from broker.core.errors import BadHeader, BadSlot
from broker.core.header import check_header, check_supported
from broker.core.model import Act, Handling, Header, Region, Slot, Status, Tlp
from broker.core.notice_json import time_from_json, time_or_none, values_from_json
from schemas.flags import complete_checks

E = TypeVar("E", bound=IntEnum)
T = TypeVar("T")

DEFAULT_PURPOSE = "customs-enforcement"
DEFAULT_TLP = "AMBER"
DIGEST = re.compile(r"[0-9a-f]{64}")
NO_DIGEST = bytes(32)

LISTS = ("regions_concerned", "countries", "references", "subjects", "addressees")
KEYS = (
    "type", "region", "status", "act", "tlp", "handling", "purpose", "campaign", "effective_until",
    "retain_until", "feedback_due", "notice", "partial", *LISTS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """What the author decides about a notice; `notice` is its content in the JSON form of its type.

    `source` names where it came from (a row of a table); one source is queued once, ever.  `partial` says
    that it may go out although no agreement carries it to some of its addressees.
    """

    notice_type: str
    notice: Mapping[str, Any]
    region: Region
    tlp: Tlp
    regions_concerned: tuple[Region, ...] = ()
    countries: tuple[str, ...] = ()
    status: Status = Status.ACTUAL
    act: Act = Act.ORIGINAL
    references: tuple[bytes, ...] = ()
    handling: Handling = Handling.H1
    purpose: str = DEFAULT_PURPOSE
    subjects: tuple[str, ...] = ()
    campaign: str | None = None
    addressees: tuple[str, ...] = ()
    effective_until: int | None = None
    retain_until: int | None = None
    feedback_due: int | None = None
    partial: bool = False
    source: str | None = field(default=None)

    @classmethod
    def from_json(
        cls,
        obj: object,
        catalogue: Catalogue,
        *,
        member: str,
        region: Region,
        at: int,
        source: str | None = None,
    ) -> Self:
        """Return the draft that a JSON object describes, checked as `member` would sign it at `at`.

        `region` is what it leads in if it names none.

        Raises:
            UnknownType: The catalogue has no such type.
            BadHeader: Something beside the content is missing, unknown or out of its form.
            NotSupported: The act cannot be carried yet.
            BadSlot: The content does not fit its type; the field is named by its path.
        """
        if not isinstance(obj, Mapping):
            raise BadHeader("a notice is an object")
        notice_type = catalogue.current(_text(obj, "type"))
        default_tlp = Tlp[str(notice_type.schema.get("tlp", DEFAULT_TLP))]
        draft = cls._read(obj, region, default_tlp, source)
        for slot, value in notice_type.encode_slots(draft.values(notice_type)).items():
            # What others could not read back, such as text that is not NFC, is not queued.
            notice_type.decode_slot(slot, value)
        header = draft.header(
            originator=member,
            schema=notice_type.digest,
            slots=(NO_DIGEST,) * len(Slot),
            stream="check",
            sequence=1,
            previous=None,
            issued_at=at,
        )
        check_header(header)
        check_supported(header)
        return draft

    @classmethod
    def from_stored(cls, data: bytes) -> Self:
        """Return the draft that `to_json` wrote.

        Raises:
            StoreDamaged: It is none.
        """
        with stored("drafts.draft"):
            obj = msgspec.json.decode(data)
            source = obj.pop("source")
            return cls._read(obj, None, None, source)

    @classmethod
    def _read(
        cls, obj: Mapping[str, Any], region: Region | None, tlp: Tlp | None, source: str | None
    ) -> Self:
        for key in obj:
            if key not in KEYS:
                raise BadHeader("a field that no notice has", field=_name(key))
        notice = obj.get("notice")
        if not isinstance(notice, Mapping):
            raise BadSlot("the content is missing, or is no object", field="notice")
        return cls(
            notice_type=_text(obj, "type"),
            notice=notice,
            region=_enum(obj, "region", Region, region),
            tlp=_enum(obj, "tlp", Tlp, tlp),
            regions_concerned=_sorted(obj, "regions_concerned", lambda text: _named(text, Region)),
            countries=_sorted(obj, "countries", str),
            status=_enum(obj, "status", Status, Status.ACTUAL),
            act=_enum(obj, "act", Act, Act.ORIGINAL),
            references=_sorted(obj, "references", _digest),
            handling=_enum(obj, "handling", Handling, Handling.H1),
            purpose=_text(obj, "purpose", DEFAULT_PURPOSE),
            subjects=_sorted(obj, "subjects", str),
            campaign=None if obj.get("campaign") is None else _text(obj, "campaign"),
            addressees=_sorted(obj, "addressees", str),
            effective_until=_time(obj, "effective_until"),
            retain_until=_time(obj, "retain_until"),
            feedback_due=_time(obj, "feedback_due"),
            partial=_flag(obj, "partial"),
            source=source,
        )

    def to_json(self) -> bytes:
        """Return the draft as JSON, with nothing left to defaults."""
        return msgspec.json.encode(
            {
                "type": self.notice_type,
                "region": self.region.slug,
                "regions_concerned": [each.slug for each in self.regions_concerned],
                "countries": self.countries,
                "status": self.status.name,
                "act": self.act.name,
                "references": [each.hex() for each in self.references],
                "tlp": self.tlp.name,
                "handling": self.handling.name,
                "purpose": self.purpose,
                "subjects": self.subjects,
                "campaign": self.campaign,
                "addressees": self.addressees,
                "effective_until": time_or_none(self.effective_until),
                "retain_until": time_or_none(self.retain_until),
                "feedback_due": time_or_none(self.feedback_due),
                "partial": self.partial,
                "source": self.source,
                "notice": self.notice,
            }
        )

    def values(self, notice_type: NoticeType) -> dict[str, Any]:
        """Return the content as values of its type, with the verdict on every check digit filled in.

        Raises:
            BadSlot: It does not fit.
        """
        return values_from_json(notice_type, complete_checks(notice_type, self.notice))

    def header(
        self,
        *,
        originator: str,
        schema: bytes,
        slots: tuple[bytes, ...],
        stream: str,
        sequence: int,
        previous: bytes | None,
        issued_at: int,
    ) -> Header:
        """Return the header under which the draft would be signed; nothing in it is checked."""
        return Header(
            profile=1,
            originator=originator,
            region=self.region,
            stream=stream,
            sequence=sequence,
            previous=previous,
            regions_concerned=self.regions_concerned,
            countries=self.countries,
            notice_type=self.notice_type,
            schema=schema,
            status=self.status,
            act=self.act,
            references=self.references,
            tlp=self.tlp,
            handling=self.handling,
            purpose=self.purpose,
            subjects=self.subjects,
            campaign=self.campaign,
            addressees=self.addressees,
            issued_at=issued_at,
            effective_until=self.effective_until,
            retain_until=self.retain_until,
            feedback_due=self.feedback_due,
            slots=slots,
            seals=None,
        )


def _name(key: object) -> str:
    """Return a key as it may stand in a message: it is somebody's text, so only if it looks like a name."""
    return key if isinstance(key, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) else "?"


def _text(obj: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = obj.get(key, default)
    if not isinstance(value, str):
        raise BadHeader("is missing, or no text", field=key)
    return value


def _flag(obj: Mapping[str, Any], key: str) -> bool:
    value = obj.get(key, False)
    if not isinstance(value, bool):
        raise BadHeader("is true or false", field=key)
    return value


def _named(text: str, kind: type[E]) -> E:
    for each in kind:
        if text in (each.name, getattr(each, "slug", each.name)):
            return each
    raise ValueError


def _enum(obj: Mapping[str, Any], key: str, kind: type[E], default: E | None) -> E:
    if default is not None and obj.get(key) is None:
        return default
    try:
        return _named(_text(obj, key), kind)
    except ValueError:
        names = ", ".join(getattr(each, "slug", each.name) for each in kind)
        raise BadHeader(f"is one of {names}", field=key) from None


def _sorted(obj: Mapping[str, Any], key: str, read: Callable[[str], T]) -> tuple[T, ...]:
    """Return a list's values in the order in which they are signed, each once."""
    value = obj.get(key, [])
    if not isinstance(value, list | tuple):
        raise BadHeader("is a list", field=key)
    found = set()
    for place, each in enumerate(value):
        try:
            found.add(read(_only_text(each)))
        except ValueError:
            raise BadHeader("an entry is not in its form", field=f"{key}[{place}]") from None
    return tuple(sorted(found))  # type: ignore[type-var]  # text, digests and enums all have an order


def _only_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 (all that is wrong with an entry takes one way out)
    return value


def _digest(text: str) -> bytes:
    if DIGEST.fullmatch(text) is None:
        raise ValueError
    return bytes.fromhex(text)


def _time(obj: Mapping[str, Any], key: str) -> int | None:
    value = obj.get(key)
    if value is None:
        return None
    try:
        return time_from_json(value)
    except Mismatch:
        raise BadHeader("is a time such as 2027-01-31T12:00:00Z", field=key) from None
