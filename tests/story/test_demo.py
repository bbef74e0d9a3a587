"""The demo, from its first line to its last, on both engines: what it says is what lies in its folder."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from broker.configuration import load_hub_config
from broker.demo.processes import halong
from broker.demo.setting import CAST
from broker.demo.table import write_csv
from tests.story.explained import explain_all

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parents[2]
MAP = ROOT / "deploy/examples/maps/declarations.toml"
SUMMARY = re.compile(r"demo: (\d+) published, (\d+) delivered, (\d+) refused, (\d+) leaves, log verified")
SECONDS = 240
CANARY = "CANARY-TRADER"
DISK = ("unsigned", "mixed", "rolled-back", "withheld", "equivocation", "pin", "expired")
"""Codes in which attacks on the hub's own disk end at the members' nodes."""

MEMBERS = [role.id for role in CAST]

Play = Callable[..., "subprocess.CompletedProcess[str]"]


def play(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        halong("demo", *words),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "NO_COLOR": "1", **environment},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def answer(*words: str, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(play(*words, "--json", **environment).stdout)
    assert all(finding["held"] for finding in found["findings"])
    return found


def inboxes(folder: Path) -> Counter[str]:
    """How many deliveries lie in each member's inbox folder."""
    return Counter({member: len(list((folder / member / "inbox").rglob("*.json"))) for member in MEMBERS})


def declarations(path: Path, count: int) -> Path:
    """A table like the published declarations: every second row is flagged, one has no country."""
    rows = [
        {
            "Declaration ID": f"{30000000 + number}",
            "Date": "2026-02-03",
            "Office ID": "40",
            "Mode of Transport": "10",
            "Declarant ID": "AB12345",
            "Importer ID": CANARY,
            "Seller ID": "",
            "Courier ID": "",
            "HS6 Code": "391510",
            "Country of Departure": "ZZ" if number == 4 else "NL",
            "Country of Origin": "CN",
            "Tax Rate": "8.0",
            "Net Mass": "12.5",
            "Item Price": "681.5999999999998",
            "Fraud": "1" if number % 2 == 0 else "0",
            "Critical Fraud": "1" if number % 2 == 0 else "0",
        }
        for number in range(count)
    ]
    write_csv(path, rows)
    return path


def test_the_demo_shows_nine_acts_and_ends_with_the_count_of_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "demo"

    done = play("--keep", str(folder))

    assert re.findall(r"^[0-9]  (.+)$", done.stdout, re.MULTILINE) == [
        "who is a member, and who says so",
        "one notice, four views",
        "an agreement decides",
        "what only one side lists counts for nothing",
        "one side leaves",
        "attacks",
        "the hub's own disk, in other hands",
        "the hub dies",
        "the log proves it",
    ]
    assert "✗" not in done.stdout
    found = SUMMARY.fullmatch(done.stdout.splitlines()[-1])
    assert found is not None
    published, delivered, refused, leaves = map(int, found.groups())
    assert inboxes(folder).total() == delivered
    assert published > 100
    assert refused == 4
    assert leaves > published + delivered


def test_five_processes_have_five_stores_and_nothing_that_is_withheld_is_where_it_may_not_be(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "demo"
    table = declarations(tmp_path / "t.csv", 20)

    said = answer("--keep", str(folder), "--from", str(table), "--map", str(MAP))

    assert (folder / "hub/log.db").exists()
    for member in MEMBERS:
        assert (folder / member / "node.db").exists()
        for key in (folder / member / "keys").iterdir():
            assert holders(folder, key.read_bytes().splitlines()[1]) == {member}
    # Traders go to nl by nl-vn-2026, item numbers of parcels to jp by jp-vn-2026, and to nobody else.
    item = (folder / "vn/parcels.csv").read_text().splitlines()[1].split(",")[3]
    assert holders(folder, CANARY.encode()) == {"vn", "hub", "nl"}
    assert holders(folder, item.encode()) == {"vn", "hub", "jp"}
    for log in folder.rglob("log.jsonl"):
        assert CANARY not in log.read_text()
        assert item not in log.read_text()
    shows_who_signed(said, folder)
    shows_that_both_sides_must_list(said, folder)
    assert said["leaving"]["came_before"] == said["leaving"]["before"] > 0
    assert (said["leaving"]["came_after"], said["leaving"]["after"]) == (0, 4)
    refused = {each["answered"] for each in said["attacks"] if each["by"] != "the hub"}
    assert refused == {f"directory-{code}" for code in DISK}
    # Every delivery and every non-delivery has its grants or its clause, as the log shows it.
    found = asyncio.run(explain_all(folder, MEMBERS))
    assert found.otherwise == []
    assert found.given == sum(inboxes(folder).values())
    assert found.withheld > 0
    assert found.at_nodes > found.given
    assert (said["explained"]["given"], said["explained"]["withheld"]) == (found.given, found.withheld)
    assert said["explained"]["versions"] >= 3


def shows_who_signed(said: dict[str, Any], folder: Path) -> None:
    """What the first act says of signatures stands in the hub's own files."""
    metadata = folder / "hub/directory/metadata"
    for role, fact in (("root", "root_signatures"), ("targets", "secretariat_signatures")):
        newest = max(metadata.glob(f"*.{role}.json"), key=lambda path: int(path.name.partition(".")[0]))
        assert len(json.loads(newest.read_text())["signatures"]) == said["directory"][fact]
    assert said["directory"]["root_signatures"] >= 3
    assert said["directory"]["secretariat_signatures"] == 2
    assert said["directory"]["members"] == {"jp": 3, "nl": 2, "rilo-ap": 1, "vn": 3}


def shows_that_both_sides_must_list(said: dict[str, Any], folder: Path) -> None:
    """What rilo-ap has of waste by the agreement that it acceded to late is all of what came later."""
    told = said["accession"]
    assert told["came_before"] == 0 < told["before"]
    assert told["came_after"] == told["after"] > 0
    assert 0 < told["seconds_to_force"] < told["seconds_to_notice"] < 60
    came = [each for each in arrivals(folder) if each[0] == "rilo-ap" and "nl-rilo-ap-2026" in each[-1]]
    assert len(came) == told["after"]


def holders(folder: Path, secret: bytes) -> set[str]:
    """In whose folder something lies."""
    found = [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]
    return {path.relative_to(folder).parts[0] for path in found}


def test_a_kept_folder_publishes_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    table = declarations(tmp_path / "table.csv", 61)
    words = ("--keep", str(folder), "--from", str(table), "--map", str(MAP))

    first, second = answer(*words), answer(*words)

    for said, queued in ((first, 30), (second, 0)):
        (own,) = [each for each in said["tables"] if each["table"] == str(table)]
        assert (own["flagged"], own["notices"], own["queued"], own["reported"]) == (31, 30, queued, 1)
    assert not any(each["queued"] for each in second["tables"])
    assert (second["published"], second["delivered"]) == (first["published"], first["delivered"])
    assert inboxes(folder).total() == first["delivered"]
    for name in ("before", "came_before", "after", "came_after"):
        assert second["accession"][name] == first["accession"][name]
    assert second["explained"] == first["explained"]


def test_without_an_agreement_exactly_its_deliveries_are_missing(tmp_path: Path) -> None:
    whole, less = tmp_path / "whole", tmp_path / "less"
    answer("--keep", str(whole))
    answer("--keep", str(less), "--without", "jp-nl-2026")

    assert arrivals(less) == Counter(
        {arrival: 1 for arrival in arrivals(whole) if arrival[-1] != ("jp-nl-2026",)}
    )
    assert any(arrival[-1] == ("jp-nl-2026",) for arrival in arrivals(whole))


def arrivals(folder: Path) -> Counter[tuple[str, str, str, tuple[str, ...]]]:
    """Who got which notice from whom, and under which agreements."""
    return Counter(
        (member, said["reference"], said["type"], tuple(ground["agreement"] for ground in said["grounds"]))
        for member in MEMBERS
        for path in (folder / member / "inbox").rglob("*.json")
        for said in [json.loads(path.read_text())]
    )


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    # Whoever runs these tests in the background ignores it, and what they start would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    demo = subprocess.Popen(
        halong("demo", "--keep", str(folder)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    pids: list[int] = []
    for line in demo.stdout:
        pids = [int(pid) for pid in re.findall(r"(?:hub|vn|jp|nl|rilo-ap) (\d+)", line)]
        if pids:
            break
    assert len(pids) == 5

    demo.send_signal(signal.SIGINT)
    # As a terminal does: what it still says while it stops has somebody who reads it.
    demo.stdout.read()
    demo.stdout.close()

    assert demo.wait(60) == 130
    deadline = time.monotonic() + 20
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(pids) == []


def alive(pids: list[int]) -> list[int]:
    """Which of the processes are there and run."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            found.append(pid)
    return found


def test_without_kafka_it_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        halong("demo", "--engine", "kafka", "--keep", str(tmp_path / "demo")),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": str(tmp_path), "KAFKA_BOOTSTRAP": "", "NO_COLOR": "1"},
        check=False,
    )

    assert done.returncode == 4
    assert "Java" in done.stderr.splitlines()[-1]


@pytest.mark.kafka
def test_on_kafka_it_is_the_same_and_a_foreign_consumer_counts_the_same(tmp_path: Path, kafka: str) -> None:
    folder = tmp_path / "demo"

    said = answer("--keep", str(folder), "--engine", "kafka", KAFKA_BOOTSTRAP=kafka)

    assert said["log"] == "verified"
    assert said["accession"]["came_after"] == said["accession"]["after"] > 0
    assert said["leaving"]["came_after"] == 0 < said["leaving"]["after"]
    assert inboxes(folder) == Counter(said["members"])
    prefix = load_hub_config(folder / "hub").log.rpartition("/")[2]
    for member in MEMBERS:
        assert len(consumed(kafka, f"{prefix}.inbox.{member}")) == said["members"][member]


def consumed(bootstrap: str, topic: str) -> set[bytes]:
    """The keys in a topic, read by a consumer that imports nothing of ours."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "foreign",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    keys: set[bytes] = set()
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while (message := consumer.poll(30)) is not None and message.error() is None:
            key = message.key()
            assert key is not None
            keys.add(key)
    finally:
        consumer.close()
    return keys
