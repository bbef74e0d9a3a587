"""Hub, publishing node and receiving node are killed on the embedded engine, under load, and all is counted.

Real processes; the count is of the hub's raw bytes and of the receivers' folders.  Each control is broken on
purpose, and the count must say how.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from broker.demo.processes import ask
from tests.faults import broken, chance
from tests.faults.counting import Found
from tests.faults.live import MEMBERS, Live
from tests.faults.table import Row, record

pytestmark = pytest.mark.sockets

PER_SECOND = 120
KILLS = {"hub": 40, "vn": 20, "nl": 20}
"""How often each is killed; in the hub are sequencer and tile builder."""
FIRST_SECONDS = 1.0
LONGEST_LIFE_SECONDS = 1.5

VICTIMS = {"hub": "hub killed", "vn": "publishing node killed", "nl": "receiving node killed"}


def under_kills(folder: Path, victims: Sequence[str], name: str, seed: int) -> tuple[Live, Row]:
    """Kill each in turn under load, at any moment, and start it again at once; return what came of it."""
    moments = random.Random(f"{seed} {name}")
    began = time.monotonic()
    with Live.built(folder) as live:
        live.start()
        with live.load(PER_SECOND):
            time.sleep(FIRST_SECONDS)
            for victim in victims:
                time.sleep(moments.uniform(0, LONGEST_LIFE_SECONDS))
                live[victim].kill()
                live.start(victim)
        live.settle()
        # A receipt that comes while the hub is told to stop waits for its leaf until the next start.
        live.stop(*MEMBERS)
        assert live.until(lambda: ask("audit", "count", str(folder / "hub"))["waiting"] == 0)
        live.stop()
    found = live.in_topics() + live.in_folders()
    return live, live.row(name, found, kills=len(victims), seed=seed, seconds=time.monotonic() - began)


def check(live: Live, row: Row) -> None:
    assert row.faultless, row
    assert row.deliveries == sum(map(len, live.owed.values()))
    assert live.signed_twice() == 0
    verified = live.audit()
    assert (verified["log"], verified["waiting"], verified["published"]) == ("verified", 0, row.notices)


def test_whoever_is_killed_everything_arrives_once(tmp_path: Path) -> None:
    seed = chance.seed()
    victims = random.Random(seed).sample(list(VICTIMS), len(VICTIMS))

    live, row = under_kills(tmp_path, victims, "each killed", seed)

    check(live, row)


@pytest.mark.soak
@pytest.mark.parametrize("victim", VICTIMS)
def test_whoever_is_killed_however_often_everything_arrives_once(victim: str, tmp_path: Path) -> None:
    live, row = under_kills(tmp_path, [victim] * chance.scaled(KILLS[victim]), VICTIMS[victim], chance.seed())

    record(row)
    check(live, row)


# --- controls -----------------------------------------------------------------------------------------

MOST_CONTROL_KILLS = 10
MOMENT_SECONDS = 0.2
"""After something was seen to be under way."""

CONTROLS = {
    "forgets": ("hub", "doubled"),
    "loses": ("hub", "lost"),
    "over-delivers": ("hub", "over_delivered"),
    "says-again": ("vn", "doubled"),
    "hands-on-again": ("nl", "doubled"),
}
"""What is broken, whose it is, and which number must show it."""


def broken_run(folder: Path, kind: str) -> tuple[Found, Row]:
    """Run with one process broken so, killing it until the count shows it; return the count."""
    name, number = CONTROLS[kind]
    seed = chance.seed()
    moments = random.Random(f"{seed} {kind}")
    began = time.monotonic()
    arguments = ("hub" if name == "hub" else "member", "--dir", str(folder / name))
    kills = 0
    with Live.built(folder, {name: broken.command(kind, *arguments)}) as live:
        count = live.in_folders if name == "nl" else live.in_topics
        live.start()
        with live.load(PER_SECOND):
            # What is lost shows when the load is over: until then it may be under way.
            while number != "lost" and not getattr(count(), number) and kills < MOST_CONTROL_KILLS:
                files = live.files("nl")
                assert live.until(
                    lambda files=files: (
                        live.look("vn").sent.get("accepted", 0) > 0 and live.files("nl") > files
                    )  # type: ignore[misc]
                )
                time.sleep(moments.uniform(0, MOMENT_SECONDS))
                live[name].kill()
                live.start(name)
                kills += 1
        if number == "lost":
            assert live.until(live.all_said)
        live.stop()
    found = count()
    if number != "lost":
        found = replace(found, lost=0)
    row = live.row(
        f"{'hub' if name == 'hub' else 'node'} that {kind.replace('-', ' ')}",
        found,
        kills=kills,
        seed=seed,
        seconds=time.monotonic() - began,
        control=True,
    )
    return found, row


def test_the_count_finds_what_a_forgetful_hub_delivers_twice(tmp_path: Path) -> None:
    found, _ = broken_run(tmp_path, "forgets")

    assert found.doubled > 0


@pytest.mark.soak
@pytest.mark.parametrize("kind", CONTROLS)
def test_the_count_finds_what_is_broken_on_purpose(kind: str, tmp_path: Path) -> None:
    found, row = broken_run(tmp_path, kind)

    record(row)
    assert getattr(found, CONTROLS[kind][1]) > 0
