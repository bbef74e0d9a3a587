"""The README's commands, run in its order by its words; only addresses and files are a test's own."""

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
from broker.demo.table import write_tables

ROOT = Path(__file__).parents[2]
RUNS_ON = ("halong hub --dir", "halong member --dir")
ASKS = (
    "halong init",
    "halong directory init",
    "halong hub take",
    "halong member invite",
    "halong member join",
    "halong member approve",
    "halong agreement accede",
)
SECONDS = 60

pytestmark = pytest.mark.sockets


def commands() -> Iterator[str]:
    """The lines of the README's shell blocks."""
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        yield from block.splitlines()


def here(command: str, port: int) -> list[str]:
    """The command with a test's address, the repository's files, and a yes to what it asks."""
    for ours, theirs in {
        "0.0.0.0:8443": f"127.0.0.1:{port}",
        "hub.example.org": "127.0.0.1",
        "deploy/": f"{ROOT}/deploy/",
        "broker/": f"{ROOT}/broker/",
    }.items():
        command = command.replace(ours, theirs)
    words = shlex.split(command)[1:]
    if command.startswith("halong init") or "invitation-" in command:
        words += ["--health-port", "0"]
    return halong(*words, *(["--yes"] if command.startswith(ASKS) else []))


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "NO_COLOR": "1"},
        check=False,
    )


def test_its_commands_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tables(tmp_path / "tables")
    (tmp_path / "tables/vn/declarations.csv").rename(tmp_path / "export.csv")
    monkeypatch.chdir(tmp_path)
    port = free_port()
    said = {}
    with Farm() as farm:
        for command in (line for line in commands() if line.startswith("halong")):
            if command.startswith(RUNS_ON):
                folder = tmp_path / command.split()[-1]
                service = farm.add(Service(folder.name, here(command, port), folder))
                service.start()
                service.await_ready()
                continue
            done = run(here(command, port))
            until = time.monotonic() + SECONDS
            # The running hub takes a member in within seconds of `take`: a person is slower than this test.
            while done.returncode and "doctor" in command and time.monotonic() < until:
                done = run(here(command, port))
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            said[command] = done.stdout

    doctor = said["halong doctor --dir vn"]
    assert "✓" in doctor
    assert "✗" not in doctor
    assert "= 24 in notices + 1 in the report" in said[next(line for line in said if "--from" in line)]
    assert said["halong audit count hub"].startswith("log verified")


def test_its_first_two_commands_are_the_makefiles() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert [line for line in commands() if line.startswith("make")] == ["make demo", "make test"]
    assert {"demo", "test"} <= targets


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "broker/DESIGN.md"])
def test_every_file_that_it_names_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    folder = (ROOT / document).parent
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]

    assert [link for link in links if not (folder / link).exists()] == []
