"""Who may import whom is written in pyproject.toml; this runs it, and proves that it can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [linter, "--no-logo", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(root), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=60,
        check=False,
    )


def test_a_member_side_that_imports_the_log_is_refused(tmp_path: Path) -> None:
    for package in ("broker", "adapters", "schemas"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.avsc", "codes"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert lint(tmp_path).returncode == 0, lint(tmp_path).stdout

    with (tmp_path / "adapters" / "__init__.py").open("a") as file:
        file.write("import broker.log.topics\n")
    found = lint(tmp_path)

    assert found.returncode == 1
    assert "a member's side never sees the hub's log" in found.stdout


def test_source_files_stay_small() -> None:
    """Past 400 lines a file has more than one reason to change."""
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("broker", "adapters", "schemas")
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
