"""The rules of a header: grammars, order, ranges, and what an act may refer to.

Decides whether a header is one that the profile allows.  Leaves to others whether it was signed
(`signing`), whether its numbers follow on (the dispatcher), and who may have it (`agreements`).

Source: docs/formats.md, "One value, one encoding" (grammars, sorted lists) and "Header".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from broker.core.codec import LATEST
from broker.core.errors import BadHeader, Expired, NotSupported, NotYetValid
from broker.core.limits import CLOCK_SKEW_MS, MOST_HEADER_ITEMS
from broker.core.model import Act, Header, Slot, Tlp

PROFILE = 1

# The whole string must match: `$` would let a line feed at the end pass.
_MEMBER = re.compile(r"(?=.{2,31}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_STREAM = re.compile(r"[a-z0-9][a-z0-9-]{0,30}", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9-]{1,63}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_SUBJECT = re.compile(r"[a-z]{2,8}:[A-Za-z0-9.-]{1,32}", re.ASCII)

UNSUPPORTED_ACTS = frozenset({Act.ERASURE})
"""An order to erase is a promise that contents go; nobody could keep it yet."""


def is_member_id(text: str) -> bool:
    """Is it a member's id by its grammar?"""
    return _MEMBER.fullmatch(text) is not None


def is_stream(text: str) -> bool:
    """Is it a stream's name by its grammar?"""
    return _STREAM.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Is it a name of a notice type, purpose, campaign or agreement by its grammar?"""
    return _NAME.fullmatch(text) is not None


def is_country(text: str) -> bool:
    """Is it of the form of an ISO 3166-1 alpha-2 code?"""
    return _COUNTRY.fullmatch(text) is not None


def is_subject(text: str) -> bool:
    """Is it of the form `scheme:code`?"""
    return _SUBJECT.fullmatch(text) is not None


def is_ascending(items: Sequence[Any]) -> bool:
    """Are the items sorted, each there once?"""
    return all(before < after for before, after in pairwise(items))


def check_header(header: Header) -> None:
    """Let a header pass that keeps all rules which it can keep or break by itself.

    Raises:
        BadHeader: `field` names the first that is broken.
    """
    # 1. We know the rules that its author followed.
    if header.profile != PROFILE:
        raise BadHeader("another profile", field="profile")
    # 2. Every name is of its grammar, so it can stand in references, topics, paths and pages.
    _check_names(header)
    # 3. Lists have one order and no repeats, so one meaning has one encoding.
    _check_lists(header)
    # 4. Numbers.
    if header.sequence < 1:
        raise BadHeader("below 1", field="sequence")
    if header.sequence == 1 and header.previous is not None:
        raise BadHeader("the first of a stream has no previous", field="previous")
    # 5. Times are in range, and nothing ends before it begins.
    _check_times(header)
    # 6. An act refers to what it acts on.
    if header.act is Act.ORIGINAL and header.references:
        raise BadHeader("an original refers to nothing", field="references")
    if header.act not in {Act.ORIGINAL, Act.REQUEST} and not header.references:
        raise BadHeader("this act refers to at least one statement", field="references")
    # 7. RED is for named readers, and nobody writes to oneself.
    if header.tlp is Tlp.RED and not header.addressees:
        raise BadHeader("RED needs addressees", field="addressees")
    if header.originator in header.addressees:
        raise BadHeader("the originator is among the addressees", field="addressees")
    # 8. Every slot has its digest.
    if len(header.slots) != len(Slot):
        raise BadHeader(f"not {len(Slot)} digests", field="slots")


def _check_names(header: Header) -> None:
    if not is_member_id(header.originator):
        raise BadHeader("not a member's id", field="originator")
    if not is_stream(header.stream):
        raise BadHeader("not a stream's name", field="stream")
    for field in ("notice_type", "purpose", "campaign"):
        name = getattr(header, field)
        if name is not None and not is_name(name):
            raise BadHeader("not a name", field=field)


_LISTS = {
    "regions_concerned": lambda _region: True,
    "countries": is_country,
    "references": lambda _digest: True,
    "subjects": is_subject,
    "addressees": is_member_id,
}


def _check_lists(header: Header) -> None:
    for field, is_proper in _LISTS.items():
        items = getattr(header, field)
        if not items:
            continue
        if len(items) > MOST_HEADER_ITEMS:
            raise BadHeader(f"more than {MOST_HEADER_ITEMS} entries", field=field)
        if not all(map(is_proper, items)):
            raise BadHeader("an entry is not of its grammar", field=field)
        if not is_ascending(items):
            raise BadHeader("not in ascending order", field=field)
    if header.region in header.regions_concerned:
        raise BadHeader("the leading region is among them", field="regions_concerned")


def _check_times(header: Header) -> None:
    if not 0 <= header.issued_at <= LATEST:
        raise BadHeader("not a time", field="issued_at")
    for field in ("effective_until", "retain_until", "feedback_due"):
        time = getattr(header, field)
        if time is not None and not header.issued_at < time <= LATEST:
            raise BadHeader("not later than issued_at, or not a time", field=field)


def check_clock(header: Header, now: int) -> None:
    """Let a header pass that is neither of the future nor past its end; how old it is does not matter.

    Raises:
        NotYetValid: It was issued more than five minutes after `now`.
        Expired: `effective_until` is reached.
    """
    if header.issued_at > now + CLOCK_SKEW_MS:
        raise NotYetValid("issued in the future", field="issued_at")
    if header.effective_until is not None and now >= header.effective_until:
        raise Expired("not effective any more", field="effective_until")


def check_supported(header: Header) -> None:
    """Let a header pass that asks for nothing which this version cannot carry to its end.

    Raises:
        NotSupported: It orders an erasure, or it has sealed slots, which no node can open yet.
    """
    if header.act in UNSUPPORTED_ACTS:
        raise NotSupported("this act cannot be carried out yet", field="act")
    if header.seals is not None:
        raise NotSupported("sealed slots cannot be opened yet", field="seals")
