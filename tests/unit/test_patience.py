"""Waiting: longer after each failure, never in step with others, and cut short by work."""

from __future__ import annotations

import pytest

from adapters.patience import FIRST_SECONDS, LONGEST_IDLE_SECONDS, LONGEST_SECONDS, LOOK_SECONDS, Patience
from broker.core.errors import Unavailable


class Sleeper:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


async def waits(failures: int, chance: float) -> float:
    sleep = Sleeper()
    await Patience(sleep, lambda: chance).after_failure(failures)
    return sleep.slept[0]


async def test_each_failure_in_a_row_doubles_the_wait_up_to_the_longest() -> None:
    assert await waits(1, 1.0) == 2 * FIRST_SECONDS
    assert await waits(2, 1.0) == 4 * FIRST_SECONDS
    assert await waits(100_000, 1.0) == LONGEST_SECONDS


async def test_the_same_failure_makes_different_nodes_wait_differently() -> None:
    assert await waits(5, 0.0) == await waits(5, 1.0) / 2


@pytest.mark.parametrize("rounds", [1, 5, 100])
async def test_idling_is_bounded(rounds: int) -> None:
    sleep = Sleeper()
    await Patience(sleep).idle(rounds, lambda: False)
    assert sum(sleep.slept) == pytest.approx(min(LOOK_SECONDS * 1.5**rounds, LONGEST_IDLE_SECONDS))


async def test_work_ends_the_idling() -> None:
    sleep = Sleeper()
    await Patience(sleep).idle(10, lambda: len(sleep.slept) == 2)
    assert sum(sleep.slept) == pytest.approx(2 * LOOK_SECONDS)


async def test_keeping_on_waits_as_long_as_failures_and_idleness_last_and_ends_by_what_cannot_pass() -> None:
    """Failures are counted in a row; a step that did something is followed at once by the next."""
    steps = iter([Unavailable("1"), Unavailable("2"), False, True, Unavailable("1"), LookupError("end")])
    sleep, told = Sleeper(), list[int]()

    async def step() -> bool:
        match next(steps):
            case bool() as progressed:
                return progressed
            case error:
                raise error

    with pytest.raises(LookupError):
        await Patience(sleep, lambda: 1.0).keep_on(step, lambda: False, lambda _, count: told.append(count))

    assert told == [1, 2, 1]
    waited = [2 * FIRST_SECONDS, 4 * FIRST_SECONDS, LOOK_SECONDS, LOOK_SECONDS / 2, 2 * FIRST_SECONDS]
    assert sleep.slept == pytest.approx(waited)
