"""Questions at the terminal: what is asked stands in the log before it is answered, or there is no answer."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from broker.audit.building import INDEX_FILE
from broker.clock import SystemClock
from broker.commands.audit import QUESTIONS, asking, notices
from broker.core.errors import AskingNotLogged
from broker.core.model import Read, Readable
from broker.core.records import unframe
from broker.log import Partition, open_log
from broker.log.topics import READS
from broker.terminal import Exit
from tests.audit_day import SECRETS, Day, make_day
from tests.ceremony import begin
from tests.crash import Crash
from tests.unit.test_cli_commands import Terminal, at
from tests.world import NETWORK

# Whole commands, several dozens of them.
pytestmark = pytest.mark.sockets

__all__ = ["at"]

FIRST = "vn/asia-pacific/main/1"
LINES = {
    "life": f"life {FIRST}",
    "received": "received --from vn --under vn-jp",
    "read": f"read {FIRST}",
    "refused": "refused",
    "gaps": "gaps",
    "members": "members",
    "effect": "effect",
    "search": "search mdma",
}
KEYS = {
    "life": {"statement", "checkpoint", "stages"},
    "received": {"members", "deliveries"},
    "read": {"reads"},
    "refused": {"codes", "refused"},
    "gaps": {"faults", "gaps"},
    "members": {"members"},
    "effect": {"agreements"},
    "search": {"count", "notices"},
}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    folder = tmp_path_factory.mktemp("hub")
    day = make_day(folder)
    (folder / "hub.toml").write_text(f'network = "{NETWORK}"\n')
    begin(folder / "directory", SystemClock().now(), network=NETWORK, log_key=day.key)
    return day


@pytest.fixture
def hub(day: Day, at: Terminal, tmp_path: Path) -> Terminal:
    """A terminal beside the folder of a hub that does not run."""
    shutil.copytree(day.file.parent, tmp_path / "hub")
    return at


def asked(folder: Path) -> list[Read]:
    log_url = f"sqlite://{folder.absolute()}/log.db"

    async def reads() -> list[Read]:
        async with open_log(log_url, read_only=True) as log:
            found = await log.read(Partition(READS), 0, 1024)
            return [unframe(Read, each.value) for each in found]

    return [each for each in asyncio.run(reads()) if each.what is Readable.AUDIT]


def test_every_question_has_an_answer_for_people_and_for_programs(hub: Terminal) -> None:
    assert LINES.keys() | {"index"} == {each.name for each in QUESTIONS}
    for number, (name, line) in enumerate(LINES.items()):
        said = hub(f"audit {line} --dir hub")
        assert said.code == (Exit.FAILED if name == "gaps" else Exit.HELD), said.err
        assert said.out.strip()
        for secret in SECRETS.values():
            assert secret not in said.out
        found = hub(f"audit {line} --dir hub --json").json
        assert found.keys() == KEYS[name]
        assert len(asked(Path("hub"))) == 2 * (number + 1), "each time it was written down"


STEERING = "\x07\u202e\x9b"
SPOILT = {
    "statement": ("type", "originator"),
    "delivery": ("member", "originator", "region", "grounds"),
    "ground": ("agreement", "member"),
    "tally": ("agreement", "member"),
    "refusal": ("code", "peer"),
    "receipt": ("channel", "code"),
    "reading": ("reader", "reason"),
    "member": ("member",),
    "lane": ("member", "region", "originator"),
    "skipped": ("originator", "stream"),
}
"""What stands in the index as an operator wrote it into the log; what the lines ask for stays."""


def test_nothing_that_an_operator_wrote_into_the_log_steers_an_auditors_terminal(
    hub: Terminal, day: Day
) -> None:
    assert hub("audit members --dir hub").code == 0
    with closing(sqlite3.connect(f"hub/{INDEX_FILE}")) as index, index:
        for table, columns in SPOILT.items():
            for column in columns:
                index.execute(f"UPDATE {table} SET {column} = {column} || ?", (STEERING,))
    first = day.statements["first"].hex()
    others = [line for name, line in LINES.items() if name not in ("life", "received", "read")]
    for line in (f"life {first}", "received --from vn", "read", *others):
        said = hub(f"audit {line} --dir hub")
        assert said.out, (line, said.err)
        assert not set(STEERING) & set(said.out + said.err), line


def test_what_is_asked_is_written_with_who_asks_why_and_what_was_told(hub: Terminal, day: Day) -> None:
    assert hub(f"audit life {FIRST} --dir hub --reason", "case 2026/17").code == 0
    hub("audit received --from vn --member nl --dir hub")
    hub("audit refused --dir hub")
    hub("audit effect --dir hub")
    life, received, refused, effect = asked(Path("hub"))
    assert life.reader == asking.operator()
    assert life.reader.startswith("operator:")
    assert life.reason == "life: case 2026/17"
    assert life.ids == (day.statements["first"],)
    assert (received.reason, len(received.ids)) == ("received", 5)
    assert day.statements["equivocating"] in refused.ids
    assert effect.ids == ()
    rows = hub(f"audit read {FIRST} --dir hub --json").json["reads"]
    assert {"life: case 2026/17", "received", None} <= {each["reason"] for each in rows}
    mine = hub(f"audit read --reader {life.reader} --dir hub --json").json["reads"]
    assert len(mine) == 5, "also that it was asked who read it"


@pytest.mark.parametrize("as_json", ["", " --json"])
def test_whoever_dies_between_writing_and_answering_has_asked(
    hub: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: str
) -> None:
    def die(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(notices, "answer" if as_json else "_show_life", die)
    with pytest.raises(Crash):
        hub(f"audit life {FIRST} --dir hub{as_json}")
    assert capsys.readouterr().out == ""
    assert [each.reason for each in asked(Path("hub"))] == ["life"]


@pytest.mark.parametrize("line", LINES.values())
def test_whoever_dies_before_it_is_written_is_told_nothing(
    hub: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    async def die(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(asking, "write_down", die)
    with pytest.raises(Crash):
        hub(f"audit {line} --dir hub")
    assert capsys.readouterr().out == ""
    assert asked(Path("hub")) == []


def held(function: Callable[[], Any]) -> Any:
    """Do something while another process has the log, as a hub that does not answer."""

    log_url = f"sqlite://{Path('hub').absolute()}/log.db"

    async def hold() -> Any:
        async with open_log(log_url):
            return await asyncio.to_thread(function)

    return asyncio.run(hold())


@pytest.mark.parametrize("line", LINES.values())
def test_without_a_trace_there_is_no_answer(hub: Terminal, line: str) -> None:
    said = held(lambda: hub(f"audit {line} --dir hub"))
    assert said.code == Exit.UNAVAILABLE
    assert said.out == ""
    assert f"[{AskingNotLogged.code}]" in said.err
    assert "halong restore" in said.err, "how a copy is asked instead"
    assert asked(Path("hub")) == []


@pytest.mark.parametrize(
    "line",
    [
        "life",
        "life nowhere --dir empty",
        "received --dir hub",
        "received --from vn --since yesterday --dir hub",
        "received --from vn --limit 0 --dir hub",
        "search --dir hub",
        "life vn/asia-pacific/main/1 --dir hub --index hub/log.db",
        "members --silent x --dir hub",
    ],
)
def test_what_cannot_be_asked_is_a_mistake_in_the_line(hub: Terminal, line: str) -> None:
    said = hub(f"audit {line}")
    assert said.code == Exit.USAGE
    assert said.out == ""


def test_a_notice_that_is_not_there_is_said_so(hub: Terminal) -> None:
    said = hub("audit life vn/asia-pacific/main/99 --dir hub")
    assert (said.code, said.out) == (Exit.FAILED, "")
    assert "not-found" in said.err
    assert hub("audit search ! --dir hub").code == Exit.FAILED


def test_the_index_is_made_and_made_anew_and_may_be_elsewhere(hub: Terminal, tmp_path: Path) -> None:
    assert "leaves" in hub("audit index --dir hub").out
    made = (tmp_path / "hub" / INDEX_FILE).stat().st_ino
    again = hub("audit index --rebuild --dir hub --json").json
    assert again.keys() == {"leaves", "records", "bytes", "seconds"}
    assert (tmp_path / "hub" / INDEX_FILE).stat().st_ino != made or again["leaves"]
    assert hub("audit index --dir hub --index elsewhere.index").code == 0
    assert (tmp_path / "elsewhere.index").exists()


def test_proofs_are_given_with_the_checkpoint_that_they_lead_to(hub: Terminal) -> None:
    found = json.loads(hub(f"audit life {FIRST} --dir hub --json").out)
    assert found["checkpoint"]["note"].startswith(f"{NETWORK}/log\n{found['checkpoint']['size']}\n")
    for stage in found["stages"]:
        assert stage["proof"]["entry"][2:] == stage["record"]
        assert stage["proof"]["covered_at"]
