"""Ends of logs and what follows from them against vectors, which another implementation wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broker.core.errors import BadSuccession
from broker.core.note import LogKey, TreeHead
from broker.core.succession import EndedLog, Succession

VECTORS = json.loads((Path(__file__).parent / "succession.json").read_bytes())


def named(row: Any) -> str:
    return str(row["name"])


def read(case: Any) -> Succession:
    ended = [
        EndedLog(LogKey.parse(each["log_key"]), tuple(note.encode() for note in each["ends"]))
        for each in case["ended"]
    ]
    return Succession(LogKey.parse(case["log_key"]), tuple(ended))


def seen(row: Any) -> tuple[TreeHead, list[bytes] | None]:
    path = None if row["path"] is None else [bytes.fromhex(node) for node in row["path"]]
    return TreeHead(row["size"], bytes.fromhex(row["root"])), path


def test_the_end_states_the_trees_of_the_vectors_and_what_is_missing() -> None:
    (ended,) = read(VECTORS).ended
    assert [[head.size, head.root.hex()] for head in ended.heads] == VECTORS["heads"]
    assert ended.missing == range(*VECTORS["missing"])


@pytest.mark.parametrize("row", VECTORS["covers"], ids=named)
def test_an_end_covers_what_it_continues(row: Any) -> None:
    read(VECTORS).ended[0].check_covers(*seen(row))


@pytest.mark.parametrize("row", VECTORS["denied"], ids=named)
def test_an_end_that_takes_back_what_was_seen_is_refused(row: Any) -> None:
    with pytest.raises(BadSuccession):
        read(VECTORS).ended[0].check_covers(*seen(row))


@pytest.mark.parametrize("row", VECTORS["refused"], ids=named)
def test_what_is_no_succession_is_refused(row: Any) -> None:
    with pytest.raises(BadSuccession):
        read(row)
