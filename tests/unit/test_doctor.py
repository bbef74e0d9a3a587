"""Lines of the doctor's checklist, and the command in each that mends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.configuration import load_node_config
from adapters.store import Store
from broker.cli import halong
from broker.clock import SystemClock
from broker.commands.checklist import Mark, check_clock, check_versions
from broker.commands.hub_folder import AUTHORITY_KEY, renew
from broker.configuration import load_hub_config
from broker.core.directory import Use
from broker.demo.network import Network
from broker.directory.certificates import issue, make_hub_certificate, make_request, read_certificate
from broker.files import write_whole
from broker.moments import local
from broker.terminal import run
from tests.networks import copied

DAY = 86_400_000
NOW = 1_790_000_000_000

Doctor = Callable[..., dict[str, Any]]


@pytest.fixture
def doctor(
    tmp_path: Path,
    made_network: Network,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doctor:
    """What the doctor says of a folder, by the names of its lines: a hub, and vn which never ran."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")

    def type_(line: str, *more: str) -> str:
        assert run(halong, [*line.split(), *more]) in (0, 1)
        return capsys.readouterr().out

    copied(made_network, tmp_path)

    def ask(folder: str) -> dict[str, Any]:
        said = json.loads(type_(f"doctor --dir {folder} --offline --json"))
        return {check["name"]: check for check in said["checks"]}

    return ask


@pytest.mark.parametrize(
    ("ahead", "mark"),
    [
        (0, Mark.GOOD),
        (29_000, Mark.GOOD),
        (-31_000, Mark.WARNING),
        (299_000, Mark.WARNING),
        (-300_000, Mark.BAD),
    ],
)
def test_a_clock_is_judged_by_what_the_hub_would_refuse(ahead: int, mark: Mark) -> None:
    check = check_clock(NOW + ahead, NOW, "the hub")

    assert check is not None
    assert check.mark is mark
    assert bool(check.mend) is (mark is not Mark.GOOD)


def test_a_hub_that_tells_no_time_tells_nothing_of_clocks() -> None:
    assert check_clock(NOW, None, "the hub") is None


def certificate_until(folder: Path, days: int) -> None:
    """Give the hub a certificate that ends in so many days."""
    config = load_hub_config(folder)
    past = SystemClock().now() - (825 - days) * DAY
    certificate = make_hub_certificate(
        config.network,
        "127.0.0.1",
        config.path(config.keys.tls).read_bytes(),
        config.path(config.keys.authority).read_bytes(),
        (folder / AUTHORITY_KEY).read_bytes(),
        past,
    )
    write_whole(config.path(config.keys.certificate), certificate)


def test_a_certificate_that_ends_soon_is_renewed_with_the_same_key(doctor: Doctor, tmp_path: Path) -> None:
    certificate_until(tmp_path / "hub", 10)
    before = read_certificate((tmp_path / "hub/tls/hub.pem").read_bytes())
    found = doctor("hub")["certificate"]
    assert (found["mark"], found["mend"].split(",")[0]) == ("warning", "halong hub renew --dir hub")

    renew(tmp_path / "hub", SystemClock().now())

    after = read_certificate((tmp_path / "hub/tls/hub.pem").read_bytes())
    assert after.key == before.key
    assert doctor("hub")["certificate"]["mark"] == "good"


def test_a_member_whose_certificate_ends_soon_is_named_at_the_hub(doctor: Doctor, tmp_path: Path) -> None:
    config = load_hub_config(tmp_path / "hub")
    key = (tmp_path / "vn/keys/tls.pem").read_bytes()
    certificate = issue(
        make_request(config.network, "vn", key),
        config.network,
        config.path(config.keys.authority).read_bytes(),
        (tmp_path / "hub" / AUTHORITY_KEY).read_bytes(),
        SystemClock().now() - 720 * DAY,
    )
    (issued,) = (tmp_path / "hub/tls/issued").glob("vn*.pem")
    write_whole(issued, certificate)

    found = doctor("hub")["certificate vn"]

    assert found["mark"] == "warning"
    assert found["mend"].startswith("halong hub take")


@pytest.mark.parametrize("folder", ["hub", "vn"])
def test_a_key_for_notices_that_ends_soon_is_named(doctor: Doctor, tmp_path: Path, folder: str) -> None:
    network = Network(tmp_path)
    now = SystemClock().now()
    entry = network.newest().version.listings["vn"].member
    keys = tuple(
        replace(key, valid_until=now + 5 * DAY) if key.use is Use.SIGN else key for key in entry.keys
    )
    network.change(replace(entry, keys=keys), now)
    network.welcome(["vn"])

    found = doctor(folder)

    line = found["key of vn"] if folder == "hub" else found["directory"]
    assert line["mark"] == "warning"
    assert "4 days" in line["found"]


@pytest.mark.parametrize(("days", "mark"), [(0, "good"), (2, "warning"), (32, "bad")])
def test_a_directory_that_came_by_stick_counts_for_longer(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, days: int, mark: str
) -> None:
    later = SimpleNamespace(now=lambda: SystemClock().now() + days * DAY)
    monkeypatch.setattr("broker.commands.node_health.SystemClock", lambda: later)

    assert doctor("vn")["directory"]["mark"] == mark


def test_a_store_that_others_may_read_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    path = load_node_config(tmp_path / "vn").store_path
    Store.open(path).close()
    assert doctor("vn")["store"]["mark"] == "good"

    path.chmod(0o644)

    found = doctor("vn")["store"]
    assert (found["mark"], found["mend"]) == ("bad", f"chmod 600 {path.relative_to(tmp_path)}")


def test_libraries_without_assertions_are_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    optimized = SimpleNamespace(flags=SimpleNamespace(optimize=1), version_info=(3, 11, 0))
    monkeypatch.setattr("broker.commands.checklist.sys", optimized)

    check = check_versions()

    assert check.mark is Mark.BAD
    assert "PYTHONOPTIMIZE" in check.mend


def test_what_channels_and_feedback_wait_for_is_said_with_its_command(doctor: Doctor, tmp_path: Path) -> None:
    config = load_node_config(tmp_path / "vn")
    (name,) = config.channels
    with Store.open(config.store_path) as store, store.write():
        store.run("INSERT INTO channels (name, statuses, place, paused) VALUES (?, 2, 0, 1)", name)
        id_ = b"." * 32
        store.run(
            "INSERT INTO deliveries VALUES (?, 1, 'l', 1, ?, NULL, NULL, 'delivered', NULL, ?, 0, ?, 1, 0)",
            id_, id_, b"", b"",
        )  # fmt: skip
        store.run(
            "INSERT INTO shared VALUES (?, 'vn', 'jp', ?, 'r', 'sighting', 1, '', 0, 1, NULL, NULL, 0)",
            id_,
            id_,
        )
    found = doctor("vn")
    assert found[f"channel {name}"]["mend"] == f"halong channel resume {name} --dir vn"
    assert found["feedback"]["found"] == "1 overdue of 1"

    with Store.open(config.store_path) as store, store.write():
        store.run("INSERT INTO letters VALUES (?, ?, 1, 'channel-refused', 1, 1)", name, id_)

    assert doctor("vn")[f"channel {name}"]["mend"].startswith(f"halong channel dead {name}")


def test_what_waits_for_a_channel_that_was_taken_out_is_not_passed_over(
    doctor: Doctor, tmp_path: Path
) -> None:
    with Store.open(load_node_config(tmp_path / "vn").store_path) as store, store.write():
        store.run("INSERT INTO channels (name, statuses, place) VALUES ('fax', 2, 0)")
    assert doctor("vn")["channel fax"]["mark"] == "good"
    with Store.open(load_node_config(tmp_path / "vn").store_path) as store, store.write():
        store.run(
            "INSERT INTO deliveries VALUES (?, 1, 'l', 1, ?, NULL, NULL, 'checked', NULL, ?, 0, ?, 1, 0)",
            b"." * 32, b"." * 32, b"", b"",
        )  # fmt: skip
        store.run("INSERT INTO queue (delivery, status) VALUES (?, 1)", b"." * 32)
    found = doctor("vn")["channel fax"]
    assert found["mark"] == "warning"
    assert "no longer in member.toml: 1 wait" in found["found"]
    assert "halong channel forget fax --dir vn" in found["mend"]


def test_what_too_few_members_have_cosigned_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    with Store.open(tmp_path / "vn" / "node.db") as store:
        store.remember(cosigned_quorum=2, cosigned_size=70)
        assert doctor("vn")["witnesses"]["mark"] == "good"
        assert "2 members cosigned 70 leaves" in doctor("vn")["witnesses"]["found"]
        store.remember(uncovered_since=SystemClock().now() - 600_000)
        line = doctor("vn")["witnesses"]
    assert line["mark"] == "bad"
    assert "for 10 minutes" in line["found"]
    assert "docs/log.md" in line["mend"]


def test_up_to_where_an_inbox_is_whole_is_said_with_the_time_of_the_head(
    doctor: Doctor, tmp_path: Path
) -> None:
    assert doctor("vn")["node"]["found"] == "it never ran"
    with Store.open(tmp_path / "vn" / "node.db") as store:
        assert doctor("vn")["inbox"]["found"] == "nothing arrived"
        store.remember(head_place=1_200, whole_at=NOW)
        found = doctor("vn")["inbox"]["found"]
    assert "nothing is missing up to place 1,200" in found
    assert local(NOW) in found
