"""A member's side: the node, its outbox, its runner and its channels; and the door of the SDK.

::

    from adapters import Client
    from adapters.notices import DrugParcel

    async with Client.of_node("vn") as client:
        sent = await client.publish(DrugParcel(channel="POST"), countries=["JP", "VN"], source="case-17")
        await sent.wait("delivered")
        async for delivery in client.feed(after=place):
            ...

docs/api.md is the manual.  What is imported here is loaded when it is used, so that the node's own modules
cost nothing more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.sdk.client import Client
    from adapters.sdk.sync import SyncClient
    from adapters.sdk.values import Delivery, Sent
    from adapters.typed import WITHHELD, Withheld

__all__ = ["WITHHELD", "Client", "Delivery", "Sent", "SyncClient", "Withheld"]

_PLACES = {
    "Client": "adapters.sdk.client",
    "SyncClient": "adapters.sdk.sync",
    "Delivery": "adapters.sdk.values",
    "Sent": "adapters.sdk.values",
    "WITHHELD": "adapters.typed",
    "Withheld": "adapters.typed",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(place), name)
