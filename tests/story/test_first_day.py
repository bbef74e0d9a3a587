"""The first day of a network, typed as in the manual: from nothing to a notice that everybody can prove."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.configuration import load_node_config
from adapters.node import directory_source
from broker.demo.processes import Farm, free_port
from tests.story.shell import Shell

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parents[2]
AGREEMENTS = ROOT / "broker/demo/scenario/agreements"
PARCEL = """{
  "type": "drug-parcel", "countries": ["JP", "VN"], "subjects": ["hs:8471"],
  "notice": {"channel": "POST", "postal_item": "RN849807307VN",
             "narrative": {"language": "en", "text": "canary-of-the-first-day"}}
}"""


KEYS = " ".join(f"--key secretariat/keys/secretariat-{number}.pem" for number in (1, 2))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with Farm() as farm:
        yield Shell(tmp_path, farm)


def joins(shell: Shell, member: str, region: str, number: int) -> None:
    """Let a member in: invited, with keys of its own, approved by two, and welcomed."""
    shell.ok(
        f"halong member invite {member} --region {region} --dir secretariat --name", f"Customs of {member}"
    )
    line = f"halong member join secretariat/invitation-{member}.json --dir {member} --health-port 0"
    shell.ok(f"{line} --yes")
    shell.ok(f"halong member approve {member}/join-request.json --dir secretariat {KEYS} --yes")
    shell.ok(f"halong hub take secretariat/targets-{number}.json {member}/join-request.json --dir hub --yes")
    shell.ok(f"halong member join hub/welcomes/{member}.json --dir {member} --yes")


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub and the nodes of vn and jp under one agreement, of which nothing has run; not to be changed."""
    folder = tmp_path_factory.mktemp("typed")
    with Farm() as farm:
        shell = Shell(folder, farm)
        listen = f"127.0.0.1:{free_port()}"
        shell.ok(f"halong init hub hub --network halong-test --listen {listen} --health-port 0")
        shell.ok("halong directory init secretariat --hub hub/hub.json --yes")
        shell.ok("halong hub take secretariat/root-1.json secretariat/targets-1.json --dir hub --yes")
        for number, member in enumerate(("vn", "jp"), 2):
            joins(shell, member, "asia-pacific", number)
        for member in ("vn", "jp"):
            line = f"halong agreement accede {AGREEMENTS}/jp-vn-2026.toml --dir {member}"
            shell.ok(f"{line} -o {member}-accedes.json --yes")
        shell.ok("halong hub take vn-accedes.json jp-accedes.json --dir hub --yes")
    return folder


@pytest.fixture
def network(shell: Shell, typed: Path) -> Shell:
    """A hub and the nodes of vn and jp under one agreement, running."""
    shutil.copytree(typed, shell.folder, dirs_exist_ok=True)
    for line in ("halong hub --dir hub", "halong member --dir vn", "halong member --dir jp"):
        shell.run(line)
    (shell.folder / "parcel.json").write_text(PARCEL)
    return shell


def arrived(shell: Shell, member: str) -> int:
    return len(shell.ok(f"halong feed --dir {member} --json").json["items"])


def counts(shell: Shell, member: str, agreement: str) -> bool:
    """Say whether an agreement counts at a member's node."""
    found = shell.ok(f"halong agreement list --dir {member} --json").json["agreements"]
    return any(each["counts"] for each in found if each["agreement"] == agreement)


def counted(shell: Shell) -> dict[str, int]:
    found: dict[str, int] = shell.ok("halong audit count hub --json").json
    return found


def test_a_notice_goes_from_one_administration_to_another_and_anybody_can_prove_it(network: Shell) -> None:
    shell = network
    for folder in ("hub", "vn", "jp"):
        said = shell.ok(f"halong doctor --dir {folder}")
        assert "✗" not in said.out

    previewed = shell.ok("halong publish parcel.json --dir vn --dry-run")
    assert re.search(r"jp +facts identifiers entities persons +by jp-vn-2026/1", previewed.out)
    assert arrived(shell, "jp") == 0

    shell.ok("halong publish parcel.json --dir vn")
    shell.until(lambda: arrived(shell, "jp") == 1)

    (item,) = shell.ok("halong feed --dir jp --json").json["items"]
    assert item["reference"].endswith("vn/asia-pacific/main/1")
    assert item["slots"] == ["facts", "identifiers", "entities", "persons"]
    assert item["agreements"] == ["jp-vn-2026/1"]
    assert "vn/asia-pacific/main/1" in shell.ok("halong feed --dir jp").out

    (envelope,) = (shell.folder / "jp/inbox").rglob("*.envelope")
    config = load_node_config(shell.folder / "jp")
    copy = directory_source(config).load()
    key = copy.members["vn"].keys[0].public.raw.hex()
    line = f"halong inspect {envelope} --network halong-test --public-key"
    inspected = shell.ok(f"{line} {key} --json").json
    assert inspected["signature"] == "verified"
    assert inspected["withheld"] == ["intelligence", "attachments"]
    assert shell(f"{line} {copy.members['jp'].keys[0].public.raw.hex()}").code == 1
    assert shell(f"halong inspect {envelope}").code == 3

    shell.until(lambda: counted(shell)["receipts"] == {"delivered": 1})
    said = shell.ok("halong audit count hub")
    assert said.out.startswith("log verified")
    assert "canary-of-the-first-day" not in "".join(
        path.read_text(errors="replace") for path in (shell.folder / "jp").rglob("*") if path.is_file()
    )


def test_a_hub_that_is_killed_and_started_again_goes_on_where_it_was(network: Shell) -> None:
    shell, hub = network, network.farm.services["hub"]
    shell.ok("halong publish parcel.json --dir vn")
    hub.kill()
    shell.ok("halong publish parcel.json parcel.json --dir vn")
    checks = shell.ok("halong doctor --dir vn --offline --json").json["checks"]
    outbox = next(check["found"] for check in checks if check["name"] == "outbox")
    assert "waiting" in outbox or "signed" in outbox

    hub.start()
    hub.await_ready()

    shell.until(lambda: arrived(shell, "jp") == 3)
    shell.until(lambda: counted(shell)["receipts"] == {"delivered": 3})
    found = counted(shell)
    assert (found["published"], found["delivered"], found["refused"], found["log"]) == (3, 3, 0, "verified")


def test_services_end_well_when_they_are_asked_to(network: Shell) -> None:
    for service in network.farm.services.values():
        process = service._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, service.name
        log = (service.folder / "log.jsonl").read_text()
        assert "exception" not in log
        assert "Traceback" not in log


def test_a_second_one_on_the_same_folder_is_refused_and_harms_nobody(network: Shell) -> None:
    for line in ("halong hub --dir hub", "halong member --dir jp"):
        said = network(line)
        assert said.code in (2, 4), said.err
        what, where, following = said.err.splitlines()[-3:]
        assert (what[:7], where[:7], following[:6]) == ("error: ", "where: ", "next: ")

    network.ok("halong publish parcel.json --dir vn")
    network.until(lambda: arrived(network, "jp") == 1)


def test_a_member_that_comes_later_is_taken_in_while_all_runs(network: Shell) -> None:
    shell = network
    joins(shell, "nl", "europe", 4)
    shell.run("halong member --dir nl")
    for member in ("vn", "nl"):
        shell.ok(f"halong agreement accede {AGREEMENTS}/nl-vn-2026.toml --dir {member} --yes")
    for member in ("vn", "nl"):
        shell.until(lambda member=member: counts(shell, member, "nl-vn-2026"))  # type: ignore[misc]

    shell.ok("halong publish parcel.json --dir vn")
    shell.until(lambda: arrived(shell, "nl") == 1 and arrived(shell, "jp") == 1)

    (item,) = shell.ok("halong feed --dir nl --json").json["items"]
    assert (item["slots"], item["agreements"]) == (["facts"], ["nl-vn-2026/1"])
