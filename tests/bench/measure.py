"""Measuring: by turns, so that a machine whose speed drifts slows both sides of a ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """The seconds that each of two things took, and the ratio of what they did in a second."""

    ours: float
    baseline: float
    ratio: float
    """How many times as fast as the baseline: the median of the rounds."""


async def by_turns(
    ours: Callable[[], Awaitable[float]], baseline: Callable[[], Awaitable[float]], rounds: int = ROUNDS
) -> Pair:
    """Let both tell, in turn, how many seconds they took."""
    found = [(await ours(), await baseline()) for _ in range(rounds)]
    return Pair(
        statistics.median(each for each, _ in found),
        statistics.median(each for _, each in found),
        statistics.median(base / each for each, base in found),
    )


def seconds_of(do: Callable[[], object], times: int = 1) -> float:
    """Return how long one call takes, of so many."""
    started = time.perf_counter()
    for _ in range(times):
        do()
    return (time.perf_counter() - started) / times
