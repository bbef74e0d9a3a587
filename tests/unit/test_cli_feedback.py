"""`halong preview`, `halong feedback` and sticks at the terminal: what they say where nothing runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.commands.feedback import give
from adapters.stick.node import Imported
from broker.core.errors import MissingDelivery
from broker.core.notice_json import time_or_none
from broker.demo.network import Network as Made
from broker.moments import local
from broker.terminal import Exit
from schemas import load_catalogue
from tests.unit.test_cli_commands import NOTICES, Terminal, at, network

__all__ = ["at", "network"]


@pytest.fixture
def parcel(tmp_path: Path) -> Path:
    """A parcel on its way from Japan, which both agreements of vn carry."""
    found = json.loads((NOTICES / "drug-parcel.json").read_text())
    path = tmp_path / "parcel.json"
    path.write_text(json.dumps(found | {"countries": ["JP", "VN"]}))
    return path


def test_a_preview_names_slots_grants_and_the_clause_that_fails(network: Terminal, parcel: Path) -> None:
    said = network("preview parcel.json --dir vn")

    assert said.code == 0
    lines = said.out.splitlines()
    assert "2 of 2 would get it" in lines[1]
    assert any(
        line.split()[:5] == ["jp", "facts", "identifiers", "entities", "persons"] and "grant 1" in line
        for line in lines
    )
    found = network("preview parcel.json --dir vn --json").json
    assert found["notices"][0]["reached"] == 2
    jp, nl = found["notices"][0]["receivers"]
    assert (jp["member"], jp["grants"], jp["feedback_due"] is not None) == ("jp", ["jp-vn-2026/1#1"], True)
    assert nl["slots"] == ["facts"]


def test_one_member_is_explained_in_full(network: Terminal, parcel: Path) -> None:
    said = network("preview parcel.json --dir vn --member nl")

    assert said.code == 0
    assert "gets facts" in said.out
    assert "not  identifiers entities persons intelligence attachments" in said.out
    assert "✓ grant 2" in said.out
    assert "no grant for notices of this type" in said.out
    (notice,) = network("preview parcel.json --dir vn --member nl --json").json["notices"]
    assert [each["clause"] for each in notice["grants"]] == ["type", None, "type"]
    assert network("preview parcel.json --dir vn --member xx").code == Exit.USAGE
    assert network("preview parcel.json --dir vn --member vn").code == Exit.USAGE


def test_a_preview_of_another_day_knows_the_agreements_of_that_day(network: Terminal, parcel: Path) -> None:
    said = network("preview parcel.json --dir vn --at 2020-01-01")

    assert said.code == Exit.FAILED
    assert "nobody would get it" in said.out
    assert "not in force yet" in said.out
    assert network("preview parcel.json --dir vn --at 2026-11-25T10:00:00Z").code == 0
    assert network("preview parcel.json --dir vn --at yesterday").code == Exit.USAGE


def test_a_table_is_summed_up_by_member_and_reason(network: Terminal, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(
        'id = "m"\ntype = "drug-parcel"\nkey = "Id"\n[header]\ncountries = [{ column = "From" }]\n'
        '[notice]\nchannel = "POST"\n'
    )
    (tmp_path / "t.csv").write_text("Id,From\n1,JP\n2,JP\n3,VN\n4,??\n")

    said = network("preview --from t.csv --map map.toml --dir vn --json")

    assert said.code == 0
    found = said.json
    assert (found["flagged"], found["notices"], found["unusable"], found["reaching"]) == (4, 3, 1, 3)
    assert {(each["member"], each["notices"]) for each in found["receivers"]} == {("jp", 2), ("nl", 3)}
    only_jp = network("preview --from t.csv --map map.toml --dir vn --member jp")
    assert only_jp.code == Exit.FAILED
    assert "names none of the countries" in only_jp.out


def test_feedback_commands_say_so_where_there_is_nothing(network: Terminal) -> None:
    assert "nothing is due" in network("feedback due --dir vn").out
    assert "no feedback yet" in network("feedback received --dir vn").out
    assert "nothing was shared yet" in network("feedback count --dir vn").out
    said = network("feedback give vn/asia-pacific/main/1 --outcome REJECTED --dir jp")
    assert said.code == Exit.FAILED
    assert "[bad-header]" in said.err


def test_what_the_command_offers_is_what_the_type_has() -> None:
    fields = {field["name"]: field["type"] for field in load_catalogue().current("feedback").schema["fields"]}
    offered = {each.name: each.type.to_info_dict().get("choices") for each in give.params}

    assert fields["outcome"]["symbols"] == list(offered["outcome"])
    assert fields["use_made"][1]["items"]["symbols"] == list(offered["uses"])


@pytest.mark.parametrize("there", ["member.toml", "keys/tls.pem"])
def test_a_carrier_is_made_beside_nothing(network: Terminal, tmp_path: Path, there: str) -> None:
    (tmp_path / "carrier" / there).parent.mkdir(parents=True)
    (tmp_path / "carrier" / there).write_text("another's")
    assert network("member carrier carrier --dir vn").code == Exit.USAGE
    assert [path for path in (tmp_path / "carrier").rglob("*") if path.is_file()] == [
        tmp_path / "carrier" / there
    ]


def test_a_carrier_has_no_key_for_notices_and_is_listed_beside_its_node(
    network: Terminal, tmp_path: Path
) -> None:
    assert network("member carrier carrier --dir vn").code == 0
    assert network("member carrier carrier --dir vn").code == Exit.USAGE
    taken = network("hub take carrier/join-request.json --dir hub --yes --json")
    assert taken.json["welcomes"] == {"vn": "hub/welcomes/vn.json"}
    for folder in ("carrier", "vn"):
        assert network(f"member join hub/welcomes/vn.json --dir {folder} --yes").code == 0

    assert sorted(path.name for path in (tmp_path / "carrier/keys").iterdir()) == ["tls.pem"]
    assert len(Made(tmp_path).directory().members["vn"].transport_keys) == 2
    assert network("outbox export out.stick --dir carrier").code == Exit.USAGE
    assert network("outbox export out.stick --dir vn").code == 0
    assert network("feed import out.stick --dir vn").code == Exit.FAILED
    assert network("feed export back.stick --for jp --dir carrier").code == Exit.USAGE


def test_a_transport_key_that_was_revoked_does_not_come_back_with_an_old_request(
    network: Terminal, tmp_path: Path
) -> None:
    assert network("member carrier carrier --dir vn").code == 0
    assert network("hub take carrier/join-request.json --dir hub --yes").code == 0
    assert network("member join hub/welcomes/vn.json --dir vn --yes").code == 0
    key = Made(tmp_path).directory().members["vn"].transport_keys[-1].id.hex()
    revoke = f"key revoke {key[:16]} --reason compromised --since 0h --dir vn -o revoked.json --yes"
    assert network(revoke).code == 0
    assert network("hub take revoked.json --dir hub --yes").code == 0

    said = network("hub take carrier/join-request.json --dir hub --yes")

    assert said.code == Exit.USAGE
    assert "had ended, and would count again" in said.err


AT = 1_790_000_000_000
CAME = Imported(
    number=3,
    part=1,
    proven=0,
    refused=0,
    deliveries=2,
    behind=0,
    stopped=None,
    head=None,
    whole_to=7,
    whole_at=AT,
)


@pytest.mark.parametrize(
    ("came", "code", "words"),
    [
        (CAME, Exit.HELD, ("nothing is missing up to place 7", local(AT))),
        (replace(CAME, whole_to=0, whole_at=None), Exit.HELD, ("is not proven yet",)),
        (
            replace(CAME, head=MissingDelivery("they are not here", field="deliveries")),
            Exit.FAILED,
            ("[missing-delivery]", "keep the stick", "nothing is missing up to place 7"),
        ),
    ],
    ids=["whole", "no head yet", "a hole"],
)
def test_a_stick_that_was_taken_in_says_up_to_where_nothing_is_missing(
    network: Terminal, monkeypatch: pytest.MonkeyPatch, came: Imported, code: Exit, words: tuple[str, ...]
) -> None:
    class Node:
        async def import_(self, _path: Path) -> Imported:
            return came

    @asynccontextmanager
    async def opened(*_: object, **__: object) -> AsyncIterator[Node]:
        yield Node()

    monkeypatch.setattr("adapters.stick.offline.open_offline", opened)
    Path("back.stick").touch()

    said = network("feed import back.stick --dir vn")
    told = network("feed import back.stick --dir vn --json")

    assert (said.code, told.code) == (code, code)
    assert all(word in said.out + said.err for word in words)
    assert told.json["head"] == (
        None if came.head is None else {"code": came.head.code, "field": "deliveries"}
    )
    assert (told.json["whole_to"], told.json["whole_at"]) == (came.whole_to, time_or_none(came.whole_at))
