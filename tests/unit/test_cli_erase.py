"""An order to erase is shown, asked for, written, listed until it is carried out, and not given twice."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from broker.commands.audit.due import due
from broker.commands.hub_erase import erase
from tests.unit.test_erasure import CANARY, erased
from tests.world import DAY, NETWORK, World, sighting

REFERENCE = "vn/asia-pacific/main/1"


def told(command: click.Command, *words: str) -> dict[str, Any]:
    answer = CliRunner().invoke(command, [*words, "--json"])
    assert answer.exit_code == 0, answer.output
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_an_order_is_written_listed_carried_out_and_not_given_again(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(f'network = "{NETWORK}"\n')
    order = (REFERENCE, "--dir", str(tmp_path), "--because", "case 7", "--yes")

    async def publish() -> str:
        async with World(tmp_path, "vn", "jp") as world:
            world.agree("vn", "jp")
            sent = await world.publish("vn", sighting(place=CANARY))
            await world.settle()
            return sent.statement.hex()

    async def carry_out() -> int:
        async with World(tmp_path, "vn", "jp") as world:
            world.clock.move(1000 * DAY)
            return len(await erased(world, tmp_path))

    statement = asyncio.run(publish())
    assert told(due, str(tmp_path))["due"] == []
    assert told(erase, *order)["statement"] == statement
    (listed,) = told(due, str(tmp_path))["due"]
    assert listed["reference"] == f"halong:{REFERENCE}"
    assert not listed["overdue"]
    assert asyncio.run(carry_out()) == 1
    assert told(due, str(tmp_path))["due"] == []
    assert told(erase, *order)["erased"] is True
    (orders,) = (tmp_path / "orders").iterdir()
    assert json.loads(orders.read_bytes())["because"] == "case 7"
