"""The SDK's client for programs that are not asynchronous: the same one, run in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

from adapters.api import shapes
from adapters.sdk.client import Client, Notice, where
from adapters.sdk.transport import ANSWER_SECONDS
from adapters.sdk.values import Deliveries, Delivery, Sent

T = TypeVar("T")


class SyncSent:
    """A notice that is in the node's queue; see `Sent`."""

    def __init__(self, sent: Sent, client: SyncClient) -> None:
        self.id, self.known, self.source = sent.id, sent.known, sent.source
        self._sent = sent
        self._client = client

    def state(self) -> shapes.NoticeState:
        """Return how far it has come."""
        return self._client.run(self._sent.state())

    def wait(self, stage: str = "proven", seconds: float = 60.0) -> shapes.NoticeState:
        """Return when the notice has come to a stage; raises as `Sent.wait`."""
        return self._client.run(self._sent.wait(stage, seconds))


class SyncClient:
    """A node's local API, with calls that block; what each does is said at `Client`.  Use it as a context.

    Args:
        url: Where it is: `http://127.0.0.1:8446`.
        token: What is in the node's `api.token`.
        seconds: How long an answer may take.
    """

    def __init__(self, url: str, token: str, *, seconds: float = ANSWER_SECONDS) -> None:
        self._client = Client(url, token, seconds=seconds)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    @classmethod
    def of_node(cls, folder: Path | str, *, seconds: float = ANSWER_SECONDS) -> Self:
        """Return the client of the node in a folder of this machine."""
        return cls(*where(Path(folder)), seconds=seconds)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="halong-client", daemon=True)
        self._thread.start()
        self.run(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, thread = self._loop, self._thread
        assert loop is not None
        assert thread is not None
        try:
            self.run(self._client.__aexit__(kind, error, trace))
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            self._loop = self._thread = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the asynchronous client, and return what it returns."""
        if self._loop is None:
            work.close()
            raise RuntimeError("enter the client first: `with SyncClient(…) as client`")
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C in the caller's thread ends what it waited for.
            future.cancel()
            raise

    def publish(self, notice: Notice, **header: Any) -> SyncSent:
        """Queue a notice, durably."""
        return SyncSent(self.run(self._client.publish(notice, **header)), self)

    def publish_all(self, notices: Iterable[Notice], *, key: str | None = None) -> list[SyncSent]:
        """Queue up to 1,000 notices, all or none."""
        return [SyncSent(each, self) for each in self.run(self._client.publish_all(notices, key=key))]

    def preview(self, notice: Notice, **header: Any) -> list[shapes.Receiver]:
        """Return who would get a notice now."""
        return self.run(self._client.preview(notice, **header))

    def notice(self, id_: int) -> shapes.NoticeState:
        """Return how far a notice of ours has come."""
        return self.run(self._client.notice(id_))

    def notices(
        self, *, after: int = 0, limit: int = 100, source: str | None = None
    ) -> list[shapes.NoticeState]:
        """Return how far our notices have come."""
        return self.run(self._client.notices(after=after, limit=limit, source=source))

    def feed(
        self, after: int = 0, *, statuses: Sequence[str] = ("ACTUAL",), follow: bool = True
    ) -> Iterator[Delivery]:
        """Yield what was delivered after a place, in order."""
        feed: AsyncIterator[Delivery] = self._client.feed(after, statuses=statuses, follow=follow)

        async def following() -> Delivery | None:
            return await anext(feed, None)

        while (delivery := self.run(following())) is not None:
            yield delivery

    def deliveries(
        self, after: int = 0, *, limit: int = 100, wait: float = 0.0, statuses: Sequence[str] = ("ACTUAL",)
    ) -> Deliveries:
        """Return one page of what was delivered after a place."""
        return self.run(self._client.deliveries(after, limit=limit, wait=wait, statuses=statuses))

    def delivery(self, id_: str) -> Delivery:
        """Return one delivery."""
        return self.run(self._client.delivery(id_))

    def page(self, delivery: Delivery | str, language: str = "en") -> str:
        """Return a delivery as an HTML page."""
        return self.run(self._client.page(delivery, language))

    def read(self, delivery: Delivery | str) -> None:
        """Say that a delivery was read."""
        self.run(self._client.read(delivery))

    def feedback(
        self, to: Delivery | str, notice: Notice, *, tlp: str | None = None, again: bool = False
    ) -> SyncSent | None:
        """Answer a delivered notice."""
        sent = self.run(self._client.feedback(to, notice, tlp=tlp, again=again))
        return None if sent is None else SyncSent(sent, self)

    def feedback_due(self) -> list[shapes.FeedbackDue]:
        """Return what this member owes feedback on."""
        return self.run(self._client.feedback_due())

    def status(self) -> shapes.NodeStatus:
        """Return how the node is."""
        return self.run(self._client.status())
