"""What the operator's own tools ask of a hub that runs, on the loopback address: docs/audit.md.

Decides who may: whoever shows the token in the hub's folder, which only its owner can read.  One thing is
asked: that a question about the log is written down before it is answered.  The answer is made elsewhere,
from the stored log, so that no question holds up a delivery.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from aiohttp import web

from broker.bounded_http import read_body
from broker.clock import Clock
from broker.core.errors import BadConfiguration, HalongError, NotAuthorised, Refused, TooLarge
from broker.core.wire import Asked
from broker.core.wire import read as read_json
from broker.files import write_whole
from broker.local_token import CONSOLE_FILE, Token, make_token
from broker.log import Log
from broker.services.asking import write_down
from broker.telemetry import logger_of
from broker.web.connection import problem

PORT_FILE = "console.port"
READS_PATH = "/v1/audit/reads"
BODY_SECONDS = 10.0
MOST_BYTES = 1 << 20
NAMES = ("127.0.0.1", "localhost")

log_line = logger_of("console")


class Console:
    """Takes down what is asked.

    Args:
        log: Where it is written.
        clock: Tells the time.
        folder: The hub's, where the token is.
    """

    def __init__(self, log: Log, clock: Clock, folder: Path) -> None:
        self._log = log
        self._clock = clock
        self._folder = folder
        self._token = Token("")

    def listens_at(self, port: int) -> None:
        """Leave word in the hub's folder where it is asked: the port may be any that was free."""
        with contextlib.suppress(OSError):
            write_whole(self._folder / PORT_FILE, f"{port}\n", 0o600)

    def add_to(self, app: web.Application) -> None:
        """Answer at the console's path, unless there is no token: then nobody may ask, and the hub runs."""
        try:
            self._token = Token(make_token(self._folder, CONSOLE_FILE))
        except BadConfiguration as error:
            log_line.warning("console.off", code=error.code, field=error.field)
            return
        app.router.add_post(READS_PATH, self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            self._check(request)
            asked = read_json(await read_body(request, BODY_SECONDS, MOST_BYTES), Asked)
            await write_down(self._log, self._clock, asked)
        except NotAuthorised as error:
            return problem(401, error.code, str(error), field_name=error.field)
        except Refused as error:
            status = 413 if isinstance(error, TooLarge) else 400
            return problem(status, error.code, str(error), field_name=error.field)
        except HalongError as error:
            log_line.warning("audit.not-asked", code=error.code)
            return problem(503, error.code, "not written down; do not answer it")
        log_line.info("audit.asked", count=len(asked.ids))
        return web.Response(status=204)

    def _check(self, request: web.Request) -> None:
        """Let callers pass that may ask.

        Raises:
            NotAuthorised: The caller may not.
        """
        # 1. It came by a name of this machine, so no page has led a browser here under its own.
        if request.headers.get("Host", "").rpartition(":")[0].lower() not in NAMES:
            raise NotAuthorised("this is not a name of this machine", field="Host")
        # 2. It shows the token of the hub's folder.
        if not self._token.is_shown(request.headers.get("Authorization")):
            raise NotAuthorised("show the hub's token as `Authorization: Bearer …`", field="Authorization")
