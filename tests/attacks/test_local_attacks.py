"""Attacks with files and drafts, before anything is sent: each is refused with its own code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.core.agreements import parse_agreement
from broker.core.errors import Refused
from broker.directory.member_file import member_text, parse_member
from tests.networks import AGREEMENTS
from tests.nodes import TestNode
from tests.vectors.material import VECTORS
from tests.world import World


@dataclass(frozen=True, slots=True)
class Row:
    """An attack and the code that it is refused with."""

    name: str
    code: str
    attack: Callable[[Path], Awaitable[str | None]]


async def a_key_of_small_order(folder: Path) -> str | None:
    """A member's own file, with another public key in it."""
    member = World(folder, "vn").source.members["vn"]
    honest, weak = member.keys[0].public.raw.hex(), VECTORS["weak_ed25519_keys"]["public"][0]
    try:
        parse_member(member_text(member).replace(honest, weak).encode(), "members/vn.toml")
    except Refused as error:
        return error.code
    return None


async def an_agreement_in_words_that_nobody_defined(_: Path) -> str | None:
    """A text with a clause that would be passed over if it were not refused."""
    text = (AGREEMENTS / "jp-vn-2026.toml").read_bytes()
    try:
        parse_agreement(text.replace(b"version = 1", b'version = 1\nunless = "asked"', 1))
    except Refused as error:
        return error.code
    return None


async def queued(folder: Path, fields: dict[str, object], *, seal: str = "", **values: str) -> str | None:
    """Queue a draft at a node and let it try to send; return the code."""
    async with World(folder, "vn", "jp", "nl") as world:
        world.agree("vn", "jp", slots=["facts", "persons"], grant=seal)
        node = TestNode(world, "vn", folder)
        node.enqueue(fields, **values)
        await node.sends()
        ((_, code),) = node.states()
        return code


async def a_name_in_the_open_that_must_be_sealed(folder: Path) -> str | None:
    return await queued(folder, {}, seal='seal = ["persons"]', person="Ada")


async def a_notice_to_a_member_without_an_agreement(folder: Path) -> str | None:
    return await queued(folder, {"addressees": ["nl"]})


async def a_store_in_which_somebody_wrote(folder: Path) -> str | None:
    async with World(folder, "vn", "jp") as world:
        world.agree("vn", "jp")
        node = TestNode(world, "vn", folder)
        node.enqueue()
        with node.store.write():
            node.store.run("UPDATE drafts SET region = 99")
        try:
            await node.node.outbox.step()
        except Refused as error:
            return error.code
        return None


ROWS = (
    Row("a value in the store that the node did not write", "store-damaged", a_store_in_which_somebody_wrote),
    Row("a key under which everything verifies", "weak-key", a_key_of_small_order),
    Row("a clause that nobody defined", "bad-configuration", an_agreement_in_words_that_nobody_defined),
    Row(
        "a person in the open where it must be sealed",
        "sealing-required",
        a_name_in_the_open_that_must_be_sealed,
    ),
    Row(
        "a notice to whom no agreement reaches",
        "addressee-unreached",
        a_notice_to_a_member_without_an_agreement,
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_it_is_refused_with_its_code(row: Row, tmp_path: Path) -> None:
    assert await row.attack(tmp_path) == row.code
