"""The table of faults and the counting behind it: numbers that are not 0 cannot hide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from broker.core.model import Delivery
from broker.core.records import framed
from tests.faults import table
from tests.faults.counting import Delivered, by_mark, compare, delivery_in
from tests.faults.table import Row
from tests.pages import rewritten
from tests.world import World, sighting

ROW = Row(
    name="hub killed", engine="sqlite", kills=20, notices=1000, deliveries=2000, lost=0, doubled=0,
    over_delivered=0, out_of_order=0, seed=7, seconds=60.4,
)  # fmt: skip


def delivered(member: str, number: int, place: int) -> Delivered:
    mark = b"mark-%06d" % number
    return Delivered(member, "lane", place, mark, "vn", (5, "main"), number, mark)


OWED = {"jp": [b"mark-000001", b"mark-000002", b"mark-000003"], "nl": [b"mark-000002"]}
AS_OWED = [delivered("jp", 1, 1), delivered("nl", 2, 1), delivered("jp", 2, 2), delivered("jp", 3, 3)]


def test_what_is_owed_and_delivered_once_is_faultless() -> None:
    found = compare(OWED, AS_OWED)

    assert found.faultless
    assert found.deliveries == 4


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("lost", AS_OWED[:-1]),
        ("doubled", [*AS_OWED, delivered("jp", 3, 4)]),
        ("doubled", [*AS_OWED, replace(delivered("jp", 4, 4), mark=b"mark-000003")]),
        ("over_delivered", [*AS_OWED, delivered("nl", 3, 2)]),
        (
            "out_of_order",
            [delivered("jp", 2, 1), delivered("jp", 1, 2), *AS_OWED[1:2], delivered("jp", 3, 3)],
        ),
        ("out_of_order", [*AS_OWED[:3], delivered("jp", 3, 4)]),
    ],
)
def test_the_count_finds_each_kind_of_fault_and_no_other(what: str, changed: list[Delivered]) -> None:
    found = compare(OWED, changed, by_mark)

    assert getattr(found, what) == 1
    assert [
        name for name in ("lost", "doubled", "over_delivered", "out_of_order") if getattr(found, name)
    ] == [what]


async def test_the_reader_that_shares_nothing_with_ours_reads_what_the_hub_delivers(tmp_path: Path) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp")
        await world.publish("vn", sighting(place="at mark-000017"))
        (received,) = await world.deliveries("jp")

    read = delivery_in(framed(Delivery, received.raw))

    assert (read.member, read.lane, read.place) == ("jp", received.head.lane, received.head.sequence)
    assert (read.statement, read.originator, read.number) == (received.head.statement, "vn", 1)
    assert read.mark == b"mark-000017"


def test_rows_are_kept_as_lines_and_the_last_of_a_name_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(table.VARIABLE, str(tmp_path / "rows.jsonl"))
    later = msgspec.structs.replace(ROW, seed=8)

    for row in (ROW, msgspec.structs.replace(ROW, engine="kafka"), later):
        table.record(row)

    lines = (tmp_path / "rows.jsonl").read_bytes().splitlines()
    assert table.read(lines) == [later, msgspec.structs.replace(ROW, engine="kafka")]


def test_without_a_file_named_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(table.VARIABLE, raising=False)

    table.record(ROW)


def test_a_fault_must_count_nothing_and_a_control_something() -> None:
    doubled = msgspec.structs.replace(ROW, doubled=3)

    assert ROW.as_it_must_be
    assert not doubled.as_it_must_be
    assert msgspec.structs.replace(doubled, control=True).as_it_must_be
    assert not msgspec.structs.replace(ROW, control=True).as_it_must_be


def test_the_page_keeps_its_words_and_gets_another_table() -> None:
    page = f"before\n{table.BEGIN}\n\nold\n\n{table.END}\nafter\n"

    written = rewritten(page, table.BEGIN, table.END, table.rendered([ROW]))

    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "old" not in written
    assert "| hub killed | SQLite | 20 | 1,000 | 2,000 | 0 | 0 | 0 | 0 | 7 | 60 |" in written


def test_the_page_in_the_documentation_has_its_marks() -> None:
    assert rewritten(table.PAGE.read_text(encoding="utf-8"), table.BEGIN, table.END, "") != ""
