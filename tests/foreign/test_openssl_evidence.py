"""OpenSSL checks a bundle by what its own page says: the commands are typed as they stand there."""

from __future__ import annotations

import html
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from broker.core.keys import Algorithm
from broker.evidence.building import bundle
from tests.cases import Making
from tests.foreign.programs import program
from tests.world import CATALOGUE

pytestmark = pytest.mark.sockets


def typed(page: str) -> list[str]:
    """The commands in the English page's second block."""
    blocks = re.findall(r"<pre><code>(.+?)</code></pre>", page, re.DOTALL)
    return html.unescape(blocks[1]).splitlines()


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ESP256], ids=lambda each: each.value)
def test_openssl_verifies_notice_and_checkpoint_as_the_page_says(
    tmp_path: Path, algorithm: Algorithm
) -> None:
    program("openssl", "3.0 or later, from your system's packages")
    making = Making(tmp_path, algorithm)
    (tmp_path / "case.zip").write_bytes(bundle(making.case(), CATALOGUE))
    with zipfile.ZipFile(tmp_path / "case.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "case")

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            shell=True,
            cwd=tmp_path / "case",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    notice, checkpoint, root = typed((tmp_path / "case/page.html").read_text())

    for command in (notice, checkpoint):
        assert "Signature Verified Successfully" in run(command).stdout, run(command).stderr
    assert run(root).stdout.strip().endswith(making.root)
    # What was signed holds the header, with which the notice begins: what it says can be read in both.
    for name in ("openssl/statement.bytes", "statement/envelope"):
        assert b"customs-enforcement" in (tmp_path / "case" / name).read_bytes()
    data = tmp_path / "case/openssl/statement.bytes"
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    assert "Signature Verified Successfully" not in run(notice).stdout
