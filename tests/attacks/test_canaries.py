"""Marked values in withheld slots: nobody who was not granted them finds them anywhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import structlog

from broker import telemetry
from broker.core.errors import HalongError
from broker.core.model import Slot
from broker.core.notice import draft
from broker.core.slots import slot_digest
from broker.log import Stored
from tests.notices import NOTICES
from tests.recount import records
from tests.world import SIGHTING, World, notice, sighting, swapped

CANARY = "CANARY-Ada-Lovelace"
WITHHELD = dict.fromkeys(("plate", "firm", "person", "text", "photo"), CANARY)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    before = structlog.get_config()
    stream = io.StringIO()
    telemetry._configure(structlog.processors.JSONRenderer(), lambda: stream, 0)
    yield stream
    structlog.configure(**before)


async def everything(world: World) -> list[Stored]:
    return [stored for here in (await records(world.log, "*")).values() for stored in here]


async def test_a_withheld_slot_reaches_neither_inbox_nor_logs_nor_metrics(
    tmp_path: Path, lines: io.StringIO
) -> None:
    async with World(tmp_path, "vn", "jp", "nl") as world:
        world.agree("vn", "jp", slots=["facts"])
        world.agree(
            "vn", "nl", slots=["facts", "identifiers", "entities", "persons", "intelligence", "attachments"]
        )
        sent = await world.publish("vn", sighting(**WITHHELD))
        (jp,) = await world.deliveries("jp")
        (nl,) = await world.deliveries("nl")
        status = await world.ledger.statements.status("vn", sent.statement)

        assert CANARY.encode() not in jp.raw
        assert CANARY.encode() in nl.raw, "the canary sings where it may"
        assert CANARY not in lines.getvalue()
        assert "notice.shared" in lines.getvalue()
        assert CANARY.encode() not in world.metrics.render()
        assert CANARY.encode() not in msgspec.json.encode([status, sent.outcome])
        holding = {
            stored.partition.topic for stored in await everything(world) if CANARY.encode() in stored.value
        }
        assert holding == {"notices.asia-pacific", "inbox.nl"}


async def test_the_salt_and_the_digest_of_what_is_withheld_do_not_travel_together(tmp_path: Path) -> None:
    """Who has the salt could guess the value from the digest."""
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp", slots=["facts"])
        digests, disclosures = draft(SIGHTING, sighting(**WITHHELD).values)
        await world.publish("vn", sighting(**WITHHELD), disclosures=disclosures, slots=digests)
        (jp,) = await world.deliveries("jp")

        for disclosure in disclosures:
            assert (disclosure.salt in jp.raw) == (disclosure.slot is Slot.FACTS)


async def test_a_refusal_repeats_nothing_of_what_it_refuses(tmp_path: Path, lines: io.StringIO) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        text = CANARY.encode()
        value = b"\x02" + bytes([2 * len(text)]) + text
        answers: list[object] = []
        for slot in Slot:
            digests, disclosures = draft(SIGHTING, sighting().values)
            false = swapped(disclosures, slot, value + b"\0")
            digests = tuple(slot_digest(one) for one in false)
            answers += await world.send(
                "vn", world.compose("vn", sighting(), disclosures=false, slots=digests)
            )
        answers += await world.send("vn", text)
        answers += await world.send("vn", world.compose("vn", sighting(), notice_type=CANARY.lower()))
        for header in (
            {"purpose": CANARY},
            {"campaign": CANARY},
            {"subjects": (CANARY,)},
            {"stream": "main\n" + CANARY},
        ):
            answers += await world.send("vn", world.compose("vn", sighting(), **header))
        try:
            await world.gateway.receive("vn", [text])
        except HalongError as error:
            answers.append(str(error))

        said = msgspec.json.encode(
            [{"code": one.code, "field": one.field} if not isinstance(one, str) else one for one in answers]  # type: ignore[attr-defined]
        )
        assert CANARY.encode() not in said
        assert CANARY not in lines.getvalue()
        assert CANARY.lower() not in lines.getvalue()
        assert CANARY.encode() not in world.metrics.render()
        assert not any(text in stored.value for stored in await everything(world))


@pytest.mark.parametrize("name", sorted(NOTICES))
async def test_of_no_type_does_anything_outside_of_the_facts_get_out(
    name: str, tmp_path: Path, lines: io.StringIO
) -> None:
    async with World(tmp_path, "vn", "jp") as world:
        world.agree("vn", "jp", types=[name], slots=["facts"])
        content = notice(name)
        facts = {field["name"] for field in content.notice_type.fields(Slot.FACTS)}
        told = set(texts({key: value for key, value in content.values.items() if key in facts}))
        secrets = set(texts({key: value for key, value in content.values.items() if key not in facts})) - told
        await world.publish("vn", content)
        (jp,) = await world.deliveries("jp")

        assert len(secrets) > 3
        for secret in secrets:
            assert secret.encode() not in jp.raw
            assert secret not in lines.getvalue()
            assert secret.encode() not in world.metrics.render()


def texts(value: object) -> Iterator[str]:
    """Yield every text that is long enough not to be found by chance."""
    match value:
        case str() if len(value) > 5:
            yield value
        case dict():
            for each in value.values():
                yield from texts(each)
        case list() | tuple():
            for each in value:
                yield from texts(each)
