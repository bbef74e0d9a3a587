"""The operator's orders to erase: files in a folder beside the log, each written whole by `halong hub erase`.

An order is a document: it stays where it is after it was carried out, and the `Erasure` record names it by
its digest.  Decides what a file must say; who may write one is whoever may write into the hub's folder.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec

from broker.core.errors import NotCanonical
from broker.core.model import ErasureGround
from broker.core.notice_json import time_from_json, time_to_json
from broker.core.wire import json_shape, read
from broker.files import read_sent, sync_folder, write_whole
from broker.services.due import Due
from broker.telemetry import logger_of

FOLDER = "orders"
MOST_BYTES = 64 << 10
ID_BYTES = 32

log_line = logger_of("orders")


@json_shape
class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file says.  `because` is for people: a decision, a letter, a case; never the content itself."""

    network: str
    statement: str
    reference: str
    ground: str
    ordered_at: str
    because: str


class Orders:
    """Reads and writes orders.

    Args:
        root: The hub's folder.
        network: What the deployment is called.
    """

    def __init__(self, root: Path, network: str) -> None:
        self._folder = root / FOLDER
        self._network = network
        self._refused: set[Path] = set()
        self._known: dict[Path, Due] = {}

    def write(self, statement: bytes, reference: str, ground: ErasureGround, because: str, at: int) -> Path:
        """Write an order, durably, and return where it is; one that is there already stays as it is."""
        path = self._folder / f"erase-{statement.hex()}.json"
        if not path.exists():
            order = Order(
                network=self._network,
                statement=statement.hex(),
                reference=reference,
                ground=ground.name.lower(),
                ordered_at=time_to_json(at),
                because=because,
            )
            write_whole(path, msgspec.json.format(msgspec.json.encode(order)) + b"\n", 0o600)
            sync_folder(path.parent)
        return path

    def read(self) -> list[Due]:
        """Return every order; a file that is none is told of once, and counts for nothing."""
        if not self._folder.is_dir():
            return []
        for path in sorted(self._folder.glob("erase-*.json")):
            if path in self._known or path in self._refused:
                continue
            try:
                self._known[path] = self._due(read_sent(path, MOST_BYTES))
            except (ValueError, NotCanonical, OSError):
                self._refused.add(path)
                log_line.warning("order.refused", code=NotCanonical.code, field=FOLDER)
        return list(self._known.values())

    def _due(self, data: bytes) -> Due:
        order = read(data, Order)
        statement = bytes.fromhex(order.statement)
        if order.network != self._network or len(statement) != ID_BYTES:
            raise NotCanonical("another network's order, or no statement in it", field=FOLDER)
        try:
            ground = ErasureGround[order.ground.upper()]
        except KeyError:
            raise NotCanonical("no ground on which anything is erased", field="ground") from None
        return Due(statement, time_from_json(order.ordered_at), ground, sha256(data).digest())
