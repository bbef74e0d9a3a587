"""When a decision was made: its own time, as far as the log bears it out.

A key counts, and an agreement is in force, at `decided_at`, which the hub writes.  A hub that could write any
time would let a stolen key sign into the days before it was revoked.  So the time of a decision must be near
that of the first checkpoint which covers it; and the times of checkpoints never go back.

Decides how near.  Who signed a checkpoint's time, and which checkpoint is the first, is judged by whoever
asks (`adapters.receiving.times`, `broker.commands.recount`).

Source: docs/formats.md, "When a key counts".
"""

from __future__ import annotations

from broker.core.errors import Untimely

COVERED_WITHIN_MS = 10 * 60 * 1000


def check_timely(decided_at: int, signed_at: int) -> None:
    """Let a decision pass whose time is near that of the first checkpoint which covers it.

    Raises:
        Untimely: It is further than ten minutes from it, before or after.
    """
    if abs(signed_at - decided_at) > COVERED_WITHIN_MS:
        raise Untimely("decided at another time than the log took it in", field="decided_at")
