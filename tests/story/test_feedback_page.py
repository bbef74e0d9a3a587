"""docs/feedback.md, typed: a notice is looked at before it goes, is answered, and the answer is counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.story.shell import Shell
from tests.story.test_first_day import arrived, network, shell, typed

pytestmark = pytest.mark.sockets

__all__ = ["network", "shell", "typed"]

PAGE = (Path(__file__).parents[2] / "docs/feedback.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def test_the_commands_of_the_page_bring_an_answer_back(network: Shell) -> None:
    previewed, due, give, received, count = (re.sub(r'"([^"]*)"', "", line) for line in LINES)
    (found,) = re.findall(r'"([^"]*)"', LINES[2])
    give = give.replace("--found ", "")
    assert "1 of 1 would get it" in network.ok(previewed).out
    network.ok("halong publish parcel.json --dir vn")
    network.until(lambda: arrived(network, "jp") == 1)
    assert "vn/asia-pacific/main/1" in network.ok(due).out
    checks = network.ok("halong doctor --offline --dir jp --json").json["checks"]
    assert [each["mark"] for each in checks if each["name"] == "feedback"] == ["good"]

    assert network(give).code == 2, "nobody is there to say yes"
    assert "queued" in network.ok(f"{give} --yes --found", found).out
    assert "nothing was queued" in network.ok(f"{give} --yes").err
    network.until(lambda: "HIT_SEIZED" in network.ok(received).out)

    assert "nothing is due" in network.ok(due).out
    counted = network.ok(f"{count} --json").json["agreements"]
    assert [(each["direction"], each["asked"], each["answered"], each["hits"]) for each in counted] == [
        ("sent", 1, 1, 1)
    ]
