"""Attacks on the asking of the log at the hub's own machine: nobody asks without a trace, or as another."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from broker.commands.audit.asking import log_asking
from broker.configuration import Health, HubConfig
from broker.core.errors import HalongError
from broker.core.wire import Asked
from broker.local_token import CONSOLE_FILE, read_token
from broker.log import open_log
from broker.log.topics import READS, hub_topics
from broker.services.asking import MOST_ASKED, MOST_REASON, write_down
from broker.web.console import READS_PATH, Console
from tests.world import MovableClock

AFTER_THE_DOOR = ("not-canonical",)
"""Who may ask has asked nothing: the request has no body."""

HONEST = Asked("operator:ada", "life", [bytes(32)])


@dataclass(frozen=True, slots=True)
class Row:
    """An attack and the code that it is refused with."""

    name: str
    code: str
    attack: Callable[[Path], Awaitable[str | None]]


async def asked(folder: Path, question: Asked) -> str | None:
    """Let a question be written down; return the code with which it is not."""
    async with open_log(f"sqlite://{folder}/log.db") as log:
        await log.create(hub_topics(["vn"]))
        try:
            await write_down(log, MovableClock(), question)
        except HalongError as error:
            assert not any((await log.ends([READS])).values()), "and nothing of it is written"
            return error.code
    return None


def as_asked(**changes: object) -> Callable[[Path], Awaitable[str | None]]:
    question = Asked(**{"reader": HONEST.reader, "reason": "life", "ids": HONEST.ids, **changes})  # type: ignore[arg-type]
    return lambda folder: asked(folder, question)


def checked(
    *, host: str = "127.0.0.1:8443", token: str | None = None
) -> Callable[[Path], Awaitable[str | None]]:
    async def attack(folder: Path) -> str | None:
        async with open_log(f"sqlite://{folder}/log.db") as log:
            console = Console(log, MovableClock(), folder)
            console.add_to(web.Application())
            shown = token if token is not None else read_token(folder, CONSOLE_FILE)
            headers = {"Host": host, "Authorization": f"Bearer {shown}"}
            answer = await console._answer(make_mocked_request("POST", READS_PATH, headers=headers))
            code: str = json.loads(answer.text or "")["code"]
            return None if code in AFTER_THE_DOOR else code

    return attack


async def a_log_that_another_holds(folder: Path) -> str | None:
    """The hub has the log, and it does not answer on this machine: what is asked cannot be written."""
    config = HubConfig(network="halong-test", root=folder, health=Health(port=9))
    async with open_log(config.log_url) as log:
        await log.create(hub_topics(["vn"]))
        try:
            await log_asking(config, HONEST, MovableClock())
        except HalongError as error:
            return error.code
    return None


ROWS = [
    Row("an operator who calls himself as a member is called", "not-canonical", as_asked(reader="vn")),
    Row("an operator without a name", "not-canonical", as_asked(reader="operator:")),
    Row("a name with a line in it", "not-canonical", as_asked(reader="operator:ada\n")),
    Row("no reason", "not-canonical", as_asked(reason="")),
    Row("a reason that writes further lines", "not-canonical", as_asked(reason="life\nread: nothing")),
    Row("a reason without an end", "not-canonical", as_asked(reason="x" * (MOST_REASON + 1))),
    Row("an id that is none", "not-canonical", as_asked(ids=[b"short"])),
    Row("more ids than any answer has", "not-canonical", as_asked(ids=[bytes(32)] * (MOST_ASKED + 1))),
    Row("a page that led a browser here by its own name", "not-authorised", checked(host="evil.test:80")),
    Row("somebody else on the machine", "not-authorised", checked(token="x" * 43)),
    Row("nobody's token", "not-authorised", checked(token="")),
    Row("a log that cannot be written", "asking-not-logged", a_log_that_another_holds),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_every_attack_is_refused_with_its_code(row: Row, tmp_path: Path) -> None:
    assert await row.attack(tmp_path) == row.code


async def test_what_is_honest_is_written_down_and_answered(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert await asked(tmp_path / "a", HONEST) is None
    assert await checked()(tmp_path) is None
    assert await checked(host="localhost:1")(tmp_path) is None
