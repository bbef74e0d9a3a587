"""docs/audit.md, typed: a day of an auditor beside a hub that runs, and then with a copy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.story.shell import Shell
from tests.story.test_first_day import arrived, network, shell, typed

pytestmark = pytest.mark.sockets

__all__ = ["network", "shell", "typed"]

PAGE = (Path(__file__).parents[2] / "docs/audit.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
GIVE = "halong feedback give vn/asia-pacific/main/1 --outcome HIT_SEIZED --dir jp --yes"
LIFE = "halong audit life vn/asia-pacific/main/1 --dir hub --json"


def stages(shell: Shell) -> list[str]:
    said = shell(LIFE)
    assert said.code in (0, 3), said.err
    return [each["what"] for each in said.json["stages"]]


def test_the_commands_of_the_page_answer_and_leave_a_trace(network: Shell) -> None:
    network.ok("halong publish parcel.json --dir vn")
    network.until(lambda: arrived(network, "jp") == 1)
    network.ok(GIVE)
    network.until(lambda: "acted on" in stages(network))
    network.until(lambda: network(LIFE).code == 0)

    said = {line: network.ok(line).out for line in LINES}
    assert len(said) == len(LINES) == 14

    (life,) = [out for line, out in said.items() if "case-2026-17" in line]
    for what in (
        "published",
        "decided",
        "delivered",
        "received",
        "acknowledged",
        "HIT_SEIZED",
        "leaf",
        "root",
    ):
        assert what in life
    (received,) = [out for line, out in said.items() if " received " in line]
    assert "vn/asia-pacific/main/1" in received
    (found,) = [out for line, out in said.items() if " effect " in line]
    assert "vn to jp" in found
    assert "canary-of-the-first-day" not in "".join(said.values())
    index = (network.folder / "hub/audit.index").read_bytes()
    assert b"canary-of-the-first-day" not in index

    reads = network.ok("halong audit read --dir hub --json").json["reads"]
    reasons = [each["reason"] for each in reads if each["what"] == "audit"]
    assert {"life: case-2026-17", "gaps", "members", "refused", "received", "read", "effect", "search"} <= {
        *reasons
    }
    copied = network.ok("halong audit read --dir copy --json").json["reads"]
    assert "life: offline" in [each["reason"] for each in copied]
    assert "life: offline" not in reasons

    # A hub that has the log and cannot be asked: nothing is answered.
    (network.folder / "hub/console.token").unlink()
    refused = network("halong audit life vn/asia-pacific/main/1 --dir hub")
    assert (refused.code, refused.out) == (4, "")
    assert "asking-not-logged" in refused.err
