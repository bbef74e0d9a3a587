"""The proof of any leaf over HTTP, as text and as COSE receipt; and what a node makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.http_hub import HttpHub, pinned_context
from broker.core.cose_receipt import check_inclusion_receipt
from broker.core.model import Envelope
from broker.core.note import LogKey
from broker.core.records import decode, leaf_entry
from broker.core.tlog_proof import check_proof
from tests.served import HOST, served
from tests.world import sighting

pytestmark = pytest.mark.sockets


async def test_whoever_is_a_member_gets_the_proof_of_any_leaf(tmp_path: Path) -> None:
    async with served(tmp_path, "vn", "jp") as hub:
        hub.world.agree("vn", "jp")
        sent = await hub.world.publish("vn", sighting())
        (delivery,) = await hub.world.deliveries("jp")
        key = LogKey.parse(hub.world.log_signer.vkey)
        entry = leaf_entry(decode(Envelope, sent.envelope))

        for leaf, of in ((sent.statement.hex(), entry), (str(delivery.item.index), b"\x03" + delivery.id)):
            text = await hub.ask("GET", f"/log/proof/{leaf}", name="jp")
            cose = await hub.ask("GET", f"/log/proof/{leaf}?form=cose", name="jp")
            assert (text.status, cose.status) == (200, 200)
            assert text.headers["content-type"] == "text/plain; charset=utf-8"
            assert cose.headers["content-type"] == 'application/cose; cose-type="cose-sign1"'
            # Between the two answers the log may have grown.
            indexes = check_proof(text.body, key, of).index, check_inclusion_receipt(cose.body, key, of).index
            assert indexes[0] == indexes[1]


@pytest.mark.parametrize(
    ("leaf", "status"),
    [("0" * 64, 404), ("999999", 404), ("01", 400), ("-1", 400), ("0" * 63, 400), ("0?form=json", 400)],
)
async def test_there_is_no_proof_of_what_is_not_there(tmp_path: Path, leaf: str, status: int) -> None:
    async with served(tmp_path, "vn") as hub:
        await hub.world.publish("vn", sighting())
        await hub.world.settle()

        assert (await hub.ask("GET", f"/log/proof/{leaf}")).status == status


async def test_the_nodes_client_asks_for_it(tmp_path: Path) -> None:
    async with served(tmp_path, "vn") as hub:
        sent = await hub.world.publish("vn", sighting())
        await hub.world.settle()
        context = pinned_context(
            hub.pin, tmp_path / "vn.pem", tmp_path / "vn.key", tmp_path / "authority.pem"
        )
        async with HttpHub(f"https://{HOST}:{hub.port}", context) as vn:
            text, cose = await vn.proof(sent.statement.hex()), await vn.proof("0", cose=True)
            assert text is not None
            assert text.startswith(b"c2sp.org/tlog-proof@v1\n")
            assert cose is not None
            assert await vn.proof("999999") is None
