from __future__ import annotations

import io
import json
import logging
import time
from typing import Any

import pytest
import structlog

from broker.core.errors import BadSlot
from broker.telemetry import LIBRARY_SECONDS, configure, logger_of

SECRET = "Ada Lovelace"


@pytest.fixture
def lines() -> Any:
    stream = io.StringIO()
    before = structlog.get_config()
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    configure(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def test_ids_codes_and_counts_are_written(lines: Any) -> None:
    logger_of("gateway").info("notice.refused", peer="vn", code="bad-slot", field="persons.0.name", count=3)

    (line,) = lines()

    assert line["event"] == "notice.refused"
    assert (line["service"], line["peer"], line["code"], line["field"], line["count"]) == (
        "gateway",
        "vn",
        "bad-slot",
        "persons.0.name",
        3,
    )


def test_a_key_that_is_not_allowed_is_dropped_and_counted(lines: Any) -> None:
    logger_of("gateway").info("notice.accepted", person=SECRET, values={"a": SECRET}, peer="vn")

    (line,) = lines()

    assert SECRET not in json.dumps(line)
    assert line["dropped"] == 2
    assert line["peer"] == "vn"


@pytest.mark.parametrize(
    "value", ["Nguyễn Văn A", 'a "quoted" text', "two\nlines", b"bytes", 1.5, ["x"], "x" * 300]
)
def test_a_value_that_is_no_plain_id_is_dropped(lines: Any, value: object) -> None:
    logger_of("gateway").info("notice.accepted", peer=value)

    (line,) = lines()

    assert "peer" not in line
    assert line["dropped"] == 1


def test_a_traceback_names_places_and_neither_variables_nor_foreign_messages(lines: Any) -> None:
    def stumble(person: str) -> None:
        raise ValueError(f"cannot decode {person}")

    try:
        stumble(SECRET)
    except ValueError:
        logger_of("gateway").exception("request.failed")

    (line,) = lines()

    assert SECRET not in json.dumps(line)
    assert line["exception"][0] == "ValueError"
    assert any("stumble" in place for place in line["exception"])


def test_the_message_of_one_of_our_errors_is_repeated(lines: Any) -> None:
    logger_of("gateway").error("request.failed", exc_info=BadSlot("no such field", field="name"))

    (line,) = lines()

    assert line["exception"][0] == "BadSlot: no such field"


def test_every_error_of_a_group_is_described(lines: Any) -> None:
    several = ExceptionGroup("several", [ValueError(SECRET), BadSlot("no such field")])
    logger_of("hub").error("request.failed", exc_info=several)

    (line,) = lines()

    assert {"ValueError", "BadSlot: no such field"} <= set(line["exception"])
    assert SECRET not in json.dumps(line)


def test_libraries_are_heard_without_their_words(lines: Any) -> None:
    logging.getLogger("aiohttp.server").error("Error handling %s", SECRET)

    (line,) = lines()

    assert line["library"] == "aiohttp.server"
    assert line["level"] == "error"
    assert SECRET not in json.dumps(line)


def test_a_library_that_says_the_same_again_and_again_is_heard_once_in_a_while(lines: Any) -> None:
    library = logging.getLogger("aiokafka")
    at = time.time()

    for moment in (0.0, 0.1, 0.2, LIBRARY_SECONDS + 1):
        record = library.makeRecord(library.name, logging.ERROR, "", 0, "out of reach", (), None)
        record.created = at + moment
        library.handle(record)
    library.warning("something else")

    assert [(line["level"], line["count"]) for line in lines()] == [
        ("error", 1),
        ("error", 3),
        ("warning", 1),
    ]


def test_even_before_anything_is_configured_a_traceback_shows_no_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stumble(person: str) -> None:
        raise ValueError(person)

    try:
        stumble(SECRET)
    except ValueError:
        logger_of("gateway").exception("request.failed", person=SECRET)

    shown = capsys.readouterr()

    assert "request.failed" in shown.err
    assert SECRET not in shown.err + shown.out
