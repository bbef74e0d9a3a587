"""docs/operate.md as an operator types it, on a hub with two members: metrics, backups, drills."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.demo.processes import Farm
from tests.operate.queries import metrics
from tests.operate.setting import Operator, network

pytestmark = pytest.mark.sockets


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    with Farm() as farm:
        yield Operator(network(tmp_path, farm))


def test_the_manual_holds_on_a_hub_with_two_members(operator: Operator) -> None:
    shell = operator.shell
    operator.follows("Start and stop")
    shell.run("halong member --dir jp")
    operator.publishes(3)
    shell.until(lambda: operator.arrived() == 3)
    operator.follows("Look after it")

    # Every metric that a dashboard or an alert asks for is there.
    told = operator.scrapes("hub") | operator.scrapes("vn")
    told |= {f"{name}_bucket": kind for name, kind in told.items() if kind == "histogram"}
    assert metrics() - told.keys() == set()

    operator.follows("Rotate")

    # The backup is made while notices travel; then everybody is lost, one after the other.
    operator.publishes(20)
    operator.follows("Back up")
    shell.until(lambda: operator.arrived() == 23)
    said = shell("halong restore hub.halong hub --passphrase-file passphrase")
    assert (said.code, "is not empty" in said.err) == (2, True)

    # A node comes back, and says nothing twice.
    operator.publishes(2)
    shell.until(lambda: operator.arrived() == 25)
    operator.follows("Restore")
    for name in ("vn", "hub"):
        keys = list((shell.folder / name / "keys").iterdir())
        assert keys
        assert all(key.stat().st_mode & 0o077 == 0 for key in keys)
    counted = shell.ok("halong audit count hub --json").json
    assert counted["log"] == "verified"
    assert counted["published"] <= 23

    # The hub was set back by what came after its backup, and whoever saw that says so; then both go on.
    shell.until(lambda: operator.looks("jp").held_code == "bad-proof")
    assert "bad-proof" in shell("halong doctor --dir jp").out
    operator.follows("A hub that was set back")
    operator.follows("A hub that was set back", vn="jp")
    before = operator.arrived()
    operator.publishes(1)
    shell.until(lambda: operator.arrived() == counted["published"] + 1 >= before)
    assert "✗" not in shell.ok("halong doctor --dir jp").out
