"""Calls that block, on threads of their own: one that never returns takes nobody else's place.

Python's shared pool has few threads; a folder on a file server that is gone would in time hold all of them,
and with them the rest of the node.  The threads here do not keep the process from ending either.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from adapters.channels import ChannelUnavailable

T = TypeVar("T")


class OneAtATime:
    """Runs calls one after another.

    Args:
        name: The channel's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._busy = False

    async def run(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, or raise what it raises.

        Raises:
            ChannelUnavailable: The call before has not returned yet, though nobody waits for it any more.
        """
        if self._busy:
            raise ChannelUnavailable("the last call has not returned yet", field=self._name, answer="hanging")
        self._busy = True
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                finish(done.set_exception, error)
            else:
                finish(done.set_result, result)

        def finish(report: Callable[..., None], value: object) -> None:
            self._busy = False
            # Nobody may wait any more, and the loop may have ended.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: None if done.done() else report(value))

        threading.Thread(target=work, name=f"channel {self._name}", daemon=True).start()
        return await done
