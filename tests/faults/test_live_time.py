"""Clocks that are an hour off, and a hub that stands still for a while and then goes on."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from broker.terminal import Exit
from tests.faults import broken, chance
from tests.faults.live import Live, run
from tests.faults.table import record

pytestmark = [pytest.mark.sockets, pytest.mark.soak]

HOUR = 3600
PER_SECOND = 100
NOTICES = 200
PAUSE_SECONDS = 40.0
"""Longer than any reader of the log waits for the disk."""


def stood_still(folder: Path, seconds: float) -> tuple[Live, float]:
    """Stop the hub under load as a machine does that swaps or is moved, and wake it up again."""
    began = time.monotonic()
    with Live.built(folder) as live:
        live.start()
        with live.load(PER_SECOND):
            time.sleep(1)
            pid = live["hub"].pid
            assert pid is not None
            live["hub"].signal(signal.SIGSTOP)
            # A supervisor that takes it for dead starts another: only one may write.
            second = run("hub", "--dir", str(folder / "hub"))
            assert second.returncode == Exit.UNAVAILABLE, second.stderr
            assert "another process" in second.stderr
            time.sleep(seconds)
            live["hub"].signal(signal.SIGCONT)
            time.sleep(1)
        assert live["hub"].pid == pid
        live.settle()
        live.stop()
    return live, time.monotonic() - began


def test_a_hub_that_stood_still_for_long_goes_on_and_no_second_one_writes(tmp_path: Path) -> None:
    seed = chance.seed()
    pause = random.Random(seed).uniform(0.8, 1.2) * PAUSE_SECONDS

    live, seconds = stood_still(tmp_path, pause)

    row = live.row(
        "hub paused and woken", live.in_topics() + live.in_folders(), kills=1, seed=seed, seconds=seconds
    )
    record(row)
    assert row.faultless
    assert live.audit()["log"] == "verified"


def wrong_by(folder: Path, name: str, seconds: int) -> Live:
    """Return the processes of which one has a clock that is wrong."""
    arguments = ("hub" if name == "hub" else "member", "--dir", str(folder / name))
    return Live.built(folder, {name: broken.command(f"clock={seconds}", *arguments)})


@pytest.mark.parametrize(("name", "seconds"), [("hub", HOUR), ("vn", -HOUR), ("nl", HOUR), ("nl", -HOUR)])
def test_a_clock_that_is_an_hour_off_loses_nothing(name: str, seconds: int, tmp_path: Path) -> None:
    began = time.monotonic()
    with wrong_by(tmp_path, name, seconds) as live:
        live.start()
        live.queue("vn", NOTICES, clock_seconds=seconds if name == "vn" else 0)
        live.queue("jp", NOTICES)
        live.settle()
        live.stop()

    who = {"hub": "hub", "vn": "publishing node", "nl": "receiving node"}[name]
    row = live.row(
        f"{who}'s clock an hour {'ahead' if seconds > 0 else 'behind'}",
        live.in_topics() + live.in_folders(), kills=1, seed=0, seconds=time.monotonic() - began,
    )  # fmt: skip
    record(row)
    assert row.faultless
    assert live.audit()["log"] == "verified"


@pytest.mark.parametrize(("name", "seconds", "later"), [("hub", -HOUR, 0), ("vn", HOUR, HOUR)])
def test_what_is_of_the_hubs_future_waits_until_it_is_true(
    name: str, seconds: int, later: int, tmp_path: Path
) -> None:
    """The hub is an hour behind, or the publisher ahead; then the hub is put right, or an hour passes."""
    began = time.monotonic()
    with wrong_by(tmp_path, name, seconds) as live:
        live.start()
        live.queue("vn", NOTICES, clock_seconds=seconds if name == "vn" else 0)
        assert live.until(
            lambda: any(
                (alarm.event, alarm.code) == ("outbox.blocked", "not-yet-valid")
                for alarm in live.look("vn").alarms
            )
        )
        assert live.files("jp") == 0
        live.stop("hub")
        live.replace("hub", broken.command(f"clock={later}", "hub", "--dir", str(tmp_path / "hub")))
        live.start("hub")
        live.settle()
        live.stop()

    row = live.row(
        "hub's clock an hour behind" if name == "hub" else "publishing node's clock an hour ahead",
        live.in_topics() + live.in_folders(), kills=1, seed=0, seconds=time.monotonic() - began,
    )  # fmt: skip
    record(row)
    assert row.faultless
