"""docs/offline.md, typed line by line: a node that never touches the network sends and gets notices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker.demo.processes import Farm, free_port
from tests.networks import HUB, JP_VN, make
from tests.story.shell import Shell
from tests.story.test_first_day import PARCEL

pytestmark = pytest.mark.sockets

PAGE = (Path(__file__).parents[2] / "docs/offline.md").read_text(encoding="utf-8")
LINES = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines() if line
]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A hub and jp on the network, before vn is there."""
    with Farm() as farm:
        shell = Shell(tmp_path, farm)
        make(tmp_path, "jp", agreements=[JP_VN], hub=replace(HUB, port=free_port()))
        (tmp_path / "jp-vn-2026.toml").write_bytes(JP_VN)
        (tmp_path / "parcel.json").write_text(PARCEL)
        shell.run("halong hub --dir hub")
        yield shell


def state(shell: Shell, member: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = shell.ok(f"halong feed --dir {member} --json").json["items"]
    return found


def test_the_commands_of_the_page_bring_a_notice_out_and_another_in(shell: Shell) -> None:
    for line in LINES:
        if line.startswith("halong publish"):
            shell.run("halong member --dir jp")
            back = json.loads(PARCEL) | {"countries": ["JP", "VN"]}
            (shell.folder / "back.json").write_text(json.dumps(back))
            shell.ok("halong publish back.json --dir jp")
        said = shell.ok(line)
        assert "Traceback" not in said.err

    assert [item["reference"] for item in state(shell, "vn")] == ["halong:jp/asia-pacific/main/1"]
    shell.until(lambda: len(state(shell, "jp")) == 1)
    checks = shell.ok("halong doctor --offline --dir vn --json").json["checks"]
    assert next(check["found"] for check in checks if check["name"] == "outbox") == "1 proven"

    taken = shell.ok("halong feed import back.stick --dir vn --json").json
    assert (taken["proven"], taken["deliveries"]) == (0, 0)
    data = (shell.folder / "back.stick").read_bytes()
    (shell.folder / "back.stick").write_bytes(data[:-10])
    refused = shell("halong feed import back.stick --dir vn")
    assert refused.code == 1
    assert [line.split(":")[0] for line in refused.err.splitlines()] == ["error", "where", "next"]
    assert "[bad-stick]" in refused.err
    assert not (shell.folder / "carrier/keys/sign.pem").exists()
