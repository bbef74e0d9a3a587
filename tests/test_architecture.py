"""Who may import whom is written in pyproject.toml; this runs it, and proves that it can fail."""

from __future__ import annotations

import ast
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


def test_no_json_is_read_in_a_shape_that_is_looked_into_while_threads_run() -> None:
    """Two threads that are the first to read one type end the process; `wire.json_shape` is before them."""
    elsewhere = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("broker", "adapters")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "msgspec.json.decode"
        # Builtins such as list[str] have nothing to be looked into.
        and any(each.arg == "type" and isinstance(each.value, ast.Name) for each in node.keywords)
    ]
    assert elsewhere == []
