"""The dry run of a changed agreement over a long period of a large network's notices."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from broker.commands.replaying import Period, replay_log
from broker.core.dry_run import Outcome
from broker.core.index import Index
from broker.core.model import Act, Decision, DecisionShare, Disclosure, Envelope, Ground, Header, Slot
from broker.core.records import encode, framed, named_frame, partition_of, statement_id
from broker.log import Partition, Record, open_log
from broker.log.topics import DECISIONS, PARTITIONS_PER_REGION, hub_topics, notices_topic
from tests.bench.network import dense_network, members, notices
from tests.bench.rows import Figure, Goal, Row
from tests.bench.setting import Setting
from tests.strategies import DAY, NOW, digest, directory

NOTICES = 1_000_000
AT_ONCE = 2_048
KINDS = 2_000
RECEIVERS = 8
"""Of each stored decision: it is read past, so it has to have a length."""
VALUE_BYTES = 100


def rows(setting: Setting) -> Iterator[Row]:
    """Yield how long the dry run takes on each engine."""
    count = setting.some(NOTICES)
    for engine, url in setting.urls():
        outcome, seconds = asyncio.run(_replayed(url, count))
        yield Row(
            f"dry-run-{engine.lower()}",
            f"a community's agreement taken out of {outcome.notices:,} notices, on {engine}",
            Figure(seconds, "s"),
            f"{sum(outcome.before.values()):,} deliveries, of which {sum(outcome.after.values()):,} stay",
            goal=Goal("value", most=120 * count / NOTICES, said=f"< {120 * count // NOTICES} s"),
        )


async def _replayed(url: str, count: int) -> tuple[Outcome, float]:
    value = dense_network()
    async with open_log(url) as log:
        await log.create(hub_topics(()))
        for records in generated(count):
            await log.append(records)
        old = Index(value)
        new = old.updated(directory(*value.agreements[1:], members=members()))
        started = time.perf_counter()
        outcome = await replay_log(log, old, new, Period(0, NOW + 365 * DAY))
        seconds = time.perf_counter() - started
    assert outcome.notices == count
    return outcome, seconds


def generated(count: int, seed: int = 3) -> Iterator[list[Record]]:
    """Yield notices with their decisions, as a hub's log has them; every tenth refers to one before."""
    random = Random(seed)
    kinds = notices(random, KINDS)
    said: list[bytes] = []
    for start in range(0, count, AT_ONCE):
        records: list[Record] = []
        for number in range(start, min(start + AT_ONCE, count)):
            header = replace(kinds[number % KINDS], sequence=number + 1, issued_at=NOW + number)
            if number % 10 == 9:
                act = Act.RECALL if number % 100 == 99 else Act.UPDATE
                header = replace(header, act=act, references=(random.choice(said),))
            records += _stored(header, NOW + number)
            said.append(records[-1].key)
        yield records


_DECISION = Decision(
    salt=bytes(16),
    statement=bytes(32),
    signature=digest("signature"),
    key=digest("key"),
    directory=digest("version"),
    decided_at=0,
    shares=tuple(
        DecisionShare(
            f"m{number}", (Slot.FACTS,), (Ground("community-1", 1, digest("community-1")),), digest("")
        )
        for number in range(RECEIVERS)
    ),
)


def _stored(header: Header, at: int) -> Sequence[Record]:
    data = encode(header)
    statement = statement_id(data)
    disclosures = tuple(Disclosure(slot, bytes(16), os.urandom(VALUE_BYTES)) for slot in Slot)
    envelope = encode(Envelope(data, bytes(96), disclosures, (), ()))
    place = Partition(notices_topic(header.region), partition_of(header.originator, PARTITIONS_PER_REGION))
    decision = replace(_DECISION, statement=statement, decided_at=at)
    _, value = named_frame(decision)
    return Record(Partition(DECISIONS), digest(""), value), Record(
        place, statement, framed(Envelope, envelope)
    )
