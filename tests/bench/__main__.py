"""Climb the ladder of trust and print what each rung costs, as a share of the raw append of the same run.

    python -m tests.bench [--notices N] [--json]

Machines are noisy: compare the ratios of one run, not figures of two.  Nothing here fails on time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broker import telemetry
from broker.core.agreements import Context
from broker.core.catalogue import Catalogue
from broker.core.delivery import open_delivery
from broker.core.index import Index
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import Delivery, Envelope
from broker.core.notice import open_envelope, read_envelope
from broker.core.records import decode, encode, framed
from broker.core.signing import sign_batch
from broker.log import Partition, Record, Topic, open_log
from tests.world import NETWORK, SIGHTING, World, sighting

BATCH = 64
MEMBERS = 186
AGREEMENTS = 300


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: how many of what in how many seconds."""

    name: str
    count: int
    seconds: float

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.seconds


class Ladder:
    """The rungs climbed so far."""

    def __init__(self) -> None:
        self.rungs: list[Rung] = []

    @contextmanager
    def rung(self, name: str, count: int) -> Iterator[None]:
        """Time what is inside."""
        started = time.perf_counter()
        yield
        self.rungs.append(Rung(name, count, time.perf_counter() - started))


def raw_append(folder: Path, values: list[bytes]) -> None:
    """Store the values with the durability of the log, and nothing else."""
    base = sqlite3.connect(folder / "raw.db", isolation_level=None)
    base.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE r (id INTEGER PRIMARY KEY, k, v)"
    )
    for start in range(0, len(values), 1024):
        base.execute("BEGIN IMMEDIATE")
        base.executemany(
            "INSERT INTO r (k, v) VALUES (?, ?)", ((v[:32], v) for v in values[start : start + 1024])
        )
        base.execute("COMMIT")
    base.close()


async def log_append(folder: Path, values: list[bytes]) -> None:
    """Store the same values through the log."""
    partition = Partition("bench")
    async with open_log(f"sqlite://{folder}/bench.db") as log:
        await log.create([Topic(partition.topic)])
        for start in range(0, len(values), 1024):
            await log.append([Record(partition, value[:32], value) for value in values[start : start + 1024]])


def checks(ladder: Ladder, world: World, envelopes: list[bytes]) -> None:
    """Everything that the gateway checks, notice by notice, signed one by one and in batches."""
    directory, catalogue, at = world.source.load(), Catalogue([SIGHTING]), world.clock.now()
    with ladder.rung("+ decoded strictly", len(envelopes)):
        arrived = [read_envelope(data) for data in envelopes]
    with ladder.rung("+ signature, digests and values checked", len(envelopes)):
        for each in arrived:
            open_envelope(each, directory, catalogue, NETWORK, at, complete=True)
    whole = [each.envelope for each in arrived]
    batched = [
        encode(Envelope(one.header, signature, one.disclosures, (), ()))
        for start in range(0, len(whole) - BATCH + 1, BATCH)
        for chunk in [whole[start : start + BATCH]]
        for one, signature in zip(
            chunk,
            sign_batch([each.header for each in chunk], NETWORK, world.people["m0"].signer),
            strict=True,
        )
    ]
    with ladder.rung(f"the same, signed {BATCH} at a time", len(batched)):
        for data in batched:
            open_envelope(read_envelope(data), directory, catalogue, NETWORK, at, complete=True)


def decisions(ladder: Ladder, folder: Path, count: int) -> None:
    """Who gets a notice, of 186 members under 300 agreements."""
    world = World(folder, *(f"m{number}" for number in range(MEMBERS)))
    for number in range(AGREEMENTS):
        giver, receiver = number % MEMBERS, (number * 7 + 1 + number // MEMBERS) % MEMBERS
        if giver != receiver:
            world.agree(f"m{giver}", f"m{receiver}", name=f"agreement-{number}")
    index = Index(world.source.load())
    headers = [read_envelope(world.compose(f"m{number}", sighting())).header for number in range(MEMBERS)]
    context = Context(world.clock.now(), {})
    with ladder.rung(f"decided for {MEMBERS} members, {AGREEMENTS} agreements", count):
        for number in range(count):
            index.shares(headers[number % MEMBERS], context)


def tree(ladder: Ladder, count: int) -> None:
    """Leaves hashed and added, with the root after every thousand."""
    entries = [b"\x03" + number.to_bytes(32, "big") for number in range(count)]
    kept = Tree()
    with ladder.rung("leaves added to the tree", count):
        for number, entry in enumerate(entries):
            kept.append(leaf_hash(entry))
            if number % 1000 == 0:
                kept.root()


async def travels(ladder: Ladder, folder: Path, count: int, receivers: int) -> None:
    """From the gateway's door to deliveries under a checkpoint, then verified by the receiver."""
    world = World(folder, *(f"m{number}" for number in range(receivers + 1)))
    for number in range(1, receivers + 1):
        world.agree("m0", f"m{number}", slots=["facts", "persons"])
    async with world:
        envelopes = [world.compose("m0", sighting(person="a person")) for _ in range(count)]
        with ladder.rung(f"gateway to checkpoint, {receivers} receivers", count):
            for start in range(0, count, 256):
                await world.send("m0", *envelopes[start : start + 256])
            await world.settle()
        raws = [received.raw for received in await world.deliveries("m1")]
    directory = world.source.load()
    with ladder.rung("verified again by a receiver", len(raws)):
        for raw in raws:
            open_delivery(decode(Delivery, raw), "m1", directory, world.catalogue, NETWORK)


def climb(count: int) -> Ladder:
    """Return the whole ladder for `count` notices."""
    ladder = Ladder()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        world = World(folder / "signer", "m0")
        envelopes = [world.compose("m0", sighting(person="a person")) for _ in range(count)]
        values = [framed(Envelope, data) for data in envelopes]
        with ladder.rung("raw append (SQLite, executemany, same durability)", count):
            raw_append(folder, values)
        with ladder.rung("through the log", count):
            asyncio.run(log_append(folder, values))
        checks(ladder, world, envelopes)
        decisions(ladder, folder / "many", count)
        tree(ladder, count * 20)
        for receivers in (1, 4):
            part = folder / f"travel-{receivers}"
            part.mkdir()
            asyncio.run(travels(ladder, part, count, receivers))
    return ladder


def main() -> None:
    """Climb and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--notices", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with Path(os.devnull).open("w") as nowhere:
        telemetry.configure(stream=nowhere)
        rungs = climb(options.notices).rungs
    base = rungs[0].rate
    if options.json:
        print(
            json.dumps(
                [
                    {"name": r.name, "per_second": round(r.rate), "of_raw": round(r.rate / base, 4)}
                    for r in rungs
                ]
            )
        )
        return
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    print(f"{machine}, {options.notices} notices")
    print(f"{'rung':52} {'per second':>11} {'µs each':>9} {'of raw':>8}")
    for rung in rungs:
        print(f"{rung.name:52} {rung.rate:11,.0f} {1e6 / rung.rate:9,.1f} {rung.rate / base:8.1%}")


if __name__ == "__main__":
    main()
