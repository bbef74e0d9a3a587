"""Take each check away in turn: a test must turn red.

    python -m tests.mutants [--only PART_OF_A_PATH …] [--jobs N] [--page] [--covering FOLDER]

Measures first which tests reach which line (none of Kafka, no long count), then runs only those against each
changed copy, the quickest first; what none reaches is unnoticed.  What was measured is kept in the folder of
`--covering`, and is taken from there as long as no file of code or tests is younger.  Prints a table; with
`--page` into docs/checks.md, where the tables of other files stay.  Ends with 1 if a check can be taken away
unnoticed and `reasons.toml` does not say why that is right.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.checks import ROOT, Check, all_checks
from tests.mutants.covering import FOLDER, Covering, read_covering
from tests.mutants.page import Result, write_page

FOLDERS = ("tests/vectors", "tests/unit", "tests/attacks", "tests/faults")
MARKS = "not kafka and not soak"
SECONDS = 300
MEASURING_SECONDS = 3600
MEMORY_BYTES = 4 << 30
"""Without its check code may take all that there is; a test that gets no more of it turns red."""
KEPT = "measured.txt"
"""In the folder of what was measured: where the copy was, and tests that are of no use."""
PIECE = 400
PIECE_SECONDS = 30
"""So many tests at once, and of so many seconds: the first piece of quick ones notices most mutants."""
REASONS = Path(__file__).with_name("reasons.toml")


def pytest_in(
    copy: Path, arguments: Sequence[str], seconds: int = SECONDS, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest in a copy of the tree, on its code alone."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    environment = {
        "PYTHONPATH": str(copy),
        "PYTHONPYCACHEPREFIX": "",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(copy / ".h"),
    }
    return subprocess.run(
        [*command, *arguments],
        cwd=copy,
        env={**os.environ, **environment, **more},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def measured(copy: Path, folder: Path) -> Covering:
    """Run the quick tests once on the unchanged copy, unless the folder has what they reached.

    Raises:
        SystemExit: They are red without any change.
    """
    kept = folder / KEPT
    if kept.exists() and kept.stat().st_mtime > max(path.stat().st_mtime for path in copy.rglob("*.py")):
        root, *red = kept.read_text().splitlines()
        return read_covering(folder, Path(root)).without(red)
    arguments = ["-p", "tests.mutants.covering", *FOLDERS, "-m", MARKS]
    run = pytest_in(copy, arguments, MEASURING_SECONDS, **{FOLDER: str(folder)})
    red = re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    # Measuring itself may turn a test red: one that looks at what is imported, or at a traceback.
    if run.returncode and (not red or pytest_in(copy, red).returncode):
        raise SystemExit(f"the tests are red before anything is taken away:\n{run.stdout[-2000:]}")
    kept.write_text("\n".join([str(copy), *red]))
    return read_covering(folder, copy).without(red)


def caught_by(check: Check, copy: Path, covering: Covering) -> str | None:
    """Return the first test that turns red without the check, or None."""
    target = copy / check.path
    whole, before = target.read_bytes(), target.stat()
    target.write_bytes(check.without(whole))
    try:
        for tests in _pieces(covering, check):
            listed = copy / ".tests"
            listed.write_text("\n".join(tests))
            run = pytest_in(copy, ["-x", f"@{listed}", "-m", MARKS])
            if run.returncode:
                red = re.search(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
                return red[1] if red else "the tests cannot be imported"
    except subprocess.TimeoutExpired:
        return "the tests never ended"
    finally:
        target.write_bytes(whole)
        # What was compiled from it fits again.
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    return None


def _pieces(covering: Covering, check: Check) -> Iterator[list[str]]:
    piece, seconds = [], 0.0
    for test in covering.tests_of(check.path, check.line):
        took = covering.seconds.get(test, 0.0)
        if piece and (len(piece) == PIECE or seconds + took > PIECE_SECONDS):
            yield piece
            piece, seconds = [], 0.0
        piece.append(test)
        seconds += took
    if piece:
        yield piece


def run_all(todo: Sequence[Check], jobs: int, folder: Path | None) -> Iterator[Result]:
    """Yield what became of each check, in order; `folder` keeps what was measured."""
    reasons: dict[str, str] = tomllib.loads(REASONS.read_text())
    ignored = shutil.ignore_patterns(".venv", ".git", ".kafka", ".*_cache", ".hypothesis")
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(jobs) as pool:
        copies = [Path(scratch) / str(number) for number in range(jobs)]
        shutil.copytree(ROOT, copies[0], ignore=ignored)
        covering = measured(copies[0], folder or Path(scratch))
        # Compiled once, for hundreds of runs; the changed file alone is compiled in each.
        pytest_in(copies[0], ["--collect-only", *FOLDERS, "-m", MARKS], PYTHONDONTWRITEBYTECODE="")
        for copy in copies[1:]:
            shutil.copytree(copies[0], copy)

        def attempt(check: Check) -> Result:
            copy = copies.pop()
            try:
                red = caught_by(check, copy, covering)
                return Result(check, red, None if red else reasons.get(check.name))
            finally:
                copies.append(copy)

        yield from pool.map(attempt, todo)


def main() -> int:
    """Run all mutants and print which test noticed each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[""], help="only files whose path contains one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--page", action="store_true", help="write the table into docs/checks.md")
    parser.add_argument("--covering", type=Path, help="a folder that keeps what was measured")
    options = parser.parse_args()
    if options.covering:
        options.covering.mkdir(parents=True, exist_ok=True)
    # The tests' processes are bounded as this one is.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    todo = [check for check in all_checks() if any(part in check.path for part in options.only)]
    print(f"{len(todo)} checks; measuring which tests reach them", flush=True)
    results = []
    for result in run_all(todo, options.jobs, options.covering and options.covering.absolute()):
        results.append(result)
        print(result.line, flush=True)
    unnoticed = [result for result in results if not result.caught and not result.reason]
    excused = [result for result in results if not result.caught and result.reason]
    print(f"{len(results)} checks taken away, {len(unnoticed)} unnoticed, {len(excused)} with a reason")
    if options.page:
        write_page(results, {check.path for check in all_checks()})
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
