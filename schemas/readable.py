"""Values as people read them: numbers with units, times with their offset, codes with their names.

Decides how one value of a notice looks in a language, and which characters a reader may be shown.  Leaves to
`view` what goes where, and to `rendering` how it is drawn and escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta, timezone
from decimal import Decimal
from unicodedata import category

from schemas.code_lists import code_list
from schemas.wording import labels

NO_BREAK = "\N{NO-BREAK SPACE}"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


@dataclass(frozen=True, slots=True)
class Value:
    """One value that is ready to be drawn; all its texts are `visible`.

    Args:
        text: What it says.
        code: The code behind it, where `text` is the code's name.
        language: The language of `text`, where it is not the page's.
        machine: A time in ISO 8601.
        kind: `text`, `code` (letter by letter matters), `number`, `time` or `prose` (lines matter).
        notes: Remarks that are not part of the value.
        flags: Remarks on what looks odd.
        fits: Whether a check digit fits; None if there is none.
    """

    text: str
    code: str | None = None
    language: str | None = None
    machine: str | None = None
    kind: str = "text"
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    fits: bool | None = None


def visible(text: str) -> str:
    """Return the text with every character that cannot be seen, or moves others, written out.

    Line feed, tab and the two joiners, which some scripts need, stay.
    """
    # Python calls printable what is in none of the categories below, and is no separator but the space.
    if text.isprintable():
        return text
    return "".join(one if _is_harmless(one) else f"⟨U+{ord(one):04X}⟩" for one in text)


def _is_harmless(one: str) -> bool:
    if one in "\n\t" or one in _JOINERS:
        return True
    return category(one) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def number(value: Decimal | int, language: str, *, least_digits: int = 0) -> str:
    """Return the number with its thousands set apart by spaces, which no language reads as a decimal mark."""
    sign = "\N{MINUS SIGN}" if value < 0 else ""
    whole, _, rest = f"{abs(value):f}".partition(".")
    rest = rest.rstrip("0").ljust(least_digits, "0")
    grouped = f"{int(whole):,}".replace(",", NO_BREAK)
    mark = "," if language == "vi" else "."
    return f"{sign}{grouped}{mark}{rest}" if rest else f"{sign}{grouped}"


def time(at: int, language: str, offset_minutes: int) -> Value:
    """Return UTC milliseconds as the wall clock of the given offset shows them."""
    moment = _EPOCH + timedelta(milliseconds=at)
    # The last hours of the year 9999, which the format allows, have no wall clock further east.
    if moment.year < MAXYEAR:
        moment = moment.astimezone(timezone(timedelta(minutes=offset_minutes)))
    offset = moment.strftime("%z")
    clock = f"{moment:%H:%M}" if moment.second == 0 else f"{moment:%H:%M:%S}"
    if language == "vi":
        text = f"{clock} {moment:%d/%m/%Y} ({offset[:3]}:{offset[3:5]})"
    else:
        day = f"{moment.day} {MONTHS[moment.month - 1]} {moment.year:04d}"
        text = f"{day}, {clock} ({offset[:3]}:{offset[3:5]})"
    return Value(text.replace(" ", NO_BREAK), machine=moment.isoformat(timespec="seconds"), kind="time")


def coded(list_name: str, code: str, language: str) -> Value:
    """Return a code with its name, if its list has one."""
    name = code_list(list_name).find_name(code, language)
    if name is None:
        return Value(visible(code), kind="code")
    if name.language == language:
        return Value(name.text, code=code)
    # Headings of the Harmonized System have no Vietnamese names; their chapters do.
    above = code_list(list_name).find_name(code[:2], language) if list_name == "hs" else None
    notes: tuple[str, ...] = ()
    if above and above.language == language:
        notes = (labels(language).page("chapter").format(code=code[:2], name=above.text),)
    return Value(name.text, code=code, language=name.language, notes=notes)


def quantity(value: Decimal, unit: str, language: str) -> Value:
    """Return an amount with its unit's symbol, or the unit's code where it is not known."""
    known = code_list("units").codes.get(unit)
    symbol = visible(unit)
    if known is not None:
        symbol = {"pcs": known[language], "1": known[language]}.get(known["symbol"], known["symbol"])
    return Value(f"{number(value, language)}{NO_BREAK}{symbol}", kind="number")


def money(amount: Decimal, currency: str, language: str) -> Value:
    """Return an amount of money with its currency's code."""
    return Value(f"{number(amount, language, least_digits=2)}{NO_BREAK}{visible(currency)}", kind="number")


def percent(value: Decimal, language: str) -> Value:
    """Return a share in per cent."""
    return Value(f"{number(value, language)}{NO_BREAK}%", kind="number")
