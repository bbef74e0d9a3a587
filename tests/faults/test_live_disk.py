"""Disks that are full or cannot be written, under hub and node: a clear word, and nothing is lost."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from broker.terminal import Exit
from tests.faults import chance
from tests.faults.live import Live, run
from tests.faults.table import record

pytestmark = [pytest.mark.sockets, pytest.mark.soak]

PER_SECOND = 100
ROOM_BYTES = 64 << 10
"""What the file may still grow: less than a second of the load."""

FULL_SECONDS = 5.0
FILES = {"hub": "log.db-wal", "vn": "node.db-wal", "nl": "node.db-wal"}
NAMES = {"hub": "hub's disk full", "vn": "publishing node's disk full", "nl": "receiving node's disk full"}


def ready(live: Live, name: str) -> bool:
    """Ask a process whether it is ready."""
    port = int((live.folder / name / "output.txt").read_text().split("health 127.0.0.1:")[1].split()[0])
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


@pytest.mark.parametrize("name", FILES)
def test_a_disk_that_is_full_for_a_while_loses_nothing(name: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with Live.built(tmp_path) as live:
        live.start()
        with live.load(PER_SECOND):
            time.sleep(1)
            assert live.until(lambda: ready(live, name))
            journal = tmp_path / name / FILES[name]
            live[name].limit_files(journal.stat().st_size + ROOM_BYTES)
            time.sleep(FULL_SECONDS)
            if name == "hub":
                assert live.until(lambda: not ready(live, name))
            live[name].limit_files(-1)
            assert live.until(lambda: ready(live, name))
        live.settle()
        live.stop()

    row = live.row(
        NAMES[name], live.in_topics() + live.in_folders(), kills=1, seed=chance.seed(),
        seconds=time.monotonic() - began,
    )  # fmt: skip
    record(row)
    assert row.faultless
    assert live.audit()["log"] == "verified"


def without_write(folder: Path, *, allowed: bool) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod((path.stat().st_mode | 0o200) if allowed else (path.stat().st_mode & ~0o222))


PLAIN = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""Before a command: rights count for it, also if it is root's."""


@pytest.mark.parametrize("name", ["hub", "vn"])
def test_what_cannot_be_written_is_said_and_goes_on_once_it_can(name: str, tmp_path: Path) -> None:
    with Live.built(tmp_path) as live:
        live.start()
        live.queue("vn", 100)
        live.settle()
        live.stop(name)
        live.queue("jp", 100)
        without_write(tmp_path / name, allowed=False)
        command = ("hub" if name == "hub" else "member", "--dir", str(tmp_path / name))

        for each in (command, ("publish", str(NOTICE), "--dir", str(tmp_path / "vn"))):
            if each[0] != "publish" or name == "vn":
                said = run(*each, before=PLAIN)
                assert said.returncode == Exit.UNAVAILABLE, said.stderr
                assert [line.split(":")[0] for line in said.stderr.splitlines()[-3:]] == [
                    "error",
                    "where",
                    "next",
                ]
        if name == "vn":
            # Looking is no writing.
            assert run("feed", "--dir", str(tmp_path / name), before=PLAIN).returncode == Exit.HELD
            seen = run("doctor", "--dir", str(tmp_path / name), "--offline", before=PLAIN)
            assert "100 proven" in seen.stdout
            assert "✗  store" not in seen.stdout

        without_write(tmp_path / name, allowed=True)
        live.start(name)
        live.settle()
        live.stop()
    assert (live.in_topics() + live.in_folders()).faultless


NOTICE = Path(__file__).parents[2] / "deploy" / "examples" / "notices" / "drug-parcel.json"
