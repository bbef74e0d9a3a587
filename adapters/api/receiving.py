"""What the member's systems read through the local API: verified deliveries, and the answers to them.

Decides that only what passes every check is shown.  Reading confirms nothing: that a notice was read is said
by whoever read it.  How requests look is decided in `routes`.
"""

from __future__ import annotations

import asyncio

import msgspec

from adapters.api import shapes
from adapters.api.changes import Changes
from adapters.channels import Item
from adapters.channels.folder import page_of
from adapters.equipment import Equipment
from adapters.feedback import answering
from adapters.receiving.incoming import Received
from adapters.receiving.opening import Opening
from adapters.receiving.shown import shown
from broker.core.errors import NotFound, Refused, Unavailable
from broker.core.model import Event, Status, Tlp
from broker.core.notice_json import time_to_json
from schemas.rendering import render_page

CHANNEL = "api"
A_LOOK = 256
READABLE = ("checked", "delivered", "accepted")


class Receiving:
    """Shows deliveries.

    Args:
        equipment: What the node works with; the store is a connection of the API's own.
        changes: Tells when to look again.
    """

    def __init__(self, equipment: Equipment, changes: Changes) -> None:
        self._equipment = equipment
        self._incoming = equipment.incoming
        self._opening = Opening(equipment)
        self._changes = changes

    async def deliveries(
        self, after: int, limit: int, statuses: frozenset[Status], seconds: float
    ) -> shapes.Deliveries:
        """Return what came after a place and passed every check; wait up to `seconds` for it."""
        if seconds > 0:
            await self._changes.until(lambda: bool(self._incoming.received(after=after, limit=1)), seconds)
        found: list[shapes.Delivery] = []
        place = after
        more = True
        while more and len(found) < limit:
            rows = self._incoming.received(after=place, limit=min(limit, A_LOOK))
            more = bool(rows)
            for row in rows:
                item = await self._item(row)
                place = row.place
                if item is not None and item.notice.header.status in statuses:
                    found.append(_delivery(row, item))
                if len(found) == limit:
                    break
        more = more and bool(self._incoming.received(after=place, limit=1))
        return shapes.Deliveries(deliveries=found, place=place, more=more)

    async def delivery(self, id_: bytes) -> shapes.Delivery:
        """Return one delivery.

        Raises:
            NotFound: There is none that may be shown.
        """
        row, item = await self._shown(id_)
        return _delivery(row, item)

    async def page(self, id_: bytes, language: str) -> str:
        """Return the page of a delivery, `language` first to see."""
        _, item = await self._shown(id_)
        return render_page(page_of(item), language)

    async def read(self, id_: bytes) -> shapes.ReadReceipt:
        """Owe the hub a receipt that a delivery was read; once."""
        await self._shown(id_)
        fresh = self._incoming.owe(id_, Event.READ, CHANNEL)
        self._changes.tell()
        return shapes.ReadReceipt(delivery=id_.hex(), known=not fresh)

    async def _shown(self, id_: bytes) -> tuple[Received, Item]:
        row = self._incoming.delivery(id_)
        item = None if row is None else await self._item(row)
        if row is None or item is None:
            raise NotFound("there is no such delivery, or its content is not to be shown", field="id")
        return row, item

    async def _item(self, row: Received) -> Item | None:
        """Return a delivery as it was checked, or None if its content is not to be shown.

        Raises:
            Unavailable: What the store holds is not what was checked, or cannot be checked now.
        """
        if row.state not in READABLE:
            return None
        # Checking takes time, and others wait to be answered.
        await asyncio.sleep(0)
        try:
            return await self._opening.open(row.id)
        except Refused as error:
            self._equipment.alarms.sound("delivery.changed", error.code, row.id.hex())
            raise Unavailable("the store does not hold what was checked", field="delivery") from None

    async def answer(self, given: shapes.NewAnswer) -> shapes.Answered:
        """Queue the answer to a delivered notice, once."""
        now, again = self._equipment.clock.now(), given.again is True
        made = answering.compose_answer(
            self._equipment.store,
            self._equipment.identity.member,
            self._equipment.catalogue,
            await self._equipment.directories.newest(),
            given.to,
            given.notice,
            now=now,
            tlp=Tlp[given.tlp] if isinstance(given.tlp, str) else None,
            again=again,
        )
        made = answering.queue_answer(self._equipment.store, made, now=now, again=again)
        self._changes.tell()
        return shapes.Answered(id=made.queued, known=made.queued is None)

    def feedback_due(self) -> shapes.FeedbackDues:
        """Return what this member owes feedback on, the longest overdue first."""
        owed = answering.due(
            self._equipment.store,
            self._equipment.identity.member,
            self._equipment.catalogue,
            self._equipment.clock.now(),
        )
        return shapes.FeedbackDues(
            due=[
                shapes.FeedbackDue(
                    reference=f"halong:{each.shared.reference.removeprefix('halong:')}",
                    delivery=each.shared.delivery.hex(),
                    type=each.shared.notice_type,
                    originator=each.shared.originator,
                    due_at=time_to_json(each.shared.due_at or 0),
                    overdue=each.overdue,
                )
                for each in owed
            ]
        )


def _delivery(row: Received, item: Item) -> shapes.Delivery:
    told = {**shown(item), "place": row.place, "taken_at": time_to_json(row.taken_at)}
    return msgspec.convert(told, shapes.Delivery)
