"""The local API does what its description says, asked by a program that knows nothing but the description.

Schemathesis makes requests that fit the description and requests that do not; every answer is checked: no
failure of the server, statuses and shapes as described, what does not fit refused, nothing without a token.
What fits may still be refused by a rule of the network (422): no schema knows the agreements.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from adapters.api.openapi import description
from adapters.api.routes import MOST_WAIT_SECONDS
from adapters.api.server import HOST
from broker.core.catalogue import Catalogue
from tests.local_api import TOKEN, local, seen
from tests.world import CATALOGUE

pytestmark = pytest.mark.sockets

CASES = 8
FEW = Catalogue([CATALOGUE.current("sighting"), CATALOGUE.current("feedback")])
"""Other types are described by the same function; a hundred fields more only take longer."""

CONFIG = {
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422", "429"]}},
    "generation": {"allow-x00": True},
    "auth": {"openapi": {"token": {"bearer": TOKEN}}},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a node that has sent and received something, and answers."""
    folder: Path = tmp_path_factory.mktemp("described")
    found: list[int] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with local(folder, "vn", "jp", catalogue=FEW) as here:
            here.world.agree("vn", "jp", types=["sighting"])
            here.world.agree("jp", "vn", types=["feedback"])
            await here["vn"].ask("POST", "/v1/notices", [seen(), seen()])
            await here.travels("vn", "jp")
            found.append(here["jp"].port)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    try:
        assert ready.wait(30)
        yield f"http://{HOST}:{found[0]}"
    finally:
        over.set()
        thread.join(30)


schema = schemathesis.openapi.from_dict(
    msgspec.json.decode(msgspec.json.encode(description(FEW))),
    config=schemathesis.Config.from_dict(CONFIG),
)


@schema.parametrize()
@settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(case: schemathesis.Case, node: str) -> None:
    wait = (case.query or {}).get("wait")
    if isinstance(wait, int | float) and 0 <= wait <= MOST_WAIT_SECONDS:
        case.query["wait"] = wait / 1000  # as well described, and sooner over
    case.call_and_validate(base_url=node, timeout=30)
