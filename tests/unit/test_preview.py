"""The preview says what the hub then does: who gets a notice, which slots, and under which agreements."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from adapters.commands.previewed import WORDS, show_all
from adapters.preview import Preview, Receiver, look_ahead
from adapters.sending.draft import Draft
from broker.core.agreements import Clause, Context
from broker.core.errors import Refused
from broker.core.index import Index
from broker.core.model import Act, Decision
from broker.core.records import decode
from tests.nodes import TestNode
from tests.strategies import directory, header
from tests.world import World

MEMBERS = ("jp", "nl", "rilo-ap", "vn")
SLOTS = ("facts", "identifiers", "entities", "persons", "intelligence", "attachments")


def any_agreement(random: Random, number: int) -> bytes:
    """A random agreement of some members, as a file."""
    parties = sorted(random.sample(MEMBERS, random.choice((2, 3, 4))))
    ends = random.choice(("", "", "terminated_on = 2026-09-01\nwind_down_days = 90"))
    lines = [
        f'id = "agreement-{number}"',
        "version = 1",
        f'nonce = "{random.randbytes(16).hex()}"',
        'title = "A random agreement"',
        f"parties = {parties}",
        "in_force_from = 2020-01-01",
        ends,
        "[personal_data]",
        f"enabled = {random.choice(('true', 'false'))}",
        'from = 2020-01-01\nlegal_basis = "an article"',
    ]
    for _ in range(random.randint(1, 3)):
        giver, receiver = random.sample(parties, 2)
        lines += [
            "[[grant]]",
            f'from = "{random.choice((giver, "*", "*"))}"',
            f'to = "{random.choice((receiver, "*", "*"))}"',
            f"types = {random.choice((['sighting'], ['sighting', 'feedback']))}",
            f"slots = {sorted(random.sample(SLOTS, random.randint(1, 4)), key=SLOTS.index)}",
            random.choice(("", "", "", 'countries = ["JP"]')),
            random.choice(("", "", "", 'subjects = ["hs:29"]')),
            random.choice(("", 'statuses = ["ACTUAL", "EXERCISE"]')),
            f'tlp_max = "{random.choice(("GREEN", "AMBER", "AMBER", "RED", "RED"))}"',
            random.choice(("", "", 'mode = "on-request"')),
            random.choice(("", "feedback_hours = 72")),
        ]
    return "\n".join(lines).encode()


def any_draft(random: Random, node: TestNode, known: list[bytes]) -> Draft | None:
    """A random sighting of the node's member, perhaps about what went before; None if it is none."""
    act = random.choice((Act.ORIGINAL, Act.REQUEST, Act.UPDATE, Act.CORRECTION, Act.RECALL, Act.ANSWER))
    references = [] if act is Act.ORIGINAL else random.sample(known, min(len(known), random.randint(1, 2)))
    others = [each for each in MEMBERS if each != node.member]
    fields = {
        "act": act.name,
        "references": [each.hex() for each in references],
        "tlp": random.choice(("GREEN", "AMBER", "AMBER", "RED")),
        "countries": random.choice(([], ["JP"], ["NL", "VN"])),
        "subjects": random.choice(([], ["hs:2939"])),
        "status": random.choice(("ACTUAL", "ACTUAL", "EXERCISE")),
        "addressees": random.choice(([], [], random.sample(others, 2))),
        "partial": True,
    }
    try:
        return node.draft(fields, person="Ada", plate="51C-1")
    except Refused:
        return None


@pytest.mark.parametrize("seed", range(2))
async def test_the_hub_gives_each_member_what_the_preview_said(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    compared = reached = 0
    async with World(tmp_path, *MEMBERS) as world:
        for number in range(6):
            world.source.add_agreement(any_agreement(random, number))
        nodes = {member: TestNode(world, member, tmp_path) for member in MEMBERS}
        known: list[bytes] = []
        for _ in range(9):
            for node in nodes.values():
                await node.receives()
            said: dict[str, tuple[int, Preview]] = {}
            for member, node in nodes.items():
                draft = any_draft(random, node, known)
                if draft is None:
                    continue
                now = world.clock.now()
                ahead = look_ahead(
                    draft, member, node.catalogue, Index(node.source.load()), node.incoming, now
                )
                (id_,) = node.outgoing.enqueue([draft], now)
                assert id_ is not None
                said[member] = id_, ahead
            for member, (id_, ahead) in said.items():
                node = nodes[member]
                await node.sends()
                queued = node.outgoing.queued(id_)
                assert queued is not None
                assert queued.state == "proven", queued.code
                assert queued.statement is not None
                ((decision,),) = node.store.rows(
                    "SELECT decision FROM statements WHERE id = ?", queued.statement
                )
                shares = {
                    share.member: (
                        tuple(slot.label for slot in share.slots),
                        tuple(f"{ground.agreement}/{ground.version}" for ground in share.grounds),
                    )
                    for share in decode(Decision, decision).shares
                }
                assert shares == {each.member: (each.slots, each.agreements) for each in ahead.reached}
                known.append(queued.statement)
                compared += 1
                reached += len(shares)
        for member, node in nodes.items():
            await node.receives()
            assert node.alarms() == [], member
    assert compared > 12
    assert reached > 5


def test_every_clause_has_its_words() -> None:
    assert WORDS.keys() == set(Clause)


def wide(count: int) -> Preview:
    """A notice with which nearly everybody is dealt with alike."""
    members = [f"m{number:03d}" for number in range(count)]
    receivers = [Receiver("jp", SLOTS, ("jp-vn-2026/1",), grants=("jp-vn-2026/1#1",))]
    receivers += [Receiver(each, ("facts",), ("community/1",)) for each in members[: count // 2]]
    receivers += [Receiver(each, (), (), Clause.PARTIES) for each in members[count // 2 :]]
    return Preview(header(), directory(), Context(0, {}), tuple(receivers))


@pytest.mark.parametrize("columns", [80, 120])
def test_186_members_are_readable_at_a_glance(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", str(columns))

    show_all(wide(185))

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 10
    assert max(map(len, lines)) <= columns
    assert "93 of 186 would get it" in lines[0]
    assert sum("more" in line for line in lines) == 2


def test_with_all_each_member_has_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "120")

    show_all(wide(185), everyone=True)

    assert len(capsys.readouterr().out.splitlines()) == 186 + 2
