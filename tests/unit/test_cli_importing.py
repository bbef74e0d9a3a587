"""A table becomes notices: each flagged row once, or a line of the report; the sum is always the table's."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.importing.csv_table import CsvTable
from adapters.importing.importer import AT_ONCE, Importer, Tally, report_file
from adapters.importing.map_file import parse_map
from adapters.importing.mapping import Mapped
from adapters.sending.draft import Draft
from adapters.sending.outgoing import Outgoing
from adapters.store import Store
from broker.core.model import Region
from schemas import code_list, load_catalogue

NOW = 1_800_000_000_000
CATALOGUE = load_catalogue()

MAP = parse_map(
    b"""
id = "risk"
type = "revenue-fraud"
key = "Id"
where.Fraud = "1"

[header]
countries = [{ column = "From", as = "code", list = "countries" }]

[notice]
scope = "CONSIGNMENT"
declared_hs = { column = "HS" }
net_mass = { value = { column = "Mass", as = "decimal", scale = 6 }, unit = "KGM" }
customs_office = { column = "Office" }
""",
    "risk.toml",
)

GOOD = {"Id": "1", "Fraud": "1", "From": "VN", "HS": "071080", "Mass": "10.5", "Office": "40"}


class PowerCut(BaseException):
    """The process ends here."""


def write(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(GOOD))
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_draft(mapped: Mapped) -> tuple[Draft, list[str]]:
    draft = Draft.from_json(
        mapped.notice, CATALOGUE, member="vn", region=Region.ASIA_PACIFIC, at=NOW, source=mapped.source
    )
    return draft, []


def importer(store: Callable[[Sequence[Draft]], Sequence[int | None]]) -> Importer:
    return Importer(MAP, code_list, lambda _: None, make_draft, store, NOW)


def run(table: Path, outgoing: Outgoing, report: Path) -> Tally:
    with report_file(report) as tell:
        return importer(lambda drafts: outgoing.enqueue(drafts, NOW)).run(CsvTable(table), tell)


@pytest.fixture
def outgoing(tmp_path: Path) -> Outgoing:
    return Outgoing(Store.open(tmp_path / "node.db"))


def test_every_flagged_row_is_a_notice_or_a_line_of_the_report_with_its_reason(
    tmp_path: Path, outgoing: Outgoing
) -> None:
    rows = [
        GOOD,
        GOOD | {"Id": "2", "Fraud": "0"},
        GOOD | {"Id": "3", "From": "ZZ"},
        GOOD | {"Id": "4", "Mass": "heavy"},
        GOOD | {"Id": ""},
        GOOD,
        GOOD | {"Id": "5", "Office": "\x1b[31m"},
        GOOD | {"Id": "=6", "From": "ZZ"},
        GOOD | {"Id": "7"},
    ]

    tally = run(write(tmp_path / "t.csv", rows), outgoing, tmp_path / "report.csv")

    assert (tally.rows, tally.flagged, tally.queued, tally.already, tally.reported) == (9, 8, 2, 0, 6)
    assert tally.balanced
    with (tmp_path / "report.csv").open(encoding="utf-8") as file:
        told = [(row["row"], row["key"], row["column"]) for row in csv.DictReader(file)]
    assert told == [
        ("4", "3", "From"),
        ("5", "4", "Mass"),
        ("6", "", "Id"),
        ("7", "1", "Id"),
        ("8", "5", "customs_office"),
        ("9", "'=6", "From"),
    ]


def test_a_row_is_queued_once_however_often_the_table_is_read(tmp_path: Path, outgoing: Outgoing) -> None:
    table = write(tmp_path / "t.csv", [GOOD | {"Id": str(number)} for number in range(7)])

    first, second = (run(table, outgoing, tmp_path / "report.csv") for _ in range(2))

    assert (first.queued, first.already) == (7, 0)
    assert (second.queued, second.already) == (0, 7)
    assert second.balanced
    assert outgoing.counts() == {"waiting": 7}
    assert not (tmp_path / "report.csv").exists()


def test_an_import_that_was_cut_anywhere_is_simply_run_again(tmp_path: Path, outgoing: Outgoing) -> None:
    count = 2 * AT_ONCE + 3
    table = write(tmp_path / "t.csv", [GOOD | {"Id": str(number)} for number in range(count)])
    steps = 0

    def cut(drafts: Sequence[Draft]) -> Sequence[int | None]:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise PowerCut
        return outgoing.enqueue(drafts, NOW)

    with pytest.raises(PowerCut):
        importer(cut).run(CsvTable(table), lambda *_: None)
    tally = run(table, outgoing, tmp_path / "report.csv")

    assert (tally.queued, tally.already) == (count - AT_ONCE, AT_ONCE)
    assert outgoing.counts() == {"waiting": count}


def test_a_map_and_a_key_name_the_row_so_another_map_says_it_anew(tmp_path: Path, outgoing: Outgoing) -> None:
    run(write(tmp_path / "t.csv", [GOOD]), outgoing, tmp_path / "report.csv")

    assert outgoing.knows_source("risk/1")
    assert not outgoing.knows_source("other/1")


CELLS = st.fixed_dictionaries(
    {
        "Id": st.sampled_from(["", "1", "2", "3", " 4"]),
        "Fraud": st.sampled_from(["0", "1"]),
        "From": st.sampled_from(["VN", "ZZ", ""]),
        "HS": st.sampled_from(["071080", "940540", ""]),
        "Mass": st.sampled_from(["1", "1e99", "x", ""]),
        "Office": st.text(max_size=3).filter(lambda text: "\0" not in text),
    }
)


@given(st.lists(CELLS, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sum_is_always_the_table_s(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("import")
    table = write(folder / "t.csv", rows)
    with Store.open(folder / "node.db") as store:
        first, second = (run(table, Outgoing(store), folder / "report.csv") for _ in range(2))

    assert first.flagged == sum(row["Fraud"] == "1" for row in rows)
    assert first.balanced
    assert second.balanced
    assert second.queued == 0
    assert second.already == first.queued
    assert second.reported == first.reported == first.reasons.total()
