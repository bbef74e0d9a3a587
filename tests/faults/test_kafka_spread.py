"""A hub spread over eleven processes on Kafka: parts are killed, paused, added, and all is counted.

Two gateways, two inboxes, three dispatchers that share the partitions, two sequencers of which one leads,
two builders of the same tiles; the members' nodes reach all of them.  The count is of raw topics and of the
receivers' folders.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.faults import chance
from tests.faults.spread import APART, Spread

pytestmark = [pytest.mark.kafka, pytest.mark.sockets]

SHORT_PER_SECOND = 60
PER_SECOND = 120
KILLS = 20
LOG_KILLS = 40
"""How often whoever writes the log is killed, each time when it is at work again."""
LONGEST_LIFE_SECONDS = 1.2
ZOMBIE_SECONDS = 9.0
"""Longer than the group waits for a dispatcher, and than a sequencer that stands by waits for a leaf."""
TRANSACTION_ZOMBIE_SECONDS = 42.0
"""Longer than the cluster keeps a transaction open, and looks for such ones."""
ZOMBIES = 3

GATEWAYS = ("gateway1", "gateway2")
INBOXES = ("inbox1", "inbox2")
DISPATCHERS = ("dispatcher1", "dispatcher2", "dispatcher3")
SEQUENCERS = ("sequencer1", "sequencer2")
BUILDERS = ("tiles1", "tiles2")
VICTIMS = {
    "gateway killed": GATEWAYS,
    "inbox killed": INBOXES,
    "dispatcher killed": DISPATCHERS,
    "member node killed": ("vn", "jp", "nl"),
}
LOG_VICTIMS = {"sequencer killed": SEQUENCERS, "tile builder killed": BUILDERS}


@pytest.fixture(scope="module")
def live(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spread]:
    """A hub and four members, all running."""
    with Spread.on(kafka, tmp_path_factory.mktemp("spread")) as live:
        yield live.start()
        live.stop()


def killed(
    live: Spread, names: Sequence[str], kills: int, moments: random.Random, *, at_work: bool = False
) -> None:
    """Kill one of them again and again, at any moment, and start it again at once.

    It may be starting; `at_work` waits until it is ready.
    """
    for _ in range(kills):
        name = moments.choice(names)
        if at_work:
            live[name].await_ready()
        time.sleep(moments.uniform(0, LONGEST_LIFE_SECONDS))
        live[name].kill()
        live[name].start()
    for name in names:
        live[name].await_ready()


def leading(live: Spread) -> list[str]:
    return [name for name in SEQUENCERS if live.metric(name, "halong_sequencer_leads")]


def settled_leading(live: Spread) -> list[str]:
    """Return who leads, once whoever was shut out has heard of it."""
    assert live.until(lambda: len(leading(live)) == 1)
    return leading(live)


@contextmanager
def paused(live: Spread, *names: str) -> Iterator[None]:
    """Stop processes in their tracks, as a machine does that is out of breath, and let them go on."""
    for name in names:
        live[name].signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for name in names:
            live[name].signal(signal.SIGCONT)


def test_one_of_each_part_is_killed_and_the_others_lose_and_double_nothing(live: Spread) -> None:
    with live.counted("one of each part killed", 5) as moments, live.load(SHORT_PER_SECOND):
        (leads,) = settled_leading(live)
        others = [moments.choice(each) for each in (GATEWAYS, INBOXES, DISPATCHERS, BUILDERS)]
        victims = [*others, leads]
        for name in victims:
            time.sleep(moments.uniform(0, LONGEST_LIFE_SECONDS))
            live[name].kill()
    assert leading(live) == [name for name in SEQUENCERS if name != leads]

    live.start(*victims)

    # The others share anew with who came back.
    assert live.until(lambda: all(live.is_ready(name) for name in APART))


@pytest.mark.soak
@pytest.mark.parametrize("name", VICTIMS)
def test_whichever_part_is_killed_however_often_everything_arrives_once(live: Spread, name: str) -> None:
    kills = chance.scaled(KILLS)
    with live.counted(name, kills) as moments, live.load(PER_SECOND):
        killed(live, VICTIMS[name], kills, moments)


@pytest.mark.soak
@pytest.mark.parametrize("name", LOG_VICTIMS)
def test_whoever_writes_the_log_is_killed_and_each_record_has_one_leaf(live: Spread, name: str) -> None:
    kills = chance.scaled(LOG_KILLS)
    with live.counted(name, kills) as moments, live.load(SHORT_PER_SECOND):
        killed(live, LOG_VICTIMS[name], kills, moments, at_work=True)


@pytest.mark.soak
def test_whoever_was_replaced_while_it_slept_cannot_store_anything(live: Spread) -> None:
    times = chance.scaled(ZOMBIES)
    with (
        live.counted("dispatcher and sequencer paused, woken when replaced", times + 1) as moments,
        live.load(PER_SECOND),
    ):
        for seconds in [ZOMBIE_SECONDS] * times + [TRANSACTION_ZOMBIE_SECONDS]:
            (leads,) = settled_leading(live)
            other = next(name for name in SEQUENCERS if name != leads)
            with paused(live, moments.choice(DISPATCHERS), leads):
                time.sleep(seconds)
                assert live.metric(other, "halong_sequencer_leads") == 1
            # It hears of it when it next commits, and stands by.
            assert live.until(lambda leads=leads: live.metric(leads, "halong_sequencer_leads") == 0)  # type: ignore[misc]  # the lambda's own


@pytest.mark.soak
def test_dispatchers_may_come_and_go_under_load(live: Spread) -> None:
    times = chance.scaled(KILLS)
    with live.counted("dispatchers come and go", times) as moments, live.load(PER_SECOND):
        for _ in range(times):
            time.sleep(moments.uniform(0, LONGEST_LIFE_SECONDS))
            name = moments.choice(DISPATCHERS[1:])
            if live[name].started:
                live.stop(name)
            else:
                live[name].start()
        for name in DISPATCHERS:
            if not live[name].started:
                live[name].start()
            live[name].await_ready()
