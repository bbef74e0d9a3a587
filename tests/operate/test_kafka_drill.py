"""A hub on Kafka comes back from its backup under other names on the cluster, and its member goes on."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from broker.demo.processes import Farm
from tests.operate.setting import Operator, network

pytestmark = [pytest.mark.kafka, pytest.mark.sockets, pytest.mark.soak]


def test_a_hub_on_a_cluster_that_is_lost_comes_back_from_its_backup(kafka: str, tmp_path: Path) -> None:
    name = f"t{uuid.uuid4().hex[:10]}"
    with Farm() as farm:
        operator = Operator(network(tmp_path, farm, log=f"kafka://{kafka}/{name}"))
        shell = operator.shell
        for line in ("halong hub --dir hub", "halong member --dir vn", "halong member --dir jp"):
            shell.run(line)
        operator.publishes(5)
        shell.until(lambda: operator.arrived() == 5)
        shell.until(lambda: operator.looks("jp").receipts_waiting == 0)

        operator.follows("Back up")
        operator.loses("hub")
        line = "halong restore hub.halong hub --passphrase-file passphrase --log"
        said = shell(line, f"kafka://{kafka}/{name}")
        assert (said.code, "has records" in said.err) == (2, True)
        assert not (tmp_path / "hub").exists()
        shell.ok(line, f"kafka://{kafka}/{name}-2")

        assert f'log = "kafka://{kafka}/{name}-2"' in (tmp_path / "hub/hub.toml").read_text()
        assert shell.ok("halong audit count hub --json").json["delivered"] == 5
        shell.run("halong hub --dir hub")
        operator.publishes(2)
        shell.until(lambda: operator.arrived() == 7)
        counted = shell.ok("halong audit count hub --json").json
        assert (counted["log"], counted["published"], counted["delivered"]) == ("verified", 7, 7)
