"""What the embedded log adds to the contract: one file, one process, and disks that fail."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.core.errors import BadConfiguration
from broker.log import Log, LogUnavailable, Partition, Record, Topic, open_log
from broker.log.embedded import EmbeddedLog
from broker.log.threads import Places, Writer

ROOT = Path(__file__).parents[2]
SECONDS = 60
INPUT, OUTPUT, STATE = Topic("notices.test"), Topic("inbox.test"), Topic("dispatch.test", keep="state")
IN, OUT, STATES = Partition("notices.test"), Partition("inbox.test"), Partition("dispatch.test")


def url_of(folder: Path) -> str:
    return f"sqlite://{folder}/log.db"


def python(program: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """Start another process that runs this program on the log at its first argument."""
    prelude = (
        "import asyncio, sys\nfrom broker.log import *\nfrom broker.log import open_log\nurl = sys.argv[1]\n"
    )
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", prelude + textwrap.dedent(program), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


async def write_one(folder: Path) -> None:
    async with open_log(url_of(folder)) as log:
        await log.create([INPUT])
        await log.append([Record(IN, b"k", b"v")])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


WRITER = """
async def main():
    async with open_log(url) as log:
        await log.create([Topic("notices.test")])
        n = 0
        while True:
            await log.append([Record(Partition("notices.test"), b"k", b"%d" % n)])
            print(n, flush=True)
            n += 1
asyncio.run(main())
"""


@pytest.mark.sockets
async def test_a_second_process_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    with python(WRITER, url_of(tmp_path)) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(LogUnavailable, match=r"open in another process.*kafka://"):
            async with open_log(url_of(tmp_path)):
                pass
        other.kill()
    async with open_log(url_of(tmp_path)):
        pass


async def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with open_log(url_of(tmp_path)) as log:
            await log.create([Topic(IN.topic)])
            assert await appended(log)
            held = {each.name: each.stat().st_mode & 0o777 for each in os.scandir(tmp_path)}
    finally:
        os.umask(before)
    assert {name: mode for name, mode in held.items() if not name.endswith(".lock")} == {
        "log.db": 0o600,
        "log.db-wal": 0o600,
        "log.db-shm": 0o600,
    }


@pytest.mark.sockets
async def test_another_process_reads_while_the_first_writes(tmp_path: Path) -> None:
    with python(WRITER, url_of(tmp_path)) as other:
        assert other.stdout is not None
        told = int(other.stdout.readline())
        async with open_log(url_of(tmp_path), read_only=True) as log:
            end = (await log.ends(["*"]))[IN]
            assert end > told
            assert [int(s.value) for s in await log.read(IN, 0, end)] == list(range(end))
            async with asyncio.timeout(SECONDS):
                await log.wait({IN: end}, 3600)
            for refused in (log.append([Record(IN, b"", b"")]), log.create([OUTPUT])):
                with pytest.raises(LogUnavailable, match="read only"):
                    await refused
            with pytest.raises(LogUnavailable, match="read only"):
                log.follow("reader", ["*"])
        other.kill()


@pytest.mark.sockets
@pytest.mark.parametrize("torn", ["as it was", "half a frame more", "noise more"])
async def test_what_was_reported_survives_a_kill_and_a_torn_tail(tmp_path: Path, torn: str) -> None:
    with python(WRITER, url_of(tmp_path)) as other:
        assert other.stdout is not None
        while int(other.stdout.readline()) < 50:
            pass
        other.kill()
        reported = 50 + len(other.stdout.read().splitlines())

    wal = tmp_path / "log.db-wal"
    frames = wal.read_bytes()
    if torn == "half a frame more":
        wal.write_bytes(frames + frames[-4120:-2000])
    elif torn == "noise more":
        wal.write_bytes(frames + bytes(range(256)) * 40)

    async with open_log(url_of(tmp_path)) as log:
        found = [int(stored.value) for stored in await log.read(IN, 0, 100_000)]
        assert found == list(range(len(found)))
        assert len(found) >= reported
        assert await log.append([Record(IN, b"k", b"-1")]) == [len(found)]


FILLER = """
import resource, signal
async def main():
    async with open_log(url, step_seconds=10) as log:
        await log.create([Topic("notices.test"), Topic("inbox.test")])
        await log.append([Record(Partition("notices.test"), b"first", b"1")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        stored = 1
        try:
            while True:
                await log.append([Record(Partition("notices.test"), b"k", bytes(10_000))])
                stored += 1
        except LogUnavailable as error:
            print("refused:", error)
        batches = log.follow("reader", ["notices.*"], limit=1)
        batch = await anext(batches)
        try:
            await batch.commit([Record(Partition("inbox.test"), b"k", bytes(400_000))])
        except LogUnavailable:
            print("refused too")
        assert len(await log.read(Partition("notices.test"), 0, 1000)) == stored
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await log.append([Record(Partition("notices.test"), b"last", b"2")])
        again = await anext(batches)
        assert again.records == batch.records and again.claim != batch.claim
        await again.commit([Record(Partition("inbox.test"), b"k", bytes(400_000))])
        await batches.aclose()
        assert len(await log.read(Partition("inbox.test"), 0, 1000)) == 1
        assert len(await log.read(Partition("notices.test"), 0, 1000)) == stored + 1
    print("stored", stored + 1)
asyncio.run(main())
"""


@pytest.mark.sockets
async def test_a_full_disk_is_reported_and_room_lets_it_go_on(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    with python(FILLER, url_of(tmp_path)) as other:
        told, _ = other.communicate(timeout=SECONDS)
    refused, refused_too, stored = told.splitlines()
    assert "log.db cannot" in refused
    assert "refused too" in refused_too
    async with open_log(url_of(tmp_path)) as log:
        assert len(await log.read(IN, 0, 1000)) == int(stored.split()[1])


READ_ONLY = """
import os
import broker.log.embedded, broker.log.readonly, encodings.idna
async def main():
    try:
        async with open_log(url):
            print("opened")
    except LogUnavailable as error:
        print(error)
    async with open_log(url, read_only=True) as log:
        print(len(await log.read(Partition("notices.test"), 0, 9)))
if os.getuid() == 0:
    os.setuid(65534)  # rights do not bind root
asyncio.run(main())
"""


@pytest.mark.sockets
def test_a_read_only_place_is_reported_and_can_still_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(write_one(folder))
        folder.chmod(0o555)
        for path in folder.iterdir():
            path.chmod(0o444)
        with python(READ_ONLY, url_of(folder)) as other:
            told, _ = other.communicate(timeout=SECONDS)
        folder.chmod(0o755)
    refused, count = told.splitlines()
    assert "cannot be opened" in refused
    assert count == "1"


async def test_no_wait_is_endless_when_the_disk_does_not_answer(tmp_path: Path) -> None:
    """A foreign program that holds the file stands for the disk."""
    async with open_log(url_of(tmp_path), step_seconds=0.2) as log:
        await log.create([INPUT])
        with sqlite3.connect(tmp_path / "log.db", isolation_level=None) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
                for _ in range(3000):
                    group.create_task(refused(log))
            foreign.execute("ROLLBACK")
        foreign.close()
        async with asyncio.timeout(SECONDS):
            while not await appended(log):
                pass


async def test_a_reader_whose_results_are_not_taken_is_not_working_until_they_are(tmp_path: Path) -> None:
    async with open_log(url_of(tmp_path), step_seconds=0.2) as log:
        await log.create([INPUT, OUTPUT])
        await log.append([Record(IN, b"k", b"v")])
        async with asyncio.timeout(SECONDS), aclosing(log.follow("copier", ["notices.*"])) as batches:
            batch = await anext(batches)
            assert log.working() == {"append": True, "copier": True}
            with sqlite3.connect(tmp_path / "log.db", isolation_level=None) as foreign:
                foreign.execute("BEGIN IMMEDIATE")
                with pytest.raises(LogUnavailable):
                    await batch.commit([Record(OUT, b"k", b"v")])
                assert log.working() == {"append": True, "copier": False}
                foreign.execute("ROLLBACK")
            foreign.close()
            while not log.working()["copier"]:
                # Perhaps the last try was taken after all; then there is nothing to commit.
                if await appended(log):
                    with suppress(LogUnavailable):
                        await (await anext(batches)).commit([Record(OUT, b"k", b"v")])


async def refused(log: Log) -> None:
    with pytest.raises(LogUnavailable, match="did not answer within"):
        await log.append([Record(IN, b"k", b"v")])


async def appended(log: Log) -> bool:
    try:
        await log.append([Record(IN, b"k", b"v")])
    except LogUnavailable:
        return False
    return True


async def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="cannot be opened"):
        async with open_log(url_of(tmp_path / "nowhere")):
            pass
    with pytest.raises(BadConfiguration, match="no log at"):
        async with open_log(url_of(tmp_path), read_only=True):
            pass


@pytest.mark.parametrize("read_only", [False, True], ids=["write", "read only"])
async def test_a_log_of_a_later_format_is_refused_with_the_version_it_needs(
    tmp_path: Path, *, read_only: bool
) -> None:
    async with open_log(url_of(tmp_path)):
        pass
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute("UPDATE about SET value = '2' WHERE name = 'format'")
        db.execute("UPDATE about SET value = '7.1.0' WHERE name = 'needs'")
    db.close()
    with pytest.raises(BadConfiguration, match=r"format 2, which Halong 7\.1\.0 or later reads"):
        async with open_log(url_of(tmp_path), read_only=read_only):
            pass


@pytest.mark.parametrize("read_only", [False, True], ids=["write", "read only"])
async def test_a_file_that_is_no_log_is_left_alone(tmp_path: Path, *, read_only: bool) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(b"something else, and longer than a header of a hundred bytes " * 40)
    with pytest.raises(BadConfiguration, match="not a Halong log"):
        async with open_log(url_of(tmp_path), read_only=read_only):
            pass
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(BadConfiguration, match="not a Halong log"):
        async with open_log(url_of(tmp_path), read_only=read_only):
            pass
    assert path.read_bytes() == before


async def test_a_replaced_state_is_nowhere_in_the_files(tmp_path: Path) -> None:
    async with open_log(url_of(tmp_path)) as log:
        await log.create([STATE])
        for value in (b"canary " * 700, b"canary " * 3, b"later"):
            await log.append([Record(STATES, b"key", value), Record(STATES, b"other", b"x")])
        assert [(s.key, s.value) for s in await log.read(STATES, 0, 9)] == [
            (b"key", b"later"),
            (b"other", b"x"),
        ]
    files = contents(tmp_path)
    assert files.keys() == {"log.db", "log.db.lock"}
    assert b"canary" not in files["log.db"]


async def test_many_who_append_share_transactions(tmp_path: Path) -> None:
    """What queued during one transaction is the next: far fewer of them than calls."""
    log = EmbeddedLog(tmp_path / "log.db")
    await log.open()
    try:
        await log.create([INPUT])
        async with asyncio.TaskGroup() as group:
            appending = [group.create_task(log.append([Record(IN, b"k", b"%d" % n)])) for n in range(1000)]
        offsets = [task.result()[0] for task in appending]
        assert sorted(offsets) == list(range(1000))
        assert [int(s.value) for s in await log.read(IN, 0, 1000)] == sorted(range(1000), key=offsets.index)
        assert log._writer is not None
        assert log._writer.transactions < 100
    finally:
        await log.close()


async def test_a_hundred_followers_and_appenders_share_one_log(tmp_path: Path) -> None:
    topics = [Topic(f"inbox.m{n}") for n in range(20)]
    async with asyncio.timeout(SECONDS), open_log(url_of(tmp_path)) as log:
        await log.create(topics)

        async def follow(name: str) -> list[int]:
            found: list[int] = []
            async with aclosing(log.follow(name, [name], limit=7)) as batches:
                async for batch in batches:
                    found += [int(stored.value) for stored in batch.records]
                    await batch.commit([])
                    if len(found) == 50:
                        break
            return found

        async def append(name: str) -> None:
            for n in range(50):
                await log.append([Record(Partition(name), b"k", b"%d" % n)])

        async with asyncio.TaskGroup() as group:
            following = [group.create_task(follow(topic.name)) for topic in topics]
            for topic in topics:
                group.create_task(append(topic.name))
        assert all(task.result() == list(range(50)) for task in following)


class Unforeseen(Exception):
    """Nobody thought of it."""


async def test_what_nobody_foresaw_in_the_writing_thread_ends_the_process_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log in which nobody writes any more would keep everybody waiting, and answer nothing but timeouts."""
    died = threading.Event()
    loop = asyncio.get_running_loop()
    writer = Writer(tmp_path / "log.db", loop, lambda _outcomes, _ends: None, died.set)
    await writer.start()

    def breaks(*_: object) -> None:
        raise Unforeseen

    monkeypatch.setattr(writer, "_work", breaks)
    # The process would be gone by now; here the exception is seen by who looks after threads.
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with capture_logs() as lines:
        writer.put(Places(loop.create_future(), "reader"))
        assert await asyncio.to_thread(died.wait, 10)
    assert [line["event"] for line in lines] == ["log.writer-died"]
    await writer.stop()
