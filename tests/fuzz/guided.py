"""Fuzz one target, guided by which branches of the code an input reaches (atheris, LLVM's libFuzzer).

    python -m tests.fuzz.guided TARGET --runs 50000 --seed 1

Prints one JSON object when all inputs were tried.  An input that ends in anything but a value or a code,
takes more than ten seconds, or makes the process grow past its bound, ends it: libFuzzer prints the input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["broker", "adapters", "schemas"]):
    from tests.fuzz.targets import TARGETS, attempt

MOST_MEGABYTES = 512
MOST_SECONDS = 10


def most_megabytes() -> int:
    """Return the most memory that this program ever had; `getrusage` counts what its parent had, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def fuzz(name: str, runs: int, seed: int) -> None:
    """Try `runs` inputs, then end the process: libFuzzer does not come back."""
    target = TARGETS[name]
    started = time.monotonic()
    tried = accepted = 0

    def one(data: bytes) -> None:
        nonlocal tried, accepted
        tried += 1
        accepted += attempt(target, data)
        if tried == runs:
            report = {
                "target": name,
                "seed": seed,
                "inputs": tried,
                "accepted": accepted,
                "seconds": round(time.monotonic() - started, 1),
                "megabytes": most_megabytes(),
            }
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
            os._exit(0)

    with tempfile.TemporaryDirectory() as folder:
        for known in target.seeds:
            (Path(folder) / sha256(known).hexdigest()).write_bytes(known)
        settings = [
            sys.argv[0],
            f"-seed={seed}",
            f"-rss_limit_mb={MOST_MEGABYTES}",
            f"-timeout={MOST_SECONDS}",
            f"-max_len={max(4 * max(map(len, target.seeds)), 1024)}",
            f"-artifact_prefix={folder}/",
            "-verbosity=0",
            folder,
        ]
        atheris.Setup(settings, one)
        atheris.Fuzz()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    fuzz(given.target, given.runs, given.seed)


if __name__ == "__main__":
    main()
