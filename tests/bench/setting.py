"""What the measurements are made of: how much, on which engines, and notices that are signed."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.core.model import Envelope
from broker.core.records import decode, encode
from broker.core.signing import sign_batch
from tests.kafka import KafkaMissing, Source, found
from tests.world import NETWORK, Content, World, sighting

BATCH = 64
AT_ONCE = 1024
PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
    "wal_autocheckpoint = 4000",
    "cache_size = -65536",
)
"""What the embedded log sets: the same durability, and the same care with what was deleted."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How much is measured, and where.

    Args:
        folder: Where scratch files go.
        kafka: The cluster that is there, or None.
        quick: A tenth of everything.
        latency_notices: How many notices travel one by one.
        growth: The two numbers of leaves between which costs are compared.
    """

    folder: Path
    kafka: Source | None
    quick: bool
    latency_notices: int
    growth: tuple[int, int]

    def some(self, count: int) -> int:
        """Return so many, or a tenth."""
        return count // 10 if self.quick else count

    def fresh(self, name: str) -> Path:
        """Return an empty folder."""
        folder = self.folder / f"{name}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        return folder

    def urls(self) -> Iterator[tuple[str, str]]:
        """Yield an empty log on each engine, by the engine's name."""
        yield "SQLite", f"sqlite://{self.fresh('log').absolute()}/log.db"
        if self.kafka is not None:
            yield "Kafka", self.kafka_url()

    def kafka_url(self) -> str:
        """Return an empty log on the cluster."""
        assert self.kafka is not None
        return f"kafka://{self.kafka.bootstrap}/b{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def cluster(folder: Path, *, wanted: bool) -> Iterator[tuple[Source | None, str]]:
    """Yield the Kafka that there is, or why there is none."""
    with contextlib.ExitStack() as stack:
        there, why = None, "left out"
        try:
            there = found(stack, folder) if wanted else None
        except KafkaMissing as missing:
            why = f"to measure it, set KAFKA_BOOTSTRAP, or start Docker, or install {missing}"
        yield there, why


def envelopes(world: World, count: int, content: Content | None = None) -> list[bytes]:
    """Return notices of `m0`, each signed by itself."""
    said = content or sighting(person="a person")
    return [world.compose("m0", said) for _ in range(count)]


def signed_together(world: World, singly: Sequence[bytes]) -> list[bytes]:
    """Return the same notices, signed 64 at a time."""
    whole = [decode(Envelope, each) for each in singly]
    return [
        encode(Envelope(one.header, signature, one.disclosures, (), ()))
        for start in range(0, len(whole) - BATCH + 1, BATCH)
        for chunk in [whole[start : start + BATCH]]
        for one, signature in zip(
            chunk,
            sign_batch([each.header for each in chunk], NETWORK, world.people["m0"].signer),
            strict=True,
        )
    ]


class BareFile:
    """One table of keys and values, filled by `executemany`: nothing can be stored faster here."""

    def __init__(self, folder: Path) -> None:
        self._base = sqlite3.connect(folder / "bare.db", isolation_level=None)
        for pragma in PRAGMAS:
            self._base.execute(f"PRAGMA {pragma}").fetchall()
        self._base.execute("CREATE TABLE r (id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL)")

    def append(self, values: Sequence[bytes], at_once: int = AT_ONCE) -> None:
        """Store the values, `at_once` in each transaction."""
        for start in range(0, len(values), at_once):
            self._base.execute("BEGIN IMMEDIATE")
            self._base.executemany(
                "INSERT INTO r (key, value) VALUES (?, ?)",
                ((value[:32], value) for value in values[start : start + at_once]),
            )
            self._base.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._base.close()
