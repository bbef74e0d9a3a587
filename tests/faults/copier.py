"""A process like a dispatcher: follows `notices.*`, and writes each record to three inboxes, in one step.

    python -m tests.faults.copier URL SESSION_MILLISECONDS [--forget-places | --ask-first]

Says `started` when its first batch is committed.  Two controls show what the counting would find: with
`--forget-places` the reader's place is not part of the transaction, and so of nothing; with `--ask-first` a
partition's place is asked for before the owner before us is shut out, and may move meanwhile.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import aclosing, suppress

import aiokafka
from aiokafka import TopicPartition

import broker.log.kafka_shared
from broker.log import LogUnavailable, Partition, Record, open_log
from broker.log.kafka_shared import SharedFollower, _claims, _Owned
from broker.log.kafka_writer import TransactionalWriter

SLOWLY_SECONDS = 3.0
INBOXES = tuple(Partition(f"inbox.{member}") for member in ("jp", "nl", "vn"))


async def copy(url: str) -> None:
    """Copy until cancelled."""
    async with open_log(url) as log, aclosing(log.follow("dispatcher", ["notices.*"], limit=50)) as batches:
        said = False
        async for batch in batches:
            results = [Record(inbox, s.key, s.value) for s in batch.records for inbox in INBOXES]
            # A refusal means that it comes again, under another claim.
            with suppress(LogUnavailable):
                await batch.commit(results)
                if not said:
                    said = True
                    sys.stdout.write("started\n")
                    sys.stdout.flush()


async def ask_first(follower: SharedFollower, partition: TopicPartition) -> None:
    """Claim a partition with the first two steps in the wrong order."""
    assignments = follower._assignments
    places = await follower._reads.places(follower.reader, [partition])
    await asyncio.sleep(SLOWLY_SECONDS)
    writer = TransactionalWriter(
        follower._cluster,
        follower._cluster.transaction(follower.reader, partition),
        follower._cluster.group(follower.reader),
    )
    await writer.start()
    if assignments != follower._assignments:
        follower._dropped.append(writer)
        return
    follower._consumer.seek(partition, places.get(follower._cluster.here(partition), 0))
    follower._owned[partition] = _Owned(next(_claims), writer)


async def main() -> None:
    """Copy until told to stop."""
    url, session, *flags = sys.argv[1:]
    broker.log.kafka_shared.SESSION_MILLISECONDS = int(session)  # type: ignore[misc]  # for this process alone
    if "--forget-places" in flags:

        async def forget(*_: object) -> None:
            return

        aiokafka.AIOKafkaProducer.send_offsets_to_transaction = forget
    if "--ask-first" in flags:
        SharedFollower._claim = ask_first  # type: ignore[method-assign]  # what must never be done
    async with asyncio.TaskGroup() as group:
        copying = group.create_task(copy(url))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, copying.cancel)


if __name__ == "__main__":
    asyncio.run(main())
