"""A node's store of the first format, as that version left it, goes on under today's.

`node-format-1.db.gz` was written by the code of that time: three notices of vn that are proven and one that
waits, two deliveries from jp with their receipts.  It is never made again.
"""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adapters.receiving.incoming import Incoming
from adapters.sending.outgoing import Outgoing
from adapters.status import snapshot
from adapters.store import Store, copy_store
from adapters.tables import FORMAT
from broker.core.errors import Unavailable
from broker.core.model import Region

OLD = Path(__file__).with_name("node-format-1.db.gz")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The file of the first format."""
    path = tmp_path / "node.db"
    path.write_bytes(gzip.decompress(OLD.read_bytes()))
    return path


def format_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_nothing_that_was_said_or_got_is_lost_on_the_way(old: Path) -> None:
    assert format_of(old) == 1

    with Store.open(old) as store:
        seen = snapshot(store)
        assert (dict(seen.sent), dict(seen.received)) == ({"proven": 3, "waiting": 1}, {"delivered": 2})
        assert seen.receipts_waiting == 0
        assert Outgoing(store).stream(Region.ASIA_PACIFIC).reserved == 3
        incoming = Incoming(store)
        assert [each.sequence for each in incoming.received()] == [1, 2]
        assert incoming.next_in_lane("asia-pacific/jp") == 3
        assert incoming.place() == incoming.received()[-1].place

    assert format_of(old) == FORMAT


def test_an_upgrade_that_is_cut_off_happened_not_at_all(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.store.STEPS", ("", "CREATE TABLE half (a);\nSELECT * FROM nowhere"))

    with pytest.raises(Unavailable):
        Store.open(old)

    assert format_of(old) == 1
    with closing(sqlite3.connect(old)) as db:
        assert not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'half'").fetchone()


def test_a_copy_for_a_backup_is_of_the_format_that_was_there(old: Path, tmp_path: Path) -> None:
    copy_store(old, tmp_path / "copy.db")

    assert (format_of(old), format_of(tmp_path / "copy.db")) == (1, 1)
