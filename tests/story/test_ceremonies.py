"""The manual of ceremonies, typed as it stands, beside a hub and nodes that run; only addresses are ours."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.demo.processes import Farm, Service, free_port, halong
from tests.story.shell import Shell

ROOT = Path(__file__).parents[2]
RUNS_ON = ("halong hub --dir", "halong member --dir")
NEVER_ASK = ("halong directory show", "halong key show", "halong key backup", "halong key make")
SECONDS = 60

pytestmark = pytest.mark.sockets


def commands() -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "docs/ceremonies.md").read_text(), re.DOTALL):
        yield from block.splitlines()


def here(command: str, port: int) -> list[str]:
    for ours, theirs in {
        "0.0.0.0:8443": f"127.0.0.1:{port}",
        "hub.example.org": "127.0.0.1",
        "broker/": f"{ROOT}/broker/",
        "--passphrase-fd 3": "--passphrase-fd 0",
    }.items():
        command = command.replace(ours, theirs)
    words = shlex.split(command)[1:]
    if command.startswith("halong init") or "invitation-" in command:
        words += ["--health-port", "0"]
    return halong(*words, *([] if command.startswith(NEVER_ASK) else ["--yes"]))


def handed_over(folder: Path) -> None:
    """Wait until no node has a change that the hub has not taken, and every node has what the hub has."""
    deadline = time.monotonic() + SECONDS
    while list(folder.glob("*/directory/own-change.json")):
        assert time.monotonic() < deadline, "a change is not taken"
        time.sleep(0.05)


def test_every_command_of_the_manual_does_what_it_says(tmp_path: Path) -> None:
    port, said = free_port(), {}
    with Farm() as farm:
        for command in commands():
            handed_over(tmp_path)
            if command.startswith(RUNS_ON):
                folder = tmp_path / command.split()[-1]
                service = farm.add(Service(folder.name, halong(*command.split()[1:-1], str(folder)), folder))
                service.start()
                service.await_ready()
                continue
            done = subprocess.run(
                here(command, port),
                cwd=tmp_path,
                input="correct horse battery\n",
                capture_output=True,
                text=True,
                timeout=SECONDS,
                env={**os.environ, "NO_COLOR": "1"},
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            said[command] = done.stdout
        shell = Shell(tmp_path, farm)
        version = shell.ok("halong directory show --dir hub --json").json
        assert list(version["members"]) == ["vn"]
        assert version["members"]["vn"]["agreements"] == ["jp-vn-2026/1"]
        shown = said["halong directory show --dir hub"]
        assert "Viet Nam Customs" in shown
        assert "Japan Customs" in shown
        restored = (tmp_path / "vn-restored/keys/sign.pem").read_bytes()
        assert restored == (tmp_path / "vn-again/keys/sign.pem").read_bytes()
