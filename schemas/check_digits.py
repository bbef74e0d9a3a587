"""Check digits of the numbers that customs read off parcels, containers and ships.

Decides whether a digit fits.  What follows from one that does not is left to people: real ships carry
numbers that fail, and a cloned container number *is* the crime.

A number is judged without spaces and hyphens and in capitals, as it is read aloud.  Sources: ISO 6346, IMO
resolution A.1117(30) and the CAS registry by python-stdnum; UPU standard S10; IATA Resolution 600a.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

from stdnum import casrn, imo, iso6346

Verdict = Literal["VALID", "INVALID", "NOT_CHECKABLE"]


def check_digit(kind: str, value: str) -> Verdict:
    """Return the verdict on `value`, a number of the given kind (see `KINDS`)."""
    rule = KINDS[kind]
    if rule is None:
        return "NOT_CHECKABLE"
    return "VALID" if rule(re.sub(r"[\s-]", "", value).upper()) else "INVALID"


def _is_container(number: str) -> bool:
    return bool(iso6346.is_valid(number))


def _is_ship(number: str) -> bool:
    return bool(imo.is_valid(number))


def _is_substance(number: str) -> bool:
    return bool(casrn.is_valid(f"{number[:-3]}-{number[-3:-1]}-{number[-1:]}"))


def _is_postal_item(number: str) -> bool:
    """UPU S10: weights 8 6 4 2 3 5 9 7; 11 less the remainder by 11, where 10 becomes 0 and 11 becomes 5."""
    if not re.fullmatch(r"[A-Z]{2}[0-9]{9}[A-Z]{2}", number):
        return False
    digits = [int(digit) for digit in number[2:11]]
    weighted = sum(digit * weight for digit, weight in zip(digits, (8, 6, 4, 2, 3, 5, 9, 7), strict=False))
    return digits[8] == {10: 0, 11: 5}.get(11 - weighted % 11, 11 - weighted % 11)


def _is_air_waybill(number: str) -> bool:
    """IATA: three digits of the airline, seven of the serial, then the serial modulo 7."""
    if not re.fullmatch(r"[0-9]{11}", number):
        return False
    return int(number[3:10]) % 7 == int(number[10])


KINDS: Mapping[str, Callable[[str], bool] | None] = {
    "iso6346": _is_container,
    "imo": _is_ship,
    "cas": _is_substance,
    "upu-s10": _is_postal_item,
    "air-waybill": _is_air_waybill,
    "none": None,
}
"""How each kind that schemas name as `check_digit` is judged; None: it has no check digit."""
