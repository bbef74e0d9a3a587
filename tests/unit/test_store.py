"""The node's store: durable, shared with commands, and no number given out twice."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from adapters.sending.draft import Draft
from adapters.sending.outgoing import Outgoing
from adapters.sending.statement import Statement, Stream
from adapters.store import APPLICATION, MOST_ALARMS, Store, StoreUnavailable
from adapters.tables import FORMAT, STEPS
from broker.core.errors import BadConfiguration, StoreDamaged
from broker.core.model import Region, Tlp

REGION = Region.ASIA_PACIFIC
AT = 1_790_000_000_000
NOBODY = 65534


def draft(source: str | None = None) -> Draft:
    return Draft("sighting", {"place": "Hai Phong"}, REGION, Tlp.AMBER, source=source)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path) as store:
        yield store


@pytest.fixture
def outgoing(store: Store) -> Outgoing:
    return Outgoing(store)


def signed(outgoing: Outgoing, count: int) -> list[Statement]:
    """Queue and sign so many drafts, each following the one before."""
    stream = outgoing.stream(REGION)
    outgoing.enqueue([draft() for _ in range(count)], AT)
    first = outgoing.reserve(stream, count)
    previous = outgoing.tip(stream)
    statements = []
    for number, queued in enumerate(outgoing.waiting(REGION, count), first):
        name = f"{stream.name}/{number}".encode().ljust(32, b".")
        statements.append(
            Statement(name, queued.id, REGION, stream.name, number, previous, b"e", b"k", "signed", AT)
        )
        previous = name
    outgoing.keep(statements)
    return statements


def states(outgoing: Outgoing) -> list[str]:
    return [queued.state for queued in outgoing.listed()]


# --- the file ---------------------------------------------------------------------------------------


def test_what_was_stored_is_there_after_opening_it_again(path: Path) -> None:
    with Store.open(path) as store:
        Outgoing(store).enqueue([draft("row 1")], AT)
        store.remember(place=7)
    with Store.open(path) as store:
        (queued,) = Outgoing(store).listed()
        assert queued.draft == draft("row 1")
        assert store.fact("place") == 7


def test_a_transaction_that_failed_left_nothing(store: Store) -> None:
    def fails() -> None:
        with store.write():
            store.remember(place=7)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert store.fact("place") is None


def test_the_file_is_its_owners_alone(path: Path, store: Store) -> None:
    store.remember(place=7)
    for file in path.parent.glob("node.db*"):
        assert file.stat().st_mode & 0o077 == 0


def test_a_commit_is_on_disk_when_it_returns(store: Store) -> None:
    assert store.rows("PRAGMA journal_mode") == [("wal",)]
    assert store.rows("PRAGMA synchronous") == [(2,)]


def test_a_store_of_a_later_version_is_refused_with_its_number(path: Path) -> None:
    Store.open(path).close()
    later = sqlite3.connect(path)
    later.execute(f"PRAGMA user_version = {FORMAT + 1}")
    later.close()
    with pytest.raises(BadConfiguration, match=f"format {FORMAT + 1}"):
        Store.open(path)


def test_another_database_is_refused_and_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(BadConfiguration, match="not a node's store"):
        Store.open(path)
    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    other.close()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(BadConfiguration, match="not a node's store"):
        Store.open(path)


def test_a_store_where_no_file_can_be_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        Store.open(tmp_path / "missing" / "node.db")
    with pytest.raises(StoreUnavailable):
        Store.open(tmp_path / "missing" / "node.db", sole=True)


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A store in a folder in which this process can write nothing; root becomes nobody for that time."""
    folder = Path(tempfile.mkdtemp(prefix="halong-read-only-"))
    Store.open(folder / "node.db").close()
    (folder / "node.db").chmod(0o444)
    folder.chmod(0o555)
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield folder / "node.db"
    finally:
        os.seteuid(was)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_store_can_be_looked_into_while_its_node_writes(path: Path) -> None:
    with Store.open(path, sole=True) as node, Store.open_to_read(path) as reader:
        Outgoing(node).enqueue([draft()], AT)
        assert Outgoing(reader).counts() == {"waiting": 1}
        with pytest.raises(StoreUnavailable, match="SQLITE_READONLY"):
            Outgoing(reader).enqueue([draft()], AT)


def test_a_copy_in_a_place_that_cannot_be_written_can_be_looked_into(read_only: Path) -> None:
    with Store.open_to_read(read_only) as reader:
        assert Outgoing(reader).counts() == {}


def test_looking_into_a_store_of_an_earlier_version_brings_it_up_to_date(path: Path) -> None:
    earlier = sqlite3.connect(path)
    earlier.execute(f"PRAGMA application_id = {APPLICATION}")
    earlier.executescript(STEPS[0])
    earlier.execute("PRAGMA user_version = 1")
    earlier.close()

    with Store.open_to_read(path) as reader:
        assert reader.rows("PRAGMA user_version") == [(FORMAT,)]


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_store_whose_pages_are_garbled_is_said_to_be_damaged(path: Path, place: float) -> None:
    with Store.open(path) as store:
        Outgoing(store).enqueue([draft(f"row {number} {'x' * 200}") for number in range(500)], AT)
    data = bytearray(path.read_bytes())
    page = round(len(data) * place) // 4096 * 4096
    data[page : page + 4096] = b"\xa5" * 4096
    path.write_bytes(data)

    with pytest.raises(BadConfiguration, match="damaged"), Store.open_to_read(path) as reader:  # noqa: PT012
        Outgoing(reader).listed(limit=1000)
        Outgoing(reader).counts()
        reader.rows("PRAGMA integrity_check")


def test_a_second_node_is_refused_and_commands_are_not(path: Path) -> None:
    with Store.open(path, sole=True) as node:
        with pytest.raises(BadConfiguration, match="another node"):
            Store.open(path, sole=True)
        node.changed_by_others()
        with Store.open(path) as command:
            Outgoing(command).enqueue([draft()], AT)
        assert node.changed_by_others()
        assert not node.changed_by_others()
        assert Outgoing(node).counts() == {"waiting": 1}
    Store.open(path, sole=True).close()


def test_a_full_disk_is_unavailable_and_nothing_is_half_stored(store: Store, outgoing: Outgoing) -> None:
    ((pages,),) = store.rows("PRAGMA page_count")
    store.rows(f"PRAGMA max_page_count = {pages}")
    drafts = [draft(f"row {number} {'x' * 200}") for number in range(200)]
    with pytest.raises(StoreUnavailable, match="SQLITE_FULL"):
        outgoing.enqueue(drafts, AT)
    assert outgoing.counts() == {}
    store.rows(f"PRAGMA max_page_count = {pages + 1000}")
    assert None not in outgoing.enqueue(drafts, AT)


# --- the queue ----------------------------------------------------------------------------------------


def test_several_may_make_the_same_store_at_once(tmp_path: Path) -> None:
    together = Barrier(4)

    def make(path: Path) -> None:
        together.wait(10)
        Store.open(path).close()

    with ThreadPoolExecutor(4) as pool:
        for number in range(80):
            list(pool.map(make, [tmp_path / f"{number}.db"] * 4))


def test_one_source_is_queued_once_however_many_try(path: Path) -> None:
    sources = [f"table row {number}" for number in range(40)]

    def enqueue(_: int) -> list[int | None]:
        with Store.open(path) as store:
            return [Outgoing(store).enqueue([draft(source)], AT)[0] for source in sources]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(enqueue, range(4)))
    for number in range(len(sources)):
        assert sum(answer[number] is not None for answer in answers) == 1
    with Store.open(path) as store:
        assert Outgoing(store).counts() == {"waiting": 40}
        assert Outgoing(store).knows_source("table row 7")
        assert not Outgoing(store).knows_source("table row 99")


def test_drafts_without_a_source_are_all_queued(outgoing: Outgoing) -> None:
    assert None not in outgoing.enqueue([draft(), draft()], AT)
    assert [queued.id for queued in outgoing.waiting(REGION, 10)] == [1, 2]
    assert outgoing.queued(2) is not None
    assert outgoing.queued(3) is None


# --- numbers --------------------------------------------------------------------------------------------


def test_a_number_is_given_out_once_also_after_a_crash(path: Path) -> None:
    given = []
    for _ in range(3):
        with Store.open(path) as store:
            stream = Outgoing(store).stream(REGION)
            given += [Outgoing(store).reserve(stream, 2), Outgoing(store).reserve(stream, 1)]
    assert given == [1, 3, 4, 6, 7, 9]


def test_a_second_statement_under_one_number_cannot_be_kept(outgoing: Outgoing) -> None:
    (first,) = signed(outgoing, 1)
    twin = Statement(b"t" * 32, first.draft, REGION, "main", 1, None, b"e", b"k", "signed", AT)
    with pytest.raises(StoreDamaged):
        outgoing.keep([twin])
    assert outgoing.find(twin.id) is None


def test_each_region_has_its_own_stream(outgoing: Outgoing) -> None:
    assert outgoing.reserve(outgoing.stream(REGION), 5) == 1
    assert outgoing.reserve(outgoing.stream(Region.EUROPE), 1) == 1


def test_what_follows_a_refused_statement_waits_again_in_its_old_order(outgoing: Outgoing) -> None:
    first, second, third = signed(outgoing, 3)
    outgoing.move([first], "accepted", AT)
    outgoing.refuse(second, "expired", "effective_until", AT)
    assert states(outgoing) == ["accepted", "refused", "waiting"]
    assert outgoing.tip(outgoing.stream(REGION)) == first.id
    assert [queued.id for queued in outgoing.waiting(REGION, 9)] == [third.draft]


def test_what_cannot_be_admitted_under_its_number_waits_with_all_that_follows(outgoing: Outgoing) -> None:
    first, second, _ = signed(outgoing, 3)
    outgoing.move([first], "proven", AT)
    outgoing.void(second, "out-of-order", AT)
    assert states(outgoing) == ["proven", "waiting", "waiting"]
    assert outgoing.tip(outgoing.stream(REGION)) == first.id


def test_what_the_hub_admitted_counts_with_all_that_it_follows(outgoing: Outgoing) -> None:
    statements = signed(outgoing, 4)
    outgoing.admit_through(statements[2].id, AT)
    assert states(outgoing) == ["admitted", "admitted", "admitted", "signed"]
    assert outgoing.last_admitted(outgoing.stream(REGION)) == statements[2].id


def test_what_was_admitted_after_it_was_given_up_is_not_said_twice(outgoing: Outgoing) -> None:
    (first,) = signed(outgoing, 1)
    outgoing.void(first, "out-of-order", AT)
    stream = outgoing.stream(REGION)
    number = outgoing.reserve(stream, 1)
    again = Statement(b"a" * 32, first.draft, REGION, stream.name, number, None, b"e", b"k", "signed", AT)
    outgoing.keep([again])
    outgoing.admit_through(first.id, AT)
    assert states(outgoing) == ["admitted"]
    assert outgoing.unsent(REGION, 9) == []


def test_another_stream_takes_over_what_was_not_admitted(outgoing: Outgoing) -> None:
    first, _ = signed(outgoing, 2)
    outgoing.move([first], "proven", AT)
    fresh = outgoing.open_another_stream(REGION)
    assert fresh == Stream(REGION, fresh.name, 0)
    assert fresh.name != "main"
    assert states(outgoing) == ["proven", "waiting"]
    assert outgoing.tip(fresh) is None
    assert outgoing.stream(REGION) == fresh


# --- alarms -----------------------------------------------------------------------------------------------


def test_an_alarm_that_comes_again_is_counted_and_their_number_is_bounded(store: Store) -> None:
    assert store.alarm("feed.stopped", "bad-proof", "path", AT)
    assert not store.alarm("feed.stopped", "bad-proof", "path", AT + 1)
    assert store.rows("SELECT count, at, last_at FROM alarms") == [(2, AT, AT + 1)]
    with store.write():
        for number in range(MOST_ALARMS + 10):
            store.alarm("feed.stopped", "bad-proof", str(number), AT)
    assert store.rows("SELECT count(*) FROM alarms") == [(MOST_ALARMS,)]
