"""The hub's dispatcher as a process of its own, to be killed.

    python -m tests.faults.dispatching FOLDER URL SESSION_MILLISECONDS [--forget]

Says `started` once it dispatches.  With `--forget` neither the reader's place nor what the dispatcher knows
of the past counts: the control that shows what the counting would find.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import aiokafka

import broker.log.kafka_shared
from broker import telemetry
from broker.clock import SystemClock
from broker.directory.signed import SignedDirectory
from broker.directory.sources import trusted_root
from broker.log import open_log
from broker.services.current import CurrentDirectory
from broker.services.dispatch_state import DispatchState
from broker.services.dispatcher import Dispatcher
from broker.services.metrics import Metrics
from tests.world import MovableClock


async def dispatch(folder: Path, url: str) -> None:
    """Dispatch until cancelled."""
    async with open_log(url) as log:
        path = folder / "hub-directory"
        # It was made at a moment of the world, and counts for a day.
        directory = CurrentDirectory(SignedDirectory(path, trusted_root(path), MovableClock()), log)
        await directory.refresh()
        sys.stdout.write("started\n")
        sys.stdout.flush()
        await Dispatcher(log, directory, SystemClock(), Metrics()).run()


async def main() -> None:
    """Dispatch until told to stop."""
    folder, url, session, *flags = sys.argv[1:]
    broker.log.kafka_shared.SESSION_MILLISECONDS = int(session)  # type: ignore[misc]  # for this process alone
    telemetry.configure()
    if "--forget" in flags:

        async def forget(*_: object) -> None:
            return

        aiokafka.AIOKafkaProducer.send_offsets_to_transaction = forget
        DispatchState.refresh = forget  # type: ignore[method-assign]  # what a dispatcher must never do
    async with asyncio.TaskGroup() as group:
        dispatching = group.create_task(dispatch(Path(folder), url))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, dispatching.cancel)


if __name__ == "__main__":
    asyncio.run(main())
