"""How a question about the log is asked: the index is brought up to date, and the asking is logged first.

Decides the order: the answer is made, what it tells of is written into the log, and only then is it shown.
Where it cannot be written, nothing is shown.  It is written by the hub if one has the log, else by ourselves.
"""

from __future__ import annotations

import asyncio
import getpass
import re
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from broker.audit.base import SUFFIX, Doubted
from broker.audit.building import INDEX_FILE, AuditIndex
from broker.audit.leaves import Named, Proved
from broker.clock import Clock, SystemClock
from broker.commands.audit.reading import READ_SECONDS, newest_directory, stored_log
from broker.configuration import HubConfig, load_hub_config, tls_of
from broker.core.errors import AskingNotLogged, BadConfiguration
from broker.core.note import LogKey
from broker.core.notice_json import time_to_json
from broker.core.wire import Asked
from broker.files import read_sent
from broker.local_token import CONSOLE_FILE, read_token
from broker.log import LogUnavailable, open_log
from broker.moments import moment
from broker.progress import progress
from broker.services.asking import MOST_REASON, write_down
from broker.terminal import FOLDER
from broker.web.console import PORT_FILE, READS_PATH
from schemas import load_catalogue

T = TypeVar("T")

HUB_SECONDS = 10.0
MOST_PORT_BYTES = 16
MOST_SHOWN = 10_000

dir_option = click.option(
    "--dir", "folder", type=FOLDER, default=Path(), envvar="HALONG_DIR",
    help="The hub's folder; this one, or $HALONG_DIR.",
)  # fmt: skip
index_option = click.option(
    "--index", "index_file", type=click.Path(dir_okay=False, path_type=Path),
    help=f"Where the index is, a name in {SUFFIX}; {INDEX_FILE} in the hub's folder without it.",
)  # fmt: skip
reason_option = click.option(
    "--reason", default="", help="Why it is asked, such as a case number: written into the log with it."
)
limit_option = click.option(
    "--limit", type=click.IntRange(1, MOST_SHOWN), default=100, show_default=True, help="How many to show."
)
since_option = click.option("--since", default="all", help="From then on: a day, a time, 30d, 12h ago.")
until_option = click.option("--until", help="Before then: a day, a time, 12h ago; else until now.")


@dataclass(frozen=True, slots=True)
class Question:
    """What every question has: the hub's folder, the index, who asks, and why.

    Args:
        folder: The hub's folder.
        index_file: Where the index is, if not there.
        what: The question in a word: the command's name.
        reason: Why it is asked.
    """

    folder: Path
    index_file: Path | None
    what: str
    reason: str

    def ask(self, question: Callable[[AuditIndex], T], ids_of: Callable[[T], Iterable[bytes]]) -> T:
        """Return the answer, after what it tells of was written into the log.

        Raises:
            AskingNotLogged: It could not be written, so there is no answer.
        """
        found = self.prepared(question)
        text = f"{self.what}: {self.reason}" if self.reason else self.what
        if len(text) > MOST_REASON or not text.isprintable():
            raise click.UsageError(f"a reason is one line of at most {MOST_REASON - 20} letters")
        asked = Asked(operator(), text, sorted(set(ids_of(found))))
        asyncio.run(log_asking(load_hub_config(self.folder), asked, SystemClock()))
        return found

    def prepared(self, question: Callable[[AuditIndex], T], *, rebuild: bool = False) -> T:
        """Bring the index up to date, and return what it says to a question: nobody may be told it yet."""
        config = load_hub_config(self.folder)
        with progress("records") as tell:
            return asyncio.run(self._prepared(config, question, tell, rebuild=rebuild))

    async def _prepared(
        self,
        config: HubConfig,
        question: Callable[[AuditIndex], T],
        tell: Callable[[int, int], None],
        *,
        rebuild: bool,
    ) -> T:
        path = self.index_file or config.path(Path(INDEX_FILE))
        key = LogKey.parse(newest_directory(config).log_key)
        async with stored_log(config) as log:
            index = AuditIndex(path, key, load_catalogue())
            try:
                if rebuild:
                    index.begin_anew()
                await index.refresh(log, tell)
                try:
                    return question(index)
                except Doubted:
                    index.begin_anew()
                    await index.refresh(log, tell)
                    return question(index)
            finally:
                index.close()


def operator() -> str:
    """Return under which name what is asked here is written down: that of the account."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "nobody"
    return f"operator:{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:64] or 'nobody'}"


async def log_asking(config: HubConfig, asked: Asked, clock: Clock) -> None:
    """Write down what is asked, durably.

    Raises:
        AskingNotLogged: It could not be.
    """
    try:
        async with open_log(config.log_url, tls=tls_of(config), step_seconds=READ_SECONDS) as log:
            await write_down(log, clock, asked)
    except LogUnavailable:
        # One process alone writes the embedded log: the hub that runs.
        await asyncio.to_thread(_ask_hub, config, asked)


def _ask_hub(config: HubConfig, asked: Asked) -> None:
    failed = AskingNotLogged(
        "what is asked must be written into the log before it is answered, and that is not possible now",
        field=config.log,
    )
    try:
        token = read_token(config.root, CONSOLE_FILE)
        port = int(read_sent(config.root / PORT_FILE, MOST_PORT_BYTES))
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{READS_PATH}",
            data=msgspec.json.encode(asked),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method="POST",
        )
        # The hub on this very machine: no proxy that the environment names is between.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=HUB_SECONDS):
            return
    except (BadConfiguration, ValueError, OSError):
        raise failed from None


def times(since: str, until: str | None) -> dict[str, int]:
    """Return the moments that people typed, as questions take them."""
    now = SystemClock().now()
    end = {} if until is None else {"until": moment(until, now)}
    return {"since": moment(since, now), **end}


# --- how answers look ---------------------------------------------------------------------------------


def proof_object(proved: Proved | None) -> dict[str, Any] | None:
    """Return a proof under the names that scripts rely on."""
    if proved is None:
        return None
    first = proved.first_signed_at
    return {
        "leaf": proved.leaf,
        "entry": proved.entry.hex(),
        "path": [each.hex() for each in proved.path],
        "covered_at": None if first is None else time_to_json(first),
    }


def checkpoint_object(named: Named | None) -> dict[str, Any] | None:
    """Return the checkpoint of an answer."""
    if named is None:
        return None
    return {
        "size": named.size,
        "root": named.root.hex(),
        "signed_at": time_to_json(named.signed_at),
        "note": named.note.decode(),
    }


def when(at: int | None) -> str:
    """Return a time as tables show it, to the second."""
    return "-" if at is None else time_to_json(at)[:19].replace("T", " ")


def span(milliseconds: float | None) -> str:
    """Return how long something took, in the unit that reads best."""
    if milliseconds is None:
        return "-"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds >= size:
            return f"{milliseconds / size:.1f} {unit}"
    return f"{milliseconds:.0f} ms"
