"""The one slot of a notice that comes into the index: its facts, as words to search for.

Decides that nothing but the facts is looked at: codes, quantities and places, which name no person, firm or
consignment.  What the hub does not hold in clear, or what is not what its originator signed, stays out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from broker.core.catalogue import Catalogue
from broker.core.errors import BadDisclosure, Refused
from broker.core.model import Disclosure, Envelope, Header, Slot
from broker.core.notice_json import values_to_json
from broker.core.slots import slot_digest

FEEDBACK = "feedback"
OUTCOME = "outcome"


def facts_of(envelope: Envelope, header: Header, catalogue: Catalogue) -> tuple[str, str | None]:
    """Return the words of a notice's facts, and the outcome if it is feedback; empty where there are none.

    Raises:
        BadDisclosure: The facts are not what was signed.
        Refused: They are of a type that is not known, or not in their one encoding.
    """
    found = next((each for each in envelope.disclosures if each.slot is Slot.FACTS), None)
    if found is None or not found.value:
        return "", None
    check_signed(found, header)
    notice_type = catalogue.find(header.notice_type, header.schema)
    values = values_to_json(notice_type, notice_type.decode_slot(Slot.FACTS, found.value))
    outcome = values.get(OUTCOME) if header.notice_type == FEEDBACK else None
    return " ".join(_words(values)), None if outcome is None else str(outcome)


def check_signed(disclosure: Disclosure, header: Header) -> None:
    """Let a slot pass that is what the header says.

    Raises:
        BadDisclosure: It is not.
    """
    if slot_digest(disclosure) != header.slots[disclosure.slot]:
        raise BadDisclosure("content that is not what was signed", field=disclosure.slot.label)


def words_of(text: str) -> str:
    """Return what people type as a query: every word has to be there, the last as a beginning.

    Raises:
        Refused: There is no word in it.
    """
    words = [each for each in ("".join(c if c.isalnum() else " " for c in text)).split() if each]
    if not words:
        raise Refused("there is no word to search for", field="words")
    return " AND ".join(f'"{word}"' for word in words) + " *"


def _words(value: Any) -> Iterator[str]:
    match value:
        case None | bool():
            return
        case dict():
            for each in value.values():
                yield from _words(each)
        case list():
            for each in value:
                yield from _words(each)
        case _:
            yield str(value)
