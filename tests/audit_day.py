"""A day at a small hub, for what an auditor asks: every kind of record is there at least once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from broker.core.keys import new_salt
from broker.core.model import Act, Envelope, Erasure, ErasureGround, Event, Status
from broker.core.records import decode, encode, named_frame
from broker.log import Partition, Record
from broker.log.topics import ERASURES
from tests.world import World, notice, sighting

SECRETS = {"plate": "CANARYPLATE51", "firm": "Canaryfirm", "person": "Canaryperson", "text": "Canarytext"}
"""What stands in the slots that are not facts."""
BOTH = 'statuses = ["ACTUAL", "EXERCISE"]'
ERASED_PLACE = "Lạch Huyện canaryerased"


@dataclass(frozen=True, slots=True)
class Day:
    """The log of the day: where it is, its key, and the statements by what they are."""

    url: str
    file: Path
    key: str
    now: int
    statements: dict[str, bytes]


async def live(world: World) -> dict[str, bytes]:
    """Let the day happen in a world of vn, jp and nl; nl takes nothing all day."""
    world.agree("vn", "jp", slots=["facts", "persons"], grant=f"feedback_hours = 1\n{BOTH}", name="vn-jp")
    world.agree("vn", "nl", name="vn-nl")
    world.agree("jp", "vn", types=["feedback"], name="jp-vn")
    world.agree("vn", "jp", types=["drug-parcel"], name="parcels")
    said: dict[str, bytes] = {}

    async def publish(name: str, **fields: object) -> None:
        content = sighting(place=str(fields.pop("place", name)), **SECRETS)
        said[name] = (await world.publish("vn", content, **fields)).statement
        await world.settle()
        world.clock.move(1_000)

    await publish("first", place="Hải Phòng 293299")
    await publish("recalled")
    await publish("erased", place=ERASED_PLACE)
    await publish("exercise", status=Status.EXERCISE)
    said["parcel"] = (await world.publish("vn", notice("drug-parcel"))).statement
    await world.settle()
    got = {each.head.statement: each for each in await world.deliveries("jp")}
    world.clock.move(1_000)
    receipts = [
        world.receipt("jp", got[said["first"]].id, got[said["recalled"]].id, event=Event.ACCEPTED),
        world.receipt("jp", got[said["first"]].id, event=Event.DELIVERED),
        world.receipt("jp", got[said["erased"]].id, event=Event.REJECTED),
        # Of a delivery that nl did not get: it says nothing about jp's.
        world.receipt("nl", got[said["exercise"]].id),
    ]
    await world.gateway.receive("jp", [encode(each) for each in receipts[:3]])
    await world.gateway.receive("nl", [encode(receipts[3])])
    await world.gateway.receive("jp", [encode(receipts[1])])
    for name, outcome in (("feedback", "HIT_SEIZED"), ("again", "CHECKED_NO_FINDING")):
        world.clock.move(60_000)
        answer = await world.publish(
            "jp", notice("feedback", outcome=outcome), act=Act.FEEDBACK, references=(said["first"],),
            addressees=("vn",), countries=(), subjects=(),
        )  # fmt: skip
        said[name] = answer.statement
        await world.settle()
    recall = await world.publish("vn", sighting(), act=Act.RECALL, references=(said["recalled"],))
    said["recall"] = recall.statement
    # Number 9 is skipped, and another statement is signed under number 1.
    world.people["vn"].numbers.update(
        {stream: (number + 1, last) for stream, (number, last) in world.people["vn"].numbers.items()}
    )
    await publish("skipping")
    numbers = dict(world.people["vn"].numbers)
    world.people["vn"].numbers.clear()
    said["equivocating"] = await world.store("vn", world.compose("vn", sighting(place="twice")))
    world.people["vn"].numbers.update(numbers)
    await world.settle()
    forged = decode(Envelope, world.compose("vn", sighting(), signer=world.people["jp"].signer))
    world.people["vn"].numbers.update(numbers)
    await world.send("vn", encode(forged))
    erasure = Erasure(new_salt(), said["erased"], ErasureGround.ORDER, bytes(32), world.clock.now())
    await world.log.append([Record(Partition(ERASURES), *named_frame(erasure))])
    await world.deliveries("vn")
    await world.settle()
    return said


def make_day(folder: Path) -> Day:
    """Let the day happen on a log in a folder."""

    async def happen() -> Day:
        async with World(folder, "vn", "jp", "nl") as world:
            said = await live(world)
            return Day(world.url, folder / "log.db", world.log_signer.vkey, world.clock.now(), said)

    return asyncio.run(happen())
