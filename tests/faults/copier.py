"""A process like a dispatcher: follows `notices.*`, and writes each record to three inboxes, in one step.

    python -m tests.faults.copier URL SESSION_MILLISECONDS [--forget-places]

Says `started` when its first batch is committed.  With `--forget-places` the reader's place is not part of
the transaction, and so of nothing: the control that shows what the counting would find.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import aclosing, suppress

import aiokafka

import broker.log.kafka_shared
from broker.log import LogUnavailable, Partition, Record, open_log

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


async def main() -> None:
    """Copy until told to stop."""
    url, session, *flags = sys.argv[1:]
    broker.log.kafka_shared.SESSION_MILLISECONDS = int(session)  # type: ignore[misc]  # for this process alone
    if "--forget-places" in flags:

        async def forget(*_: object) -> None:
            return

        aiokafka.AIOKafkaProducer.send_offsets_to_transaction = forget
    async with asyncio.TaskGroup() as group:
        copying = group.create_task(copy(url))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, copying.cancel)


if __name__ == "__main__":
    asyncio.run(main())
