"""What of a stick to the hub can be handed over and asked about: looked at before any of it is sent."""

from __future__ import annotations

from adapters.stick.file import Asked, Content, Notices
from broker.core.errors import BadStick, NotCanonical
from broker.core.model import Envelope, Region
from broker.core.records import decode, statement_id


def check_line(line: Content) -> None:
    """Let a line pass that can be handed over and asked about.

    Raises:
        BadStick: It has something that is no envelope, no stream or no name of a statement.
    """
    match line:
        case Notices():
            for envelope in line.envelopes:
                statement_of(envelope)
        case Asked():
            for stream in line.streams:
                region_of(stream.partition("/")[0])
            for statement in line.statements:
                name_of(statement)
        case _:
            pass


def statement_of(envelope: bytes) -> str:
    """Return the name of the statement in an encoded envelope, in hexadecimal.

    Raises:
        BadStick: It is none.
    """
    try:
        return statement_id(decode(Envelope, envelope).header).hex()
    except NotCanonical:
        raise BadStick("an envelope that is none", field="notices") from None


def name_of(statement: str) -> bytes:
    """Return the name of a statement that is written in hexadecimal.

    Raises:
        BadStick: It is none.
    """
    try:
        return bytes.fromhex(statement)
    except ValueError:
        raise BadStick("not the name of a statement", field="statements") from None


def region_of(slug: str) -> Region:
    """Return the region of a stream.

    Raises:
        BadStick: There is none of this name.
    """
    try:
        return Region[slug.upper().replace("-", "_")]
    except KeyError:
        raise BadStick("not a stream", field="streams") from None
