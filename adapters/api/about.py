"""What the local API tells about the node itself: how it is, and which notices it knows."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from adapters.api import shapes
from adapters.equipment import Equipment
from adapters.sending.progress import label_of
from adapters.status import snapshot
from broker.core.errors import NotFound
from broker.core.notice_json import time_or_none
from schemas.json_schema import json_schema
from schemas.wording import labels


class About:
    """Tells about the node.

    Args:
        equipment: What the node works with; the store is a connection of the API's own.
    """

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment

    def types(self) -> shapes.NoticeTypes:
        """Return the notice types that can be published."""
        words = labels("en")
        return shapes.NoticeTypes(
            types=[
                shapes.NoticeTypeName(
                    name=each.name, title=words.word("types", each.name), schema=each.digest.hex()
                )
                for each in self._equipment.catalogue
                if self._equipment.catalogue.current(each.name) is each
            ]
        )

    def type(self, name: str) -> Mapping[str, Any]:
        """Return the JSON Schema of a notice type's content.

        Raises:
            NotFound: There is no such type.
        """
        for each in self._equipment.catalogue:
            if each.name == name:
                return json_schema(self._equipment.catalogue.current(name))
        raise NotFound("there is no such notice type", field="name")

    def status(self) -> shapes.NodeStatus:
        """Return how the node is."""
        now = snapshot(self._equipment.store)
        return shapes.NodeStatus(
            member=self._equipment.identity.member,
            network=self._equipment.identity.network,
            version=version("halong"),
            notices={label_of(state): count for state, count in now.sent.items()},
            deliveries=dict(now.received),
            place=now.place,
            receipts_waiting=now.receipts_waiting,
            behind=now.behind,
            reached_at=time_or_none(now.reached_at),
            held=now.held_code,
            whole_to=now.whole_to,
            whole_at=time_or_none(now.whole_at),
            alarms=sum(alarm.count for alarm in now.alarms),
        )
