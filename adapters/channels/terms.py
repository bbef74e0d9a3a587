"""What a channel is allowed: how long it may take, how often it may fail, when it is left alone."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.channels.places import Place

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a channel is allowed.

    Args:
        timeout_seconds: How long one delivery, or one batch, may take.
        give_up_attempts: A delivery that was tried so often becomes a dead letter; 0 is never.
        give_up_hours: The same by time since it was first tried; 0 is never.
        circuit_failures: After so many failures in a row the channel is left alone …
        circuit_seconds: … for so long.
    """

    timeout_seconds: float = 60.0
    give_up_attempts: int = 0
    give_up_hours: float = 24.0
    circuit_failures: int = 5
    circuit_seconds: float = 60.0

    def open(self, failures: int) -> bool:
        """Say whether the channel is left alone after so many failures in a row."""
        return failures >= self.circuit_failures

    def over(self, place: Place, at: int) -> bool:
        """Say whether a delivery that was not taken once more is given up."""
        if self.give_up_attempts and place.attempts + 1 >= self.give_up_attempts:
            return True
        since = at if place.since is None else place.since
        return bool(self.give_up_hours) and at - since >= self.give_up_hours * HOUR_MS
