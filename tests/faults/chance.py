"""The seed of a run's moments, and how much of a long run is wanted.

`$HALONG_SEED` makes moments the same again; it is printed, and in the table.  `$HALONG_SOAK_SCALE` shortens
the long runs: 0.1 is a tenth of them.
"""

from __future__ import annotations

import os

SEED = 20261125


def seed() -> int:
    """Return this run's seed, and print it."""
    chosen = int(os.environ.get("HALONG_SEED", SEED))
    print(f"HALONG_SEED={chosen}")
    return chosen


def scaled(count: int) -> int:
    """Return how many of `count` are wanted, at least one."""
    return max(1, round(count * float(os.environ.get("HALONG_SOAK_SCALE", "1"))))
