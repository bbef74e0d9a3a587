"""A service manager that asked to be told hears when a process is ready, that it lives, and that it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.sockets

PROGRAM = """
import asyncio
from broker.running import READY, run_until_stopped, tell_manager

async def main():
    tell_manager(READY)
    await asyncio.Event().wait()

run_until_stopped(main())
"""
SECONDS = 20


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind("\0" + address[1:] if address.startswith("@") else address)
        hears.settimeout(SECONDS)
        yield hears


def start(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env={**os.environ, **environment})


@pytest.mark.parametrize("abstract", [False, True])
def test_it_hears_of_the_start_of_every_turn_and_of_the_end(tmp_path: Path, abstract: bool) -> None:
    address = f"@halong-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with manager(address) as hears:
        process = start(NOTIFY_SOCKET=address, WATCHDOG_USEC="100000")
        heard = [hears.recv(100) for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        hears.settimeout(0.5)
        while heard[-1] != b"STOPPING=1":
            heard.append(hears.recv(100))

    assert heard[:2] == [b"WATCHDOG=1", b"READY=1"]
    assert set(heard[2:-1]) == {b"WATCHDOG=1"}


@pytest.mark.parametrize("given", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_nobody_need_hear_it(given: dict[str, str]) -> None:
    process = start(WATCHDOG_USEC="50000", WATCHDOG_PID="1", **given)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)

    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0
