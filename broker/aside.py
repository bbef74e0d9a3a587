"""Calls that block, in a thread aside: one that never comes back holds up neither the others nor the end.

`asyncio.to_thread` would do but for its end: the process waits for its threads, so a folder on a network
that is gone would keep it from stopping.  The threads here are left behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from broker.core.errors import Unavailable

T = TypeVar("T")


class Stalled(Unavailable):
    """A call did not come back in time, or an earlier one still has not."""


class Aside:
    """Makes one kind of call, one at a time; a call that stalls is waited for, and not made again.

    Args:
        what: What is called, for messages: `the directory`.
        seconds: How long a call may take.
    """

    def __init__(self, what: str, seconds: float) -> None:
        self._what = what
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._stalls = False

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Return what the function returns, or raise what it raises.

        Raises:
            Stalled: It did not come back in time, or an earlier call has not.
        """
        try:
            async with asyncio.timeout(self._seconds), self._turn:
                if self._stalls:
                    raise Stalled(f"{self._what} does not answer", field=self._what)
                return await self._made(function, arguments)
        except TimeoutError:
            raise Stalled(
                f"{self._what} did not answer within {self._seconds:g} s", field=self._what
            ) from None

    async def _made(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def tell(result: T | None, error: BaseException | None) -> None:
            self._stalls = False
            if done.done():
                return
            if error is None:
                done.set_result(result)  # type: ignore[arg-type]  # without an error it is the result
            else:
                done.set_exception(error)

        def work() -> None:
            result, failure = None, None
            try:
                result = function(*arguments)
            except Exception as error:  # noqa: BLE001 - whatever it is, who waits is told
                failure = error
            # The loop may be gone by then; nobody is left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, result, failure)

        self._stalls = True
        threading.Thread(target=work, name=f"halong-{self._what}", daemon=True).start()
        return await done
