"""A steady load leaves nothing over and grows in no process; the short one only that all of it arrives."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.faults import chance
from tests.faults.table import Row, record
from tests.soak.chart import draw
from tests.soak.deployment import PUBLISHER, TABLE_FILE, Deployment
from tests.soak.sustained import Outcome, summary, sustain
from tests.soak.watching import NodeStore, quantile, slope

SECONDS = 600
KEEP = os.environ.get("HALONG_SUSTAINED_RUNS")
"""A folder for the runs, out of which the chart is drawn."""


def counted(deployment: Deployment, outcome: Outcome, name: str) -> Row:
    """Compare the table of every receiver with what the publisher said, in its order."""
    with closing(NodeStore(deployment.path(PUBLISHER) / "node.db")) as sender:
        said = [
            id_
            for (id_,) in sender.rows("SELECT id FROM statements WHERE state = 'proven' ORDER BY sequence")
        ]
    lost = doubled = wrong = disordered = 0
    for receiver in deployment.receiving:
        with closing(NodeStore(deployment.path(receiver) / TABLE_FILE)) as table:
            rows = table.rows("SELECT statement FROM halong_notice ORDER BY number")
        got = [
            statement if isinstance(statement, bytes) else bytes.fromhex(statement) for (statement,) in rows
        ]
        lost += len(set(said) - set(got))
        doubled += len(got) - len(set(got))
        wrong += len(set(got) - set(said))
        disordered += sum(one != other for one, other in zip(got, said, strict=False))
    return Row(
        name=name,
        engine="sqlite",
        kills=0,
        notices=outcome.notices,
        deliveries=outcome.deliveries,
        lost=lost,
        doubled=doubled,
        over_delivered=wrong,
        out_of_order=disordered,
        seed=0,
        seconds=outcome.seconds[-1].at,
    )


@pytest.mark.sockets
def test_a_short_load_arrives_whole_and_is_acknowledged(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, receivers=3, nodes=2)
    outcome = sustain(deployment, rate=40, duration=6)
    assert outcome.seconds_to_settle is not None
    assert outcome.notices == 240
    row = counted(deployment, outcome, "a short load")
    assert row.deliveries == 480
    assert row.faultless
    assert outcome.receipts < outcome.deliveries
    # It is what the chart is drawn from.
    assert draw([json.loads(json.dumps(asdict(outcome)))]).axes


@pytest.mark.soak
@pytest.mark.parametrize(
    ("rate", "receivers", "nodes"),
    [(250, 4, 4), (100, 33, 1)],
    ids=["250 a second to 4 that verify", "100 a second to 33 of which one verifies"],
)
def test_ten_minutes_leave_nothing_over_and_no_process_grows(
    tmp_path: Path, rate: int, receivers: int, nodes: int
) -> None:
    deployment = Deployment(tmp_path, receivers, nodes)
    seconds = chance.scaled(SECONDS)
    outcome = sustain(deployment, rate, seconds)
    print(*summary(outcome), sep="\n")
    if KEEP:
        (Path(KEEP) / f"{rate}x{receivers}.json").write_text(json.dumps(asdict(outcome)))
    row = counted(deployment, outcome, f"{rate} a second to {receivers} receivers, {nodes} verifying")
    record(row)
    assert row.faultless
    assert outcome.settled
    # What a shorter run shows is the filling of caches.
    assert outcome.flat or seconds < SECONDS


def test_quantiles_and_slopes_are_those_of_the_values() -> None:
    assert [quantile([3, 1, 2], share) for share in (0.0, 0.5, 0.95)] == [1, 2, 3]
    assert quantile([], 0.5) == 0
    assert slope([0, 1, 2], [5, 7, 9]) == pytest.approx(2)
    assert slope([1], [1]) == 0
