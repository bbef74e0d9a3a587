"""Take each check away in turn: a test must turn red.

A check is an `if` that raises one of the errors of `broker.core.errors`.  Its condition becomes false,
and the quick tests run against the changed copy.  Prints a table; exits 1 if one can be taken away unnoticed.

    python -m tests.mutants [--only PART_OF_A_PATH] [--jobs N]
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from broker.core import errors

ROOT = Path(__file__).parents[1]
WHERE = (
    "broker/core/*.py",
    "broker/services/gateway.py",
    "broker/services/dispatcher.py",
    "adapters/runner.py",
    "adapters/outbox.py",
    "adapters/checks.py",
    "adapters/compose.py",
)
QUICK = ["tests/vectors", "tests/unit", "tests/attacks", "-m", "not sockets and not kafka and not soak"]
SECONDS = 300
ERRORS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.HalongError)
}


@dataclass(frozen=True, slots=True)
class Check:
    """One condition that guards one refusal."""

    path: Path
    line: int
    test: ast.expr
    raises: str

    def without(self) -> str:
        """Return the file's text in which the condition is never true."""
        lines = self.path.read_bytes().splitlines(keepends=True)
        first, last = self.test.lineno - 1, (self.test.end_lineno or self.test.lineno) - 1
        before, after = lines[first][: self.test.col_offset], lines[last][self.test.end_col_offset :]
        return b"".join([*lines[:first], before + b"False" + after, *lines[last + 1 :]]).decode()


def checks(only: str) -> Iterator[Check]:
    """Yield every check of the files in `WHERE` whose path contains `only`."""
    for pattern in WHERE:
        for path in sorted(ROOT.glob(pattern)):
            if only not in str(path.relative_to(ROOT)):
                continue
            for node in ast.walk(ast.parse(path.read_bytes())):
                if not isinstance(node, ast.If) or not isinstance(node.body[-1], ast.Raise):
                    continue
                raised = node.body[-1].exc
                call = raised.func if isinstance(raised, ast.Call) else raised
                if isinstance(call, ast.Name) and call.id in ERRORS:
                    yield Check(path, node.lineno, node.test, call.id)


def caught_by(check: Check, copy: Path) -> str | None:
    """Return the first test that turns red without the check, or None."""
    target = copy / check.path.relative_to(ROOT)
    whole = target.read_text()
    target.write_text(check.without())
    try:
        run = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "--no-header",
                "--tb=no",
                *QUICK,
            ],
            cwd=copy,
            env={
                **os.environ,
                "PYTHONPATH": str(copy),
                "PYTHONDONTWRITEBYTECODE": "1",
                "HYPOTHESIS_STORAGE_DIRECTORY": str(copy / ".h"),
            },
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "the tests never ended"
    finally:
        target.write_text(whole)
    if run.returncode == 0:
        return None
    red = re.search(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    return red[1] if red else "the tests could not run"


def main() -> int:
    """Run all mutants and print which test noticed each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only files whose path contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    todo = list(checks(options.only))
    survivors = 0
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(options.jobs) as pool:
        copies: list[Path] = []
        for number in range(options.jobs):
            copy = Path(scratch) / str(number)
            shutil.copytree(
                ROOT,
                copy,
                ignore=shutil.ignore_patterns(".venv", ".git", ".kafka", ".*_cache", ".hypothesis"),
            )
            copies.append(copy)

        def attempt(check: Check) -> tuple[Check, str | None]:
            copy = copies.pop()
            try:
                return check, caught_by(check, copy)
            finally:
                copies.append(copy)

        print(f"{len(todo)} checks", flush=True)
        for check, red in pool.map(attempt, todo):
            survivors += red is None
            where = f"{check.path.relative_to(ROOT)}:{check.line}"
            print(
                f"{'SURVIVES' if red is None else 'caught':9} {where:45} {check.raises:18} {red or ''}",
                flush=True,
            )
    print(f"{len(todo)} checks taken away, {survivors} unnoticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
