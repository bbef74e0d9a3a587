"""Publish a notice, wait until it is there, and follow what comes: the asynchronous client.

    python publish_and_follow.py NODE_FOLDER [PLACE]

ends after the first delivery.  A program that runs for good keeps each `place` with what it did.
"""

import asyncio
import sys
from decimal import Decimal

from adapters import WITHHELD, Client
from adapters.notices import DeclaredGoods, DrugParcel, FreeText, Money
from broker.core.errors import Refused, Unavailable


async def publish(client: Client) -> None:
    parcel = DrugParcel(
        channel="POST",
        postal_item="CP987654326NL",
        declared_goods=[DeclaredGoods(hs="851671", value=Money(amount=Decimal("45.00"), currency="EUR"))],
        narrative=FreeText(language="en", text="Third parcel from the same sender."),
    )
    for receiver in await client.preview(parcel, countries=["JP", "VN"], subjects=["hs:8516"]):
        print(receiver.member, "gets", receiver.slots if receiver.receives else f"nothing: {receiver.reason}")

    # The source is our own name for the case: however often this runs, the notice is sent once.
    sent = await client.publish(
        parcel, countries=["JP", "VN"], subjects=["hs:8516"], source="example/case-2026-004711"
    )
    try:
        state = await sent.wait("delivered", seconds=30)
        print("delivered", state.reference, "to", state.delivered, "of", state.receivers)
    except Refused as error:
        print("refused", error.code, error.field)
    except Unavailable as error:
        print("on its way:", error)  # the node goes on by itself


async def follow(client: Client, place: int) -> None:
    async for delivery in client.feed(after=place):
        match delivery.notice:
            case DrugParcel() as parcel:
                person = "withheld" if parcel.recipient is WITHHELD else parcel.recipient
                print("delivery", delivery.place, delivery.reference, parcel.channel, "recipient:", person)
            case _:
                print("delivery", delivery.place, delivery.reference, delivery.type, delivery.content)
        await client.read(delivery)
        return


async def main() -> None:
    async with Client.of_node(sys.argv[1]) as client:
        if len(sys.argv) > 2:
            await follow(client, int(sys.argv[2]))
        else:
            await publish(client)


asyncio.run(main())
