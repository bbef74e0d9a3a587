"""Commands that need no running hub, as sessions at the terminal: what they say, and how they end."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from broker.cli import halong
from broker.demo.network import Network
from broker.demo.table import write_tables
from broker.terminal import Exit, run
from tests.networks import KEYS, copied

ROOT = Path(__file__).parents[2]
AGREEMENTS = ROOT / "broker/demo/scenario/agreements"
NOTICES = ROOT / "deploy/examples/notices"


class Said(NamedTuple):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Terminal = Callable[..., Said]


@pytest.fixture
def at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Terminal]:
    """A terminal in an empty folder; nobody is there to be asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    lines_go = structlog.get_config()

    def type_(line: str, *more: str) -> Said:
        code = run(halong, [*line.split(), *more])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    yield type_
    # Some commands turn the lines of services off; whoever comes after them in this process wants them.
    structlog.configure(**lines_go)


@pytest.fixture
def network(at: Terminal, tmp_path: Path, made_network: Network) -> Terminal:
    """A hub with vn, jp and nl under two agreements; nothing runs."""
    copied(made_network, tmp_path)
    return at


def join(at: Terminal, member: str) -> None:
    """Let the node of a member be made, up to its request."""
    name = f"Customs of {member}"
    assert at(f"member invite {member} --region europe --dir secretariat --name", name).code == 0
    line = f"member join secretariat/invitation-{member}.json --dir {member} --health-port 0 --yes"
    assert at(line).code == 0


# --- files that somebody else has sent ---------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "hub take /dev/zero --dir hub --yes",
        f"member approve /dev/zero --dir secretariat --yes {KEYS}",
        "member join /dev/zero --dir vn --yes",
        "publish /dev/zero --dir vn",
        "publish --from table.csv --map /dev/zero --dir vn",
    ],
)
def test_no_more_is_read_of_a_file_than_it_may_have(network: Terminal, tmp_path: Path, line: str) -> None:
    (tmp_path / "table.csv").write_text("key\n")
    held = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, held[1]))
    try:
        said = network(line)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, held)
    assert said.code == Exit.USAGE
    assert "longer than" in said.err


@pytest.mark.parametrize("line", ["publish deep --dir vn", "publish --from deep --map deep --dir vn"])
def test_a_file_nested_without_end_is_refused_as_one(network: Terminal, tmp_path: Path, line: str) -> None:
    (tmp_path / "deep").write_text(
        "x = " * ("--map" in line) + '{"x":' * ("--map" not in line) + "[" * 100_000
    )
    said = network(line)
    assert said.code == Exit.USAGE
    assert "nested too deeply" in said.err


# --- init, invite, join --------------------------------------------------------------------------------


def test_what_is_missing_is_named_when_nobody_can_be_asked(at: Terminal) -> None:
    said = at("init hub hub --network halong-test")

    assert said.code == Exit.USAGE
    assert "--listen is missing" in said.err
    assert len(said.err.splitlines()) == 3
    assert not Path("hub").exists()


@pytest.mark.parametrize(
    "line",
    [
        "init hub hub --network Halong --listen 127.0.0.1:8443",
        "init hub hub --network halong-test --listen 8443",
        "init hub hub --network halong-test --listen 127.0.0.1:99999",
        "init hub hub --network halong-test --listen 0.0.0.0:8443",
        "member invite Vietnam! --name V --region asia-pacific",
        "member invite vn --name V --region atlantis",
        "member invite vn --name V --region asia-pacific --dir nowhere",
        "publish",
        "publish --from pyproject.toml",
        "publish nothing.json",
        "feed --dir nowhere",
        "doctor --dir nowhere",
        "hub --dir nowhere",
        "member --dir nowhere",
        "audit count nowhere",
        "demo --without somebody",
        "demo --map x",
    ],
)
def test_a_line_that_cannot_be_meant_ends_in_three_lines_and_2(at: Terminal, line: str) -> None:
    said = at(line)

    assert said.code == Exit.USAGE
    assert said.out == ""
    what, where, following = said.err.splitlines()
    assert (what[:7], where[:7], following[:6]) == ("error: ", "where: ", "next: ")


def test_a_change_waits_for_a_yes(network: Terminal) -> None:
    before = network("directory show --dir hub --json").json["version"]
    join(network, "us")

    said = network(f"member approve us/join-request.json --dir secretariat {KEYS}")

    assert said.code == Exit.USAGE
    assert "directory key" in said.err
    assert not Path("secretariat/targets-3.json").exists()
    assert network(f"member approve us/join-request.json --dir secretariat {KEYS} --yes").code == 0

    said = network("hub take secretariat/targets-3.json us/join-request.json --dir hub")

    assert said.code == Exit.USAGE
    assert "us gets a certificate" in said.err
    assert network("directory show --dir hub --json").json["version"] == before


def test_answers_are_one_json_object_on_stdout(network: Terminal) -> None:
    line = "member invite us --region europe --dir secretariat --json --name US"
    assert network(line).json["invitation"] == "secretariat/invitation-us.json"
    line = "member join secretariat/invitation-us.json --dir us --health-port 0 --yes --json"
    assert network(line).json["request"] == "us/join-request.json"
    line = f"member approve us/join-request.json --dir secretariat {KEYS} --yes --json"
    assert network(line).json["file"] == "secretariat/targets-3.json"
    line = "hub take secretariat/targets-3.json us/join-request.json --dir hub --yes --json"
    assert network(line).json["welcomes"] == {"us": "hub/welcomes/us.json"}
    assert network("member join hub/welcomes/us.json --dir us --yes --json").json["first"] is True
    assert network("hub welcome us --dir hub --json").json["member"] == "us"
    assert network("member join hub/welcomes/us.json --dir us --json").json["first"] is False
    assert network("feed --dir us --json").json == {"member": "us", "items": [], "place": 0}
    leave = "agreement leave jp-vn-2026 --dir jp --yes --json -o left.json"
    assert network(leave).json["signed"] == "left.json"


def outbox(network: Terminal) -> str:
    """What the doctor says about vn's outbox."""
    checks = network("doctor --dir vn --offline --json").json["checks"]
    found: str = next(check["found"] for check in checks if check["name"] == "outbox")
    return found


# --- publish ------------------------------------------------------------------------------------------


def test_before_sending_one_sees_who_would_get_what_and_by_which_clause_not(network: Terminal) -> None:
    said = network(f"publish {NOTICES}/drug-parcel.json --dir vn --dry-run")

    assert said.code == 0
    lines = {line.split()[0]: line for line in said.out.splitlines()[1:]}
    assert "by nl-vn-2026/1" in lines["nl"]
    assert "names none of the countries" in lines["jp"]
    assert "nothing was queued" in said.err
    assert outbox(network) == "nothing queued"


def test_a_notice_is_queued_and_kept_until_the_node_runs(network: Terminal) -> None:
    said = network(f"publish {NOTICES}/drug-parcel.json {NOTICES}/revenue-fraud.json --dir vn --json")

    assert [notice["queued"] for notice in said.json["notices"]] == [1, 2]
    assert outbox(network) == "2 waiting"


@pytest.mark.parametrize(
    ("content", "code", "where"),
    [
        ("{", Exit.USAGE, "x.json"),
        ("[]", Exit.FAILED, "x.json"),
        ('{"type": "gossip", "notice": {}}', Exit.FAILED, "x.json"),
        ('{"type": "drug-parcel", "notice": {}}', Exit.FAILED, "channel"),
        ('{"type": "drug-parcel", "colour": "red", "notice": {"channel": "POST"}}', Exit.FAILED, "colour"),
        (
            '{"type": "drug-parcel", "countries": ["Japan"], "notice": {"channel": "POST"}}',
            Exit.FAILED,
            "countries",
        ),
        (
            '{"type": "drug-parcel", "addressees": ["jp"], "notice": {"channel": "POST"}}',
            Exit.FAILED,
            "addressees",
        ),
        (
            '{"type": "drug-parcel", "notice": {"channel": "POST", "sender": {"name": "Ada"}}}',
            Exit.FAILED,
            "persons",
        ),
    ],
)
def test_a_notice_that_cannot_go_out_is_refused_at_its_field_and_nothing_is_queued(
    network: Terminal, content: str, code: Exit, where: str
) -> None:
    Path("x.json").write_text(content)

    said = network(f"publish {NOTICES}/drug-parcel.json x.json --dir vn")

    assert said.code == code
    assert where in said.err.splitlines()[1]
    assert "Ada" not in said.err
    assert network(f"publish {NOTICES}/drug-parcel.json --dir vn --json").json["notices"][0]["queued"] == 1


def test_a_table_is_published_once_and_a_dry_run_leaves_no_trace(network: Terminal) -> None:
    write_tables(Path("tables"))
    line = (
        f"publish --from tables/vn/declarations.csv --map {ROOT}/deploy/examples/maps/declarations.toml"
        " --dir vn --json"
    )

    dry = network(line + " --dry-run").json
    first = network(line).json
    second = network(line).json

    assert (dry["flagged"], dry["notices"], dry["queued"], dry["reported"]) == (25, 24, 0, 1)
    assert (first["flagged"], first["queued"], first["already"], first["reported"]) == (25, 24, 0, 1)
    assert (second["flagged"], second["queued"], second["already"], second["reported"]) == (25, 0, 24, 1)
    assert first["marks"] == {"declared_hs: a code that its list does not have": 5}
    assert "Country of Departure" in Path(first["report"]).read_text()
    assert "nothing is new" in network(line.removesuffix(" --json")).out


# --- doctor -------------------------------------------------------------------------------------------


def marks(said: Said) -> dict[str, str]:
    return {check["name"]: check["mark"] for check in said.json["checks"]}


def test_a_folder_that_was_just_made_needs_nothing_but_to_be_run(network: Terminal) -> None:
    hub, node = network("doctor --dir hub --json"), network("doctor --dir vn --offline --json")

    assert hub.code == node.code == Exit.HELD
    assert {name for name, mark in marks(hub).items() if mark != "good"} == {"log"}
    assert {name for name, mark in marks(node).items() if mark != "good"} == {"node"}


def _expose(path: Path) -> None:
    path.chmod(0o644)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _swap_for_jp(path: Path) -> None:
    shutil.copy(Path("jp") / path.relative_to("vn"), path)


@pytest.mark.parametrize(
    ("folder", "file", "break_", "name"),
    [
        ("hub", "keys/log.pem", _expose, "key log"),
        ("hub", "keys/log.pem", _empty, "log key"),
        ("hub", "keys/authority.pem", Path.unlink, "key authority"),
        ("hub", "hub.toml", _empty, "settings"),
        ("hub", "tls/hub.pem", _empty, "certificate"),
        ("hub", "directory/metadata/timestamp.json", _empty, "directory"),
        ("vn", "keys/sign.pem", _expose, "key sign"),
        ("vn", "keys/sign.pem", _swap_for_jp, "directory"),
        ("vn", "keys/tls.pem", _swap_for_jp, "certificate"),
        ("vn", "tls/member.pem", Path.unlink, "certificate"),
        ("vn", "tls/authority.pem", _empty, "certificate"),
        ("vn", "directory/metadata/timestamp.json", Path.unlink, "directory"),
        ("vn", "member.toml", _empty, "settings"),
    ],
)
def test_what_is_broken_is_named_with_what_mends_it(
    network: Terminal, folder: str, file: str, break_: Callable[[Path], None], name: str
) -> None:
    break_(Path(folder) / file)

    said = network(f"doctor --dir {folder} --offline --json")

    assert said.code == Exit.FAILED
    assert marks(said)[name] == "bad"
    assert all(check["mend"] for check in said.json["checks"] if check["mark"] != "good")
    assert "→" in network(f"doctor --dir {folder} --offline").out


def test_a_node_that_has_not_joined_is_told_how(network: Terminal) -> None:
    join(network, "us")

    said = network("doctor --dir us")

    assert said.code == Exit.FAILED
    assert "halong member join" in said.out


def test_a_hub_out_of_reach_is_said_so(network: Terminal) -> None:
    said = network("doctor --dir vn --json")

    assert marks(said)["hub"] == "bad"


# --- audit --------------------------------------------------------------------------------------------


def test_a_hub_that_never_ran_has_nothing_to_count(network: Terminal) -> None:
    said = network("audit count hub")

    assert said.code == Exit.USAGE
    assert "no log" in said.err
