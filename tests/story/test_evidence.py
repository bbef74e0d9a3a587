"""From a notice of the demo to its proof on a machine that has nothing but the wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from broker.demo.processes import halong

pytestmark = pytest.mark.sockets

ROOT = Path(__file__).parents[2]
SECONDS = 240
REFERENCE = "vn/asia-pacific/main/1"


def run(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, words)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "NO_COLOR": "1", **environment},
        check=False,
    )


def ok(*words: str | Path, cwd: Path) -> str:
    done = run(*words, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def required(name: str, found: set[str]) -> Iterator[Distribution]:
    """What a distribution needs without extras, itself first, each once."""
    if name in found:
        return
    found.add(name)
    this = distribution(name)
    yield this
    for line in this.requires or ():
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            yield from required(needed.name, found)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own with the wheel, built from the tree, and what the wheel says that it needs."""
    folder = tmp_path_factory.mktemp("bare")
    build = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    ok(sys.executable, *build, cwd=folder)
    ok(sys.executable, "-m", "venv", "venv", cwd=folder)
    (wheel,) = folder.glob("halong-*.whl")
    python = folder / "venv/bin/python"
    ok(python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder)
    site = Path(ok(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip())
    for each in list(required("halong", set()))[1:]:
        for file in each.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(str(each.locate_file(file))), site / file)
    assert run(python, "-c", "import aiohttp", cwd=folder).returncode != 0
    return folder / "venv/bin/halong"


def test_a_notice_of_the_demo_is_proved_on_a_bare_machine(bare: Path, tmp_path: Path) -> None:
    ok(*halong("demo", "--keep", str(tmp_path / "demo")), cwd=tmp_path)
    demo, away = tmp_path / "demo", tmp_path / "away"
    away.mkdir()
    root = sha256((demo / "hub/directory/metadata/1.root.json").read_bytes()).hexdigest()

    asked = ["audit", "evidence", REFERENCE, "-o", str(away / "case.zip"), "--dir", "hub"]
    ok(*halong(*asked, "--reason", "case 7"), cwd=demo)
    reads = json.loads(ok(*halong("audit", "read", REFERENCE, "--dir", "hub", "--json"), cwd=demo))
    assert reads["reads"][0]["reason"] == "evidence: case 7"
    redact = ["audit", "redact", str(away / "case.zip"), "--without", "persons,entities"]
    ok(*halong(*redact, "-o", str(away / "court.zip")), cwd=demo)
    ok(*halong("receipt", REFERENCE, "-o", str(away / "jp.zip"), "--dir", "jp"), cwd=demo)
    # From here on there is no hub, no node and no directory.
    shutil.rmtree(demo)

    told = {}
    for name in ("case", "court", "jp"):
        said = ok(bare, "verify", f"{name}.zip", "--root", root, "--json", cwd=away)
        told[name] = json.loads(said)
        assert told[name]["verdict"] == "held"
    assert told["case"]["shared_with"] == ["jp", "nl", "rilo-ap"]
    assert {each["event"] for each in told["case"]["receipts"]} == {"delivered"}
    assert "persons" in told["case"]["slots_shown"]
    assert "persons" not in told["court"]["slots_shown"]
    assert told["court"]["deliveries"] == told["case"]["deliveries"]
    assert list(told["jp"]["deliveries"]) == ["jp"]
    assert run(bare, "verify", "case.zip", cwd=away).returncode == 3
    assert run(bare, "verify", "case.zip", "--root", "0" * 64, cwd=away).returncode == 1
    data = (away / "case.zip").read_bytes()
    (away / "case.zip").write_bytes(data.replace(b"jp-vn-2026", b"jp-vn-2025", 1))
    assert run(bare, "verify", "case.zip", "--root", root, cwd=away).returncode == 1
