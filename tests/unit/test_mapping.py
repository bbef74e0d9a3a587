"""Maps: each selected row becomes a notice or a reason, and the same row is the same notice for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.importing.csv_table import MOST_ROW_CHARACTERS, CsvTable
from adapters.importing.map_file import parse_map
from adapters.importing.mapping import TableMap, Unusable
from broker.core.errors import BadConfiguration, TooLarge

NOW = 1_700_000_000_000

MAP = """
id = "risk"
type = "revenue-fraud"
key = "Id"

[where]
Fraud = "1"
Office = { not = ["99", ""] }

[header]
region = "asia-pacific"
countries = [{ column = "From", as = "code", list = "countries" }, "KR"]
subjects = [{ column = "HS", prefix = "hs:", take = 4 }]
feedback_hours = 72

[notice]
kind = "CONSIGNMENT"
seen = { column = "Date", as = "date" }
hs = { column = "HS", as = "code", list = "hs", edition = "2022", required = true }
mode = { column = "Mode", as = "lookup", table = "modes" }
packages = { column = "Count", as = "integer" }
value = { amount = { column = "Price", as = "decimal", scale = 4, empty = ["0.0"] }, currency = "KRW" }

[tables.modes]
10 = "SEA"
"""

ROW = {
    "Id": "1", "Fraud": "1", "Office": "40", "From": "VN", "HS": "071080", "Date": "2021-02-01", "Mode": "10",
    "Count": "3", "Price": "681.5999999999998",
}  # fmt: skip


def codes(name: str, edition: str | None) -> frozenset[str]:
    assert (name, edition) in {("countries", None), ("hs", "2022")}
    return frozenset({"VN", "KR", "071080"})


def convert(mapping: TableMap, **cells: str) -> Any:
    return mapping.convert(ROW | cells, now=NOW, codes=codes, resolve=lambda _: None)


def risk() -> TableMap:
    return parse_map(MAP.encode(), "risk.toml")


def test_a_row_becomes_the_json_form_of_a_notice() -> None:
    mapped = convert(risk())

    assert mapped.source == "risk/1"
    assert mapped.notice == {
        "type": "revenue-fraud",
        "region": "asia-pacific",
        "countries": ["KR", "VN"],
        "subjects": ["hs:0710"],
        "feedback_due": "2023-11-17T22:13:20.000Z",
        "notice": {
            "kind": "CONSIGNMENT",
            "seen": "2021-02-01T00:00:00.000Z",
            "hs": "071080",
            "mode": "SEA",
            "packages": 3,
            "value": {"amount": "681.6000", "currency": "KRW"},
        },
    }


@pytest.mark.parametrize(
    ("cells", "selected"),
    [
        ({}, True),
        ({"Fraud": "0"}, False),
        ({"Office": "99"}, False),
        ({"Office": ""}, False),
        ({"Fraud": " 1 "}, True),
    ],
)
def test_all_conditions_must_hold(cells: dict[str, str], selected: bool) -> None:
    assert risk().selects(ROW | cells) is selected


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"Id": " "}, "Id"),
        ({"From": "ZZ"}, "From"),
        ({"HS": ""}, "HS"),
        ({"HS": "940540"}, "HS"),
        ({"Date": "01.02.2021"}, "Date"),
        ({"Mode": "77"}, "Mode"),
        ({"Count": "3.5"}, "Count"),
        ({"Count": "many"}, "Count"),
        ({"Price": "NaN"}, "Price"),
        ({"Price": "1e400000"}, "Price"),
        ({"Price": "x"}, "Price"),
    ],
)
def test_a_row_that_cannot_be_said_names_its_column_and_not_its_value(
    cells: dict[str, str], column: str
) -> None:
    with pytest.raises(Unusable) as refused:
        convert(risk(), **cells)

    assert refused.value.column == column
    assert not any(value.strip() and value in str(refused.value) for value in cells.values())


def test_a_record_whose_columns_are_all_empty_is_left_out_with_its_constants() -> None:
    assert "value" not in convert(risk(), Price="0.0").notice["notice"]


def test_a_statement_is_found_by_its_reference() -> None:
    mapping = parse_map(
        b'id="f"\ntype="feedback"\nkey="Id"\n[header]\nreferences=[{column="About",as="statement"}]\n[notice]\n',
        "f",
    )
    row = {"Id": "1", "About": "vn/asia-pacific/main/3"}

    mapped = mapping.convert(row, now=NOW, codes=codes, resolve={"vn/asia-pacific/main/3": "ab" * 32}.get)
    assert mapped.notice["references"] == ["ab" * 32]
    with pytest.raises(Unusable, match="About"):
        mapping.convert(row, now=NOW, codes=codes, resolve=lambda _: None)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("id = [", "TOML"),
        (MAP.replace('key = "Id"', ""), "key"),
        (MAP.replace("[header]", "[headers]"), "headers"),
        (MAP.replace('region = "asia', 'regin = "asia'), "regin"),
        (MAP.replace('as = "date"', 'as = "day"'), "integer"),
        (MAP.replace("scale = 4", 'scale = "4"'), "scale"),
        (MAP.replace("scale = 4", "digits = 4"), "digits"),
        (MAP.replace('table = "modes"', 'table = "ways"'), "tables"),
        (MAP.replace('list = "hs", ', ""), "list"),
        (MAP.replace('Fraud = "1"', "Fraud = 1"), "condition"),
        (MAP.replace("feedback_hours = 72", "feedback_hours = -1"), "feedback_hours"),
        (MAP.replace('kind = "CONSIGNMENT"', "kind = 1.5"), "constant"),
        (
            MAP.replace("countries = [", "countries = [[")
            and MAP.replace('subjects = [{ column = "HS", prefix = "hs:", take = 4 }]', 'subjects = "hs:07"'),
            "list",
        ),
    ],
)
def test_a_map_that_does_not_hold_together_is_refused_with_the_setting(text: str, named: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        parse_map(text.encode(), "risk.toml")

    assert named in str(refused.value)
    assert refused.value.field is not None
    assert refused.value.field.startswith("risk.toml")


def test_a_table_that_lacks_a_column_of_the_map_is_refused_with_its_name() -> None:
    with pytest.raises(BadConfiguration, match="Price"):
        risk().check_columns([name for name in ROW if name != "Price"], "table.csv")
    risk().check_columns([*ROW, "More"], "table.csv")


def test_rows_of_a_table_keep_their_numbers_and_broken_ones_are_told(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('\ufeffId,Name\n1,"a,b"\n\n2\n3,c,d\n', encoding="utf-8")
    table = CsvTable(path)

    rows = list(table)

    assert table.columns() == ["Id", "Name"]
    assert [(row.number, row.cells["Id"], row.broken) for row in rows] == [
        (2, "1", False),
        (4, "2", True),
        (5, "3", True),
    ]
    assert rows[0].cells["Name"] == "a,b"
    assert table.lines() == 4


@pytest.mark.parametrize("content", [b"", b"Id,Id\n1,2\n", b'Id\n"1\n', b"Id\n\xff\n"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)

    with pytest.raises(BadConfiguration):
        list(CsvTable(path))


def test_a_list_of_nothing_is_left_out() -> None:
    mapping = parse_map(
        MAP.replace("packages = {", 'stops = [{ country = { column = "Via" } }]\npackages = {').encode(),
        "risk",
    )

    assert "stops" not in convert(mapping, Via="").notice["notice"]
    assert convert(mapping, Via="SG").notice["notice"]["stops"] == [{"country": "SG"}]


@pytest.mark.parametrize(
    ("head", "part"),
    [("", "a"), ("", "a,"), ("Id,Name\n", "a"), ("Id,Name\n", 'a,"b\n'), ("Id,Name\n", '"b\n"')],
    ids=["header", "many headers", "one cell", "a cell that never closes", "cells over many lines"],
)
def test_a_row_without_an_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, head: str, part: str
) -> None:
    path = tmp_path / "endless.csv"
    path.write_text(head + part * (2 * MOST_ROW_CHARACTERS // len(part)))
    with pytest.raises((TooLarge, BadConfiguration), match="row"):
        list(CsvTable(path))


def test_a_line_of_gigabytes_costs_no_more_than_the_longest_row(tmp_path: Path) -> None:
    path = tmp_path / "endless.csv"
    path.write_text("Id,Name\n")
    # Nearly all of it is a hole that takes no room on the disk.
    with path.open("r+b") as file:
        file.truncate(1 << 36)
    with pytest.raises(TooLarge, match="at row 2"):
        list(CsvTable(path))


def test_rows_of_any_number_may_be_as_long_as_one_may_be(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    text = "x" * 100_000
    path.write_text("A,B,C\n" + f"{text},{text},{text}\n" * 20)
    assert [row.broken for row in CsvTable(path)] == [False] * 20
