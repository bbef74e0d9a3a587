"""A node and a hub from yesterday's backup: the node says nothing twice, the hub is found out by all."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from broker.terminal import Exit
from tests.faults import chance
from tests.faults.live import MEMBERS, Live, run
from tests.faults.table import record

pytestmark = [pytest.mark.sockets, pytest.mark.soak]

NOTICES = 60
SEED = 0
"""Nothing here is left to chance."""


def alarms(live: Live, member: str) -> set[tuple[str, str]]:
    return {(alarm.event, alarm.code) for alarm in live.look(member).alarms}


def node_restored(folder: Path, count: int) -> Live:
    """Set a publishing node back by what it said in a day."""
    with Live.built(folder) as live:
        live.start()
        live.queue("vn", count)
        live.settle()
        # Some wait when the backup is made, and are said after it.
        live.stop("vn")
        live.queue("vn", count)
        shutil.copytree(folder / "vn", folder / "backup")
        live.start("vn")
        live.settle()
        live.queue("vn", count)
        live.settle()
        live.stop("vn")
        shutil.rmtree(folder / "vn")
        shutil.copytree(folder / "backup", folder / "vn")
        live.start("vn")
        live.queue("vn", count)
        live.settle()
        assert ("stream.left", "out-of-order") in alarms(live, "vn")
        live.stop()
    return live


def test_a_node_that_was_set_back_says_nothing_twice_and_goes_on(tmp_path: Path) -> None:
    began = time.monotonic()
    live = node_restored(tmp_path, chance.scaled(10 * NOTICES))

    row = live.row(
        "node restored from an old backup", live.in_topics() + live.in_folders(), kills=1, seed=SEED,
        seconds=time.monotonic() - began,
    )  # fmt: skip
    record(row)
    assert row.faultless
    assert live.signed_twice() == 0
    assert live.audit()["log"] == "verified"


def restore_hub(folder: Path, live: Live) -> None:
    """Bring the hub back as it was before the last notices were published."""
    live.queue("vn", NOTICES)
    live.settle()
    live.stop("hub")
    shutil.copytree(folder / "hub", folder / "backup")
    live.start("hub")
    live.queue("vn", NOTICES)
    live.settle()
    # Everybody has seen the log as it is now.
    seen = max(live.look(member).tree_size for member in MEMBERS)
    assert live.until(lambda: all(live.look(member).tree_size >= seen for member in MEMBERS))
    live["hub"].kill()
    shutil.rmtree(folder / "hub")
    shutil.copytree(folder / "backup", folder / "hub")


def test_every_node_notices_that_the_hub_was_set_back(tmp_path: Path) -> None:
    with Live.built(tmp_path) as live:
        live.start()
        restore_hub(tmp_path, live)
        files = {member: live.files(member) for member in MEMBERS}

        live.start("hub")

        for member in MEMBERS:
            assert live.until(lambda member=member: ("feed.stopped", "bad-proof") in alarms(live, member)), (
                member
            )  # type: ignore[misc]
            assert live.look(member).held_code == "bad-proof"
            said = run("doctor", "--dir", str(tmp_path / member))
            assert said.returncode == Exit.FAILED
            assert "bad-proof" in said.stdout
        # What is said to such a hub reaches nobody.
        live.queue("vn", NOTICES)
        assert live.until(lambda: not live.look("vn").sent.get("waiting"))
        assert {member: live.files(member) for member in MEMBERS} == files
    assert live.signed_twice() == 0
