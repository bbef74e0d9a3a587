"""What may be written to a log: events, ids, codes and counts, by an allow-list.

Decides which keys and which shapes of values reach a line; everything else is dropped and only
counted, so that a careless call cannot print a notice's content, a name or a key.  Tracebacks name
files, lines and functions, never local variables, and the message of an exception only where
`core.errors` vouches for it.  Where lines go, and who reads them, is the business of the process.
"""

from __future__ import annotations

import logging
import math
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import PurePath
from types import TracebackType
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from broker.core.errors import HalongError

ALLOWED = frozenset(
    {
        # made by structlog and by this module
        "event",
        "level",
        "timestamp",
        "service",
        "exception",
        "exc_info",
        # who and what, by id
        "agreement",
        "channel",
        "delivery",
        "directory",
        "key",
        "lane",
        "member",
        "network",
        "notice_type",
        "peer",
        "reference",
        "region",
        "statement",
        "stream",
        # where
        "engine",
        "host",
        "library",
        "offset",
        "partition",
        "place",
        "port",
        "topic",
        # codes and counts
        "act",
        "attempt",
        "code",
        "count",
        "deliveries",
        "duplicates",
        "field",
        "index",
        "leaves",
        "members",
        "milliseconds",
        "refused",
        "sequence",
        "size",
        "slots",
        "station",
        "status",
        "version",
    }
)

PLAIN = re.compile(r"[A-Za-z0-9._:/@+*\[\], -]{0,256}")
"""Ids, references, codes, lists of them; no quotes, no line ends, nothing outside ASCII."""

FRAMES_SHOWN = 12


def only_what_is_allowed(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Keep the keys of `ALLOWED` whose values are plain; say how many were dropped."""
    kept: EventDict = {}
    dropped = 0
    for key, value in line.items():
        if key == "exc_info" or (key in ALLOWED and _is_plain(value)):
            kept[key] = value
        else:
            dropped += 1
    if dropped:
        kept["dropped"] = dropped
    return kept


def _is_plain(value: object) -> bool:
    if value is None or isinstance(value, bool | int):
        return True
    return isinstance(value, str) and PLAIN.fullmatch(value) is not None


def describe_exception(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Put a list of types and places where the exception's traceback would be."""
    given = line.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        line["exception"] = describe(error)
    return line


def describe(error: BaseException) -> list[str]:
    """Return an exception as lines: its type, and where it passed, innermost last.

    The text of a foreign exception may quote what it stumbled over, so only ours is repeated.
    """
    said = f": {error}" if isinstance(error, HalongError) else ""
    lines = [f"{type(error).__name__}{said}", *_places(error.__traceback__)]
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            lines += describe(part)
    elif error.__cause__ is not None:
        lines += ["because of", *describe(error.__cause__)]
    return lines


def _places(tb: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(tb, limit=-FRAMES_SHOWN)
    return [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


LIBRARY_SECONDS = 5.0


class _LibraryLines(logging.Handler):
    """Turns what libraries log into lines of ours, without their text, which may quote data.

    Of one kind one line is written in a while; its `count` tells how many there were since the last.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._said: dict[tuple[str, int, type[BaseException] | None], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        kind = record.name, record.levelno, None if error is None else type(error)
        said_at, unsaid = self._said.get(kind, (-math.inf, 0))
        # A library that cannot reach its server says so hundreds of times a second.
        if record.created - said_at < LIBRARY_SECONDS:
            self._said[kind] = said_at, unsaid + 1
            return
        self._said[kind] = record.created, 0
        structlog.get_logger().log(
            record.levelno, "library.message", library=record.name, count=unsaid + 1, exc_info=error
        )


def configure(*, as_json: bool = True, stream: TextIO | None = None, verbose: bool = False) -> None:
    """Send every line of this process, libraries included, to `stream` (standard error without one)."""
    stream = stream if stream is not None else sys.stderr
    colors = stream.isatty()
    _configure(
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False, pad_event_to=24),
        lambda: stream,
        logging.DEBUG if verbose else logging.INFO,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LibraryLines(logging.WARNING)]
    root.setLevel(logging.WARNING)


def quiet() -> None:
    """Write no lines: for commands, whose answer says it all; alarms stay in the store."""
    _configure(structlog.processors.JSONRenderer(), lambda: sys.stderr, logging.CRITICAL)


def _configure(renderer: Processor, stream: Callable[[], TextIO], level: int) -> None:
    structlog.configure(
        processors=[
            only_what_is_allowed,
            describe_exception,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_names: structlog.PrintLogger(stream()),
        cache_logger_on_first_use=False,
    )


# What structlog does unasked would print the local variables of every frame: nobody gets to see that.
_configure(structlog.processors.JSONRenderer(), lambda: sys.stderr, logging.INFO)


def logger_of(service: str) -> FilteringBoundLogger:
    """Return the logger of a service; events are `noun.verb`, keys those of `ALLOWED`."""
    return cast("FilteringBoundLogger", structlog.get_logger(service=service))
