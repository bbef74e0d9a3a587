"""What a person at the node must hear of: kept in the store, counted when it happens again, logged once."""

from __future__ import annotations

from adapters.store import Store
from broker.clock import Clock
from broker.telemetry import logger_of

log_line = logger_of("alarm")


class Alarms:
    """Sounds alarms.

    Args:
        store: Where they are kept, for `halong doctor` and the health page.
        clock: Tells when.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def sound(self, event: str, code: str, subject: str = "") -> None:
        """Keep an alarm about `subject`: an id, a place, a field; never a value of a notice."""
        if self._store.alarm(event, code, subject, self._clock.now()):
            log_line.error(event, code=code, field=subject)
