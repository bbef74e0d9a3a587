"""Which tests reach which line, and how long each takes: so that a mutant meets the right tests first.

A pytest plugin (`-p tests.mutants.covering`): coverage.py with a context for each test, and their durations.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest

FOLDER = "HALONG_COVERING"


class Plugin:
    """Measures one run of pytest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seconds: dict[str, float] = {}
        self._coverage = coverage.Coverage(
            data_file=folder / "coverage", source_pkgs=["broker", "adapters"], config_file=False
        )
        self._coverage.start()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        """Attribute what runs to the test."""
        self._coverage.switch_context(item.nodeid)
        started = time.perf_counter()
        yield
        self._seconds[item.nodeid] = time.perf_counter() - started
        self._coverage.switch_context("")

    def pytest_sessionfinish(self) -> None:
        """Write what was measured."""
        self._coverage.stop()
        self._coverage.save()
        (self._folder / "seconds.json").write_text(json.dumps(self._seconds))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Measure if the environment names a folder, before anything of ours is imported."""
    if folder := os.environ.get(FOLDER):
        early_config.pluginmanager.register(Plugin(Path(folder)))


@dataclass(frozen=True, slots=True)
class Covering:
    """What a measured run found."""

    lines: Mapping[str, Mapping[int, Sequence[str]]]
    seconds: Mapping[str, float]

    def without(self, tests: Collection[str]) -> Covering:
        """Return the same without tests that are of no use."""
        return Covering(
            {
                path: {
                    line: [test for test in reached if test not in tests] for line, reached in lines.items()
                }
                for path, lines in self.lines.items()
            },
            self.seconds,
        )

    def tests_of(self, path: str, line: int) -> list[str]:
        """Return the tests that reach a line, the quickest first; none if only imports do."""
        reached = {test for test in self.lines.get(path, {}).get(line, ()) if test}
        return sorted(reached, key=lambda test: self.seconds.get(test, 0.0))


def read_covering(folder: Path, root: Path) -> Covering:
    """Return what `Plugin` wrote into the folder about the tree at `root`."""
    data = coverage.CoverageData(folder / "coverage")
    data.read()
    lines = {
        str(Path(file).relative_to(root)): data.contexts_by_lineno(file)
        for file in data.measured_files()
        if Path(file).is_relative_to(root)
    }
    return Covering(lines, json.loads((folder / "seconds.json").read_text()))
