"""Every decoder, on inputs that nobody meant: a value or a code, never other bytes for the same value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.core import records
from broker.core.errors import HalongError
from broker.core.model import Header
from tests.faults import chance
from tests.fuzz.joining import APPLICATION, CSR, WELCOME
from tests.fuzz.targets import RECORDS, TARGETS, Target, attempt

ROOT = Path(__file__).parents[2]
ALL_INPUTS = 4_000_000
MOST_MEGABYTES = 256
LONGEST_SECONDS = 300


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Bytes that were in order, and are cut, changed, doubled or grown in a few places."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 9)))
        match draw(st.sampled_from(("change", "cut", "insert", "double"))):
            case "change":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del data[at:end]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=9))
            case _:
                data[end:end] = data[at:end]
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_what_is_damaged_ends_in_a_value_or_in_a_code(target: Target) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged(target.seeds))
    def check(data: bytes) -> None:
        attempt(target, data)

    check()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_fuzzing_begins_with_what_is_accepted(target: Target) -> None:
    assert any(attempt(target, seed) for seed in target.seeds)


def test_a_lenient_decoder_would_be_noticed() -> None:
    def lenient(data: bytes) -> bytes:
        return records.encode(records.decode(Header, data.removesuffix(b"more")))

    target = Target("lenient", lenient, RECORDS[Header])
    with pytest.raises(AssertionError, match="encodes differently"):
        attempt(target, RECORDS[Header][0] + b"more")


def test_a_decoder_that_breaks_would_be_noticed() -> None:
    with pytest.raises(UnicodeDecodeError):
        attempt(Target("text", lambda data: data.decode().encode(), (b"a",)), b"\xff")


@pytest.mark.parametrize(
    ("target", "data"),
    [
        ("join request", APPLICATION.replace(b'"halong', b'"\xff')),
        ("welcome", WELCOME.replace(b'"halong', b'"\xff')),
        ("welcome", WELCOME.replace(b"BEGIN CERTIFICATE", b"BEGIN CERTIFICATF", 1)),
        ("welcome", WELCOME.replace(b"BEGIN CERTIFICATE", b"BEGIN-CERTIFICATE")),
        ("JSON Feed", b'{"items":[],"next":1,"checkpoint":"\xff"}'),
        ("JSON Problem", b'{"code":"\xff","message":""}'),
        ("JSON Feed", b"[" * 100_000),
        ("certificate request", CSR[:60]),
    ],
    ids=range(8),  # keys sign by chance, and names of tests are the same in every process
)
def test_what_was_once_a_traceback_is_a_refusal(target: str, data: bytes) -> None:
    with pytest.raises(HalongError):
        TARGETS[target].again(data)


# --- the long count ---------------------------------------------------------------------------------------


def _guided(target: str, runs: int, seed: int) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.fuzz.guided", target, "--runs", str(runs), "--seed", str(seed)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    said = done.stdout.strip().splitlines()
    assert done.returncode == 0, f"{target}, seed {seed}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    report: dict[str, object] = json.loads(said[-1])
    return report


def _all_guided(runs: int, seed: int) -> Iterator[dict[str, object]]:
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from pool.map(lambda name: _guided(name, runs, seed), TARGETS)


@pytest.mark.soak
@pytest.mark.sockets  # it starts processes
@pytest.mark.skipif(sys.platform != "linux", reason="atheris is there for Linux alone")
def test_a_million_guided_inputs_end_in_a_value_or_in_a_code() -> None:
    runs = chance.scaled(ALL_INPUTS) // len(TARGETS)
    reports = list(_all_guided(runs, chance.seed()))
    for report in reports:
        print(json.dumps(report))
    assert sum(int(str(report["inputs"])) for report in reports) == runs * len(TARGETS)
    assert all(int(str(report["megabytes"])) < MOST_MEGABYTES for report in reports)
