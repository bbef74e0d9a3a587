"""Calls in a thread aside: their results come back, and one that stalls holds up nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.aside import Aside, Stalled
from broker.demo.network import Network
from tests.networks import hub_of

SECONDS = 20.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_what_the_call_returns_or_raises_comes_back() -> None:
    aside = Aside("the folder", SECONDS)

    assert await aside.call(int, "17") == 17
    with pytest.raises(ValueError, match="invalid literal"):
        await aside.call(int, "x")
    assert await aside.call(int, "18") == 18


async def test_a_call_that_stalls_is_given_up_and_not_made_again(gate: threading.Event) -> None:
    aside = Aside("the folder", 0.01)
    calls = []

    def stall() -> None:
        calls.append(1)
        gate.wait()

    for _ in range(3):
        with pytest.raises(Stalled, match="the folder"):
            await aside.call(stall)

    assert len(calls) == 1


async def test_after_a_stall_it_goes_on(gate: threading.Event) -> None:
    aside = Aside("the folder", 0.01)
    with pytest.raises(Stalled):
        await aside.call(gate.wait)

    gate.set()

    async with asyncio.timeout(SECONDS):
        while True:
            try:
                assert await aside.call(int, "17") == 17
            except Stalled:
                await asyncio.sleep(0)
            else:
                return


async def test_whoever_waits_can_be_cancelled(gate: threading.Event) -> None:
    aside = Aside("the folder", SECONDS)
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        waiting = group.create_task(aside.call(gate.wait))
        await asyncio.sleep(0)
        waiting.cancel()


@pytest.mark.sockets
def test_a_hub_whose_directory_stalls_still_ends_when_it_is_told_to(
    tmp_path: Path, made_network: Network
) -> None:
    """The next look at the folder, two seconds after the start, never comes back."""
    folder = hub_of(made_network, tmp_path / "hub")
    program = (
        "import itertools, sys, threading\n"
        "from broker.cli import main\n"
        "from broker.directory.signed import SignedDirectory\n"
        "load, looks = SignedDirectory.load, itertools.count()\n"
        "def stalls(self):\n"
        "    if next(looks):\n"
        "        print('stalled', flush=True)\n"
        "        threading.Event().wait()\n"
        "    return load(self)\n"
        "SignedDirectory.load = stalls\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, "hub", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as hub:
        try:
            assert hub.stdout is not None
            assert hub.stdout.readline().startswith("ready")
            assert hub.stdout.readline() == "stalled\n"
            os.kill(hub.pid, signal.SIGTERM)
            assert hub.wait(SECONDS) == 0
        finally:
            hub.kill()
