"""The witness over HTTP, for logs and witnesses that can reach it: add-checkpoint, and what it cosigned last.

Nothing but HTTP; what may be cosigned is decided in `judging`.  Nobody is authenticated, as the protocol has
it: what counts is the log's signature on what is submitted.

Source: c2sp.org/tlog-witness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256

from aiohttp import web

from adapters.configuration import MEMBER_FILE
from adapters.witness.judging import MOST_SUBMISSION_BYTES, Denied, Submission
from adapters.witness.state import Witness
from broker.bounded_http import BoundedConnection, read_body
from broker.core.errors import BadConfiguration, NotCanonical, TooLarge, Unavailable
from broker.telemetry import logger_of

HEADER_SECONDS = 10.0
BODY_SECONDS = 10.0
IDLE_SECONDS = 75.0
STOP_SECONDS = 0.3
BACKLOG = 64
MOST_CONNECTIONS = 64
SIZE_TYPE = "text/x.tlog.size"

log_line = logger_of("witness")


class Asker(BoundedConnection):
    """The connection of whoever asks; one too many is cut."""

    __slots__ = ("_all",)

    def __init__(self, connections: set[Asker], server: web.Server) -> None:
        super().__init__(server, header_seconds=HEADER_SECONDS, idle_seconds=IDLE_SECONDS, problem=_problem)
        self._all = connections

    def admitted(self, _transport: asyncio.BaseTransport) -> bool:
        """Say whether there are not too many."""
        if len(self._all) >= MOST_CONNECTIONS:
            return False
        self._all.add(self)
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._all.discard(self)
        super().connection_lost(exc)


class WitnessServer:
    """Answers whoever can reach it.

    Args:
        witness: Judges, keeps and signs.
        host: Where it listens.
        port: At which port; 0 takes a free one.
    """

    def __init__(self, witness: Witness, host: str, port: int) -> None:
        self._witness = witness
        self._host = host
        self._port = port
        self._turn = asyncio.Lock()

    async def run(self, listening: Callable[[int], None] | None = None) -> None:
        """Serve until cancelled; call `listening` with the port.

        Raises:
            BadConfiguration: The address cannot be had.
        """
        app = web.Application(client_max_size=MOST_SUBMISSION_BYTES)
        app.router.add_post("/add-checkpoint", self._add)
        app.router.add_get("/{origin}/checkpoint", self._checkpoint)
        runner = web.AppRunner(app, shutdown_timeout=STOP_SECONDS, handler_cancellation=True)
        await runner.setup()
        server, connections = runner.server, set[Asker]()
        assert server is not None
        try:
            listener = await asyncio.get_running_loop().create_server(
                lambda: Asker(connections, server), self._host, self._port, backlog=BACKLOG
            )
        except OSError:
            await runner.cleanup()
            raise BadConfiguration(
                "cannot be listened on: another process has it, or it is not this machine's",
                field=f"{MEMBER_FILE}: witness.listen",
            ) from None
        port = listener.sockets[0].getsockname()[1]
        log_line.info("witness.ready", port=port)
        if listening is not None:
            listening(port)
        try:
            await asyncio.Event().wait()
        finally:
            listener.close()
            for connection in list(connections):
                connection.abort()
            await runner.cleanup()

    async def _add(self, request: web.Request) -> web.Response:
        try:
            body = await read_body(request, BODY_SECONDS, MOST_SUBMISSION_BYTES)
            submission = Submission.read(body)
            async with self._turn:
                answer = await self._witness.add(submission)
        except NotCanonical as error:
            return _text(400, str(error))
        except TooLarge as error:
            return _text(413, str(error))
        except Unavailable:
            return _text(503, "it cannot be judged now: ask again")
        if isinstance(answer, Denied) and answer.status == 409:
            return web.Response(
                status=409, body=b"%d\n" % (answer.size or 0), headers={"Content-Type": SIZE_TYPE}
            )
        return _text(answer.status, answer.why) if isinstance(answer, Denied) else _text(200, answer.text)

    async def _checkpoint(self, request: web.Request) -> web.Response:
        note = self._witness.latest_note()
        mine = sha256(self._witness.log.name.encode()).hexdigest()
        if note is None or request.match_info["origin"] != mine:
            return _text(404, "nothing of this log was cosigned")
        return web.Response(body=note, content_type="text/plain", charset="utf-8")


def _text(status: int, text: str) -> web.Response:
    body = text if text.endswith("\n") else f"{text}\n"
    return web.Response(status=status, text=body, content_type="text/plain", charset="utf-8")


def _problem(status: int, _code: str, message: str) -> web.Response:
    return _text(status, message)
