"""How fast one peer may go: a bucket of tokens that fills with time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: int


class Rate:
    """A bucket for each peer; `burst` tokens at most, `per_second` come back.

    Holds one bucket for each peer that it was asked about, so peers must be a bounded set: members.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_millisecond = per_second / 1000
        self._burst = burst
        self._buckets: dict[str, _Bucket] = {}

    def take(self, peer: str, now: int) -> bool:
        """Take a token if there is one, and say whether there was."""
        bucket = self._fill(peer, now)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def seconds_until(self, peer: str, now: int) -> int:
        """Return after how many whole seconds, at least one, there will be a token again."""
        missing = 1 - self._fill(peer, now).tokens
        return max(1, -int(-missing / (self._per_millisecond * 1000) // 1))

    def _fill(self, peer: str, now: int) -> _Bucket:
        bucket = self._buckets.setdefault(peer, _Bucket(self._burst, now))
        # A clock that was set back gives nothing and takes nothing.
        gained = max(0, now - bucket.filled_at) * self._per_millisecond
        bucket.tokens = min(self._burst, bucket.tokens + gained)
        bucket.filled_at = now
        return bucket
