"""The member's own systems: programs in four languages through the local API of real nodes, and `--wait`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters import SyncClient
from broker.clock import SystemClock
from broker.demo.processes import Farm, free_port
from tests.foreign.programs import program
from tests.networks import HUB, JP_VN, accede, make, plan
from tests.story.shell import SECONDS, Shell

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy/examples/sdk"
PARCEL = {
    "type": "drug-parcel",
    "countries": ["JP", "VN"],
    "subjects": ["hs:8471"],
    "notice": {"channel": "POST", "postal_item": "RN849807307VN"},
}


class Network(Shell):
    """A hub and the nodes of vn and jp, running, each with its local API."""

    ports: dict[str, int]

    def url(self, member: str) -> str:
        return f"http://127.0.0.1:{self.ports[member]}"

    def program(self, *command: str | Path, fails: bool = False) -> str:
        """Run a program of an example, and return what it printed."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, "NO_COLOR": "1"},
            check=False,
        )
        assert (done.returncode != 0) is fails, f"{done.stdout}\n{done.stderr}"
        return done.stderr if fails else done.stdout


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Farm() as farm:
        shell = Network(tmp_path_factory.mktemp("network"), farm)
        shell.ports = {"vn": free_port(), "jp": free_port()}
        made = make(shell.folder, hub=replace(HUB, port=free_port()))
        plans = [replace(plan(member), api_port=port) for member, port in shell.ports.items()]
        made.admit(plans, SystemClock().now())
        accede(made, JP_VN)
        made.welcome(shell.ports)
        for line in ("halong hub --dir hub", "halong member --dir vn", "halong member --dir jp"):
            shell.run(line)
        (shell.folder / "parcel.json").write_text(json.dumps(PARCEL))
        unfit = {**PARCEL, "notice": {"channel": "BY_FOOT"}}
        (shell.folder / "unfit.json").write_text(json.dumps(unfit))
        yield shell


def test_python_publishes_follows_and_answers(network: Network) -> None:
    twice = [network.program(sys.executable, EXAMPLES / "publish_and_follow.py", "vn") for _ in range(2)]
    (reference,) = {next(word for word in said.split() if word.startswith("halong:")) for said in twice}

    assert "jp gets ['facts', 'identifiers', 'entities', 'persons']" in twice[0]
    assert all(f"delivered {reference} to 1 of 1" in said for said in twice)

    assert " recipient: " in network.program(sys.executable, EXAMPLES / "publish_and_follow.py", "jp", "0")

    answered = [network.program(sys.executable, EXAMPLES / "answer.py", "jp", "place") for _ in range(2)]
    assert f" {reference} drug-parcel" in answered[0]
    assert f"answered {reference}" in answered[0]
    assert answered[1] == ""


def test_the_first_programs_of_the_manual_run(network: Network) -> None:
    manual = (ROOT / "docs/api.md").read_text()
    python = re.findall(r"```python\n(.*?)```", manual, re.DOTALL)[0]
    shell = re.findall(r"```sh\n(.*?)```", manual, re.DOTALL)[0]
    shell = shell.replace("http://127.0.0.1:8446", network.url("vn")).replace("deploy/", f"{ROOT}/deploy/")

    said = network.program(sys.executable, "-c", python)
    answers = network.program("sh", "-ec", shell)

    assert said.splitlines()[0] == "jp ['facts', 'identifiers', 'entities', 'persons'] None"
    assert "stage='delivered'" in said
    assert '"known":false' in answers
    assert answers.endswith('"more":false}')


def test_node_js_publishes_and_reads_from_the_description_alone(network: Network) -> None:
    node = program("node", "Node.js 20 or later")
    example = EXAMPLES / "halong.mjs"
    publish = (node, example, "publish", network.url("vn"), "vn/api.token")

    first, again = [network.program(*publish, "parcel.json", "js/1").split() for _ in range(2)]
    reading = (node, example, "read", network.url("jp"), "jp/api.token")
    read = network.program(*reading).splitlines()
    place = [line.split()[1] for line in read if first[1] in line]

    assert first[0] in ("delivered", "acknowledged")
    assert first[1:] == again[1:]
    assert len(place) == 1
    assert first[1] not in network.program(*reading, place[0])
    assert "bad-slot channel" in network.program(*publish, "unfit.json", fails=True)
    stranger = (node, example, "read", network.url("vn"), "jp/api.token")
    assert "not-authorised" in network.program(*stranger, fails=True)


def test_curl_publishes_and_reads(network: Network) -> None:
    example = EXAMPLES / "halong.sh"
    publish = ("sh", example, "publish", network.url("vn"), "vn/api.token")

    first, again = [network.program(*publish, "parcel.json", "sh/1").split() for _ in range(2)]
    reading = ("sh", example, "read", network.url("jp"), "jp/api.token", "place-of-the-shell")
    read, more = [network.program(*reading) for _ in range(2)]

    assert first[0] in ("delivered", "acknowledged")
    assert first[1:] == again[1:]
    assert read.count(f" {first[1]} ") == 1
    assert more == ""
    assert "bad-slot channel" in network.program(*publish, "unfit.json", fails=True)


def test_publish_waits_and_tells_each_stage(network: Network) -> None:
    said = network.ok("halong publish parcel.json --dir vn --wait --json --timeout 30").out
    events = [json.loads(line) for line in said.splitlines()]
    (queued,) = events[0]["notices"]
    stages = [event["stage"] for event in events[1:]]
    order = ["queued", "signed", "durable", "decided", "proven", "delivered", "acknowledged"]

    assert {event["id"] for event in events[1:]} == {queued["queued"]}
    assert stages == sorted(stages, key=order.index)
    assert (stages[0], stages[-1]) == ("queued", "delivered")
    assert (events[-1]["receivers"], events[-1]["delivered"], events[-1]["rejected"]) == (1, 1, 0)
    assert "delivered: of 1, 1 have it" in network.ok("halong publish parcel.json --dir vn --wait").out


def test_a_wait_that_is_too_short_says_so_and_nothing_is_lost(network: Network) -> None:
    node = network.farm.services["vn"]
    node.kill()
    said = network("halong publish parcel.json --dir vn --wait --timeout 0.5")
    assert said.code == 4
    assert "nothing is lost" in said.err
    id_ = network.ok("halong publish parcel.json --dir vn --json").json["notices"][0]["queued"]
    node.start()
    node.await_ready()

    with SyncClient.of_node(network.folder / "vn") as client:
        network.until(lambda: client.notice(id_).stage in ("delivered", "acknowledged"))
