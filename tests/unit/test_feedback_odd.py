"""Feedback as nobody should give it: about nothing, about another's case, twice, late, huge, with escapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.commands.feedback_shown import given_line
from adapters.feedback.answering import compose_answer, due, queue_answer
from broker.core.errors import BadHeader, Refused
from broker.core.index import Index
from broker.terminal import Exit
from tests.nodes import TestNode
from tests.unit.test_cli_commands import Terminal, at, network
from tests.unit.test_feedback import HOUR, agree, delivered, give, owed, sent, view
from tests.world import World

__all__ = ["at", "network"]

ODD = (
    "",
    " ",
    "halong:",
    "vn/asia-pacific/main/99",
    "vn/asia-pacific/main/-1",
    "../../etc/passwd",
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[31m",
    "%",
    "' OR 1=1 --",
    "0000",
    "f" * 64,
    "f" * 65,
    "é" * 1000,
    "\udcff\udcfe",
    "x" * 100_000,
)
"""Names that name nothing; the last but one is what a shell hands over for bytes that are no text."""


@pytest.mark.parametrize("name", ODD, ids=[str(number) for number in range(len(ODD))])
def test_a_name_of_nothing_is_said_to_be_one_and_shown_without_its_escapes(
    network: Terminal, name: str
) -> None:
    said = network("feedback give --outcome REJECTED --dir jp --yes", "--", name)

    assert said.code == Exit.FAILED
    assert "[bad-header]" in said.err
    assert not {"\x1b", "\x07"} & set(said.out + said.err)
    assert said.err.encode()


async def test_another_members_case_is_answered_by_nobody_else(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        agree(world)
        vn, jp, nl = (TestNode(world, member, tmp_path) for member in ("vn", "jp", "nl"))
        reference = await delivered(world, vn, jp)
        statement = sent(vn, reference).statement.hex()

        for node, name in ((nl, reference), (nl, statement), (vn, reference), (vn, statement[:12])):
            with pytest.raises(BadHeader):
                give(node, name)
        assert nl.states() == []
        assert owed(jp) == [(reference, False)]


async def test_an_answer_after_its_time_counts_and_its_lateness_stays_visible_until_then(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)
        world.clock.move(100 * HOUR)
        assert owed(jp) == [(reference, True)]

        give(jp, reference)
        await jp.sends()
        await vn.receives()

        assert owed(jp) == []
        assert sent(vn, reference).outcome == "HIT_SEIZED"


async def test_an_answer_that_is_given_while_offline_goes_out_once_when_the_hub_is_back(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)
        jp.local.online = False

        assert [give(jp, reference).queued is not None for _ in range(3)] == [True, False, False]
        assert owed(jp) == []
        jp.local.online = True
        await jp.sends()
        await vn.receives()

        assert view(vn).answers_by(sent(vn, reference).statement, "jp") == 1


def composed(node: TestNode, name: str, content: dict[str, Any]) -> None:
    index, now = Index(node.source.load()), node.world.clock.now()
    made = compose_answer(node.store, node.member, node.catalogue, index, name, content, now=now, again=True)
    queue_answer(node.store, made, now=now, again=True)


@pytest.mark.parametrize(
    "text",
    ["x" * 70_000, "ệ" * 40_000, "x" * 10_000_000, "\udcff", "\x00", "\x1b[2J", "a\x9b31mb", "\u202egnp.exe"],
    ids=["long", "long in bytes", "huge", "no text", "nul", "escape", "one-byte escape", "backwards"],
)
async def test_a_text_that_no_notice_may_have_is_refused_and_one_that_it_may_is_shown_harmless(
    tmp_path: Path, text: str
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        agree(world)
        vn, jp = TestNode(world, "vn", tmp_path), TestNode(world, "jp", tmp_path)
        reference = await delivered(world, vn, jp)
        content = {"outcome": "REJECTED", "narrative": {"language": "en", "text": text}}
        try:
            composed(jp, reference, content)
        except Refused:
            assert [state for state, _ in jp.states()] == []
            assert due(jp.store, jp.member, jp.catalogue, world.clock.now()) != []
            return
        await jp.sends()
        await vn.receives()
        (came,) = view(vn).given(to_us=True, limit=10)
        shown = "".join(given_line(came))
        assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
