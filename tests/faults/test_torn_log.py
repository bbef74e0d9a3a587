"""The embedded log's files are cut and garbled, as a power cut or a bad disk leaves them.

Whatever is done to them, one of three things comes of it: the log is refused with a reason, or verifying it
names what is wrong, or it is a whole earlier state of the log, and whoever has seen more of it notices
(`test_set_back`).  Never does a log with something missing inside pass for the log.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from broker.commands.recount import recount
from broker.core.errors import HalongError
from broker.core.model import Checkpoint
from broker.core.note import LogKey
from broker.core.records import unframe
from broker.log import Partition, open_log
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES, FOLLOWED
from tests.faults import chance
from tests.recount import records
from tests.world import World, sighting

# Not for its sockets, it has none: for its seconds of disk it runs with `make test`.
pytestmark = pytest.mark.sockets

NOTICES = 24
TIMES = 6
"""How often each kind of damage is done, at other places."""

Contents = Mapping[Partition, Sequence[tuple[int, bytes, bytes]]]
Damage = Callable[[bytearray, random.Random], bytearray]


def cut(data: bytearray, place: random.Random) -> bytearray:
    return data[: place.randrange(len(data))]


def cut_little(data: bytearray, place: random.Random) -> bytearray:
    return data[: -place.randrange(1, 5000)]


def garble(data: bytearray, place: random.Random) -> bytearray:
    at = place.randrange(len(data) - 8)
    data[at : at + 8] = place.randbytes(8)
    return data


def garble_page(data: bytearray, place: random.Random) -> bytearray:
    at = place.randrange(len(data) // 4096) * 4096
    data[at : at + 4096] = place.randbytes(4096)
    return data


def empty_tail(data: bytearray, place: random.Random) -> bytearray:
    at = place.randrange(len(data))
    data[at:] = bytes(len(data) - at)
    return data


def gone(data: bytearray, place: random.Random) -> bytearray:
    return bytearray()


DAMAGES: Sequence[tuple[str, Damage]] = [
    ("log.db-wal", cut),
    ("log.db-wal", cut_little),
    ("log.db-wal", garble),
    ("log.db-wal", garble_page),
    ("log.db-wal", empty_tail),
    ("log.db-wal", gone),
    ("log.db", cut),
    ("log.db", garble),
    ("log.db", garble_page),
    ("log.db", empty_tail),
]


async def contents(folder: Path, key: LogKey) -> tuple[Contents, bool]:
    """Return what the log holds, and whether it verifies; opening it mends what SQLite can mend.

    Of a checkpoint its note counts: what stands beside it are hints, under no signature.
    """
    async with open_log(f"sqlite://{folder}/log.db") as log:
        verified = (await recount(log, key)).verified
        found = await records(log, *FOLLOWED, AUDIT_LEAVES, AUDIT_CHECKPOINTS)
    held: dict[Partition, Sequence[tuple[int, bytes, bytes]]] = {
        partition: [(each.offset, each.key, each.value) for each in here] for partition, here in found.items()
    }
    checkpoints = Partition(AUDIT_CHECKPOINTS)
    held[checkpoints] = [
        (offset, b"", unframe(Checkpoint, value).note) for offset, _, value in held.get(checkpoints, ())
    ]
    return held, verified


async def became(folder: Path, key: LogKey, whole: Contents) -> str:
    try:
        held, verified = await contents(folder, key)
    except HalongError:
        return "refused"
    if not verified:
        return "found"
    for partition, here in held.items():
        assert list(here) == list(whole[partition])[: len(here)], partition
    return "the same" if held == whole else "an earlier state"


async def test_a_damaged_log_is_refused_or_found_or_a_whole_earlier_state(tmp_path: Path) -> None:
    seed = chance.seed()
    running, ended = tmp_path / "running", tmp_path / "ended"
    for folder in (running, ended):
        folder.mkdir()
    (tmp_path / "world").mkdir()
    async with World(tmp_path / "world", "vn", "jp") as world:
        world.agree("vn", "jp")
        for number in range(NOTICES):
            await world.publish("vn", sighting(place=f"place {number}"))
        await world.settle()
        # As it lies there after a power cut: most of it is in the journal.
        for name in ("log.db", "log.db-wal"):
            shutil.copy(tmp_path / "world" / name, running / name)
        key = LogKey.parse(world.log_signer.vkey)
    shutil.copy(tmp_path / "world" / "log.db", ended / "log.db")
    whole, verified = await contents(ended, key)
    assert verified

    outcomes: dict[str, Counter[str]] = {}
    for name, damage in DAMAGES:
        kind = f"{name} {damage.__name__}"
        for turn in range(TIMES):
            folder = tmp_path / f"{kind} {turn}"
            shutil.copytree(running if name == "log.db-wal" else ended, folder)
            data = bytearray((folder / name).read_bytes())
            (folder / name).write_bytes(damage(data, random.Random(f"{seed} {kind} {turn}")))
            outcomes.setdefault(kind, Counter())[await became(folder, key, whole)] += 1
    print(outcomes)

    everything = sum(outcomes.values(), Counter())
    assert everything["an earlier state"]
    assert everything["refused"]
    # A journal whose end is missing is the usual power cut: what was written whole is there.
    assert set(outcomes["log.db-wal cut_little"]) <= {"an earlier state", "the same"}
