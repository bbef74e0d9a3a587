"""What happened in a log, told by a reader that shares nothing with ours: SQLite, fastavro and SHA-256.

Answers an auditor's questions in the plainest way, by loops over all records, so that the index and its
questions have something to be held against.

Source: docs/formats.md; the tables of `broker/log/sqlite.py`: a record's id is `partition << 40 | offset`.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import fastavro

OFFSET_BITS = 40
FRAME_BYTES = 5
SCHEMAS = Path(__file__).parents[1] / "schemas/records"
LEAF_TYPES = {
    "notices": 1,
    "decisions": 2,
    "inbox": 3,
    "receipts": 4,
    "refusals": 5,
    "reads": 7,
    "erasures": 8,
}


def _read(name: str, data: bytes) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(data), _SCHEMAS[name], None)


_SCHEMAS = {
    name: fastavro.parse_schema(json.loads((SCHEMAS / f"{name}.avsc").read_bytes()))
    for name in ("envelope", "header", "decision", "delivery", "delivery_head", "read", "refusal", "leaf",
                 "signed_receipt", "receipt", "erasure")
}  # fmt: skip


def name_of(kind: str, data: bytes) -> bytes:
    return sha256(f"halong/{kind}/1\0".encode() + data).digest()


def at(value: Any) -> int:
    """A time as milliseconds, also where the library made a datetime of it."""
    return value if isinstance(value, int) else round(value.timestamp() * 1000)


@dataclass(slots=True)
class Told:
    """Everything, by plain loops."""

    statements: dict[bytes, Any] = field(default_factory=dict)
    decisions: dict[bytes, Any] = field(default_factory=dict)
    deliveries: dict[bytes, Any] = field(default_factory=dict)
    receipts: list[Any] = field(default_factory=list)
    reads: list[Any] = field(default_factory=list)
    refusals: list[Any] = field(default_factory=list)
    erasures: list[Any] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    whole: list[tuple[str, bytes]] = field(default_factory=list)
    """Topic and statement of each record that still has contents."""

    def remaining(self) -> list[tuple[str, bytes]]:
        """Return contents that lie there and that the log says were erased."""
        erased = {each["statement"] for each in self.erasures}
        return [(topic, statement) for topic, statement in self.whole if statement in erased]

    def received(self, originator: str, agreement: str, since: int, until: int) -> Counter[str]:
        """Count who received something of an originator under an agreement."""
        return Counter(
            each["member"]
            for each in self.deliveries.values()
            if each["lane"].split("/")[1] == originator
            and since <= at(each["decided_at"]) < until
            and agreement in {ground["agreement"] for ground in each["grounds"]}
        )

    def stages(self, statement: bytes) -> Counter[tuple[str, str, int]]:
        """Count what happened to a statement: what, to whom, and the first leaf of its record."""
        found: Counter[tuple[str, str, int]] = Counter()

        def note(what: str, member: str, kind: str, id_: bytes) -> None:
            found[what, member, self.leaves.index(bytes((LEAF_TYPES[kind],)) + id_)] += 1

        note("published", self.statements[statement]["originator"], "notices", statement)
        if statement in self.decisions:
            note("decided", "", "decisions", self.decisions[statement]["id"])
        for each in self.refusals:
            if each["statement"] == statement:
                note("refused", each["peer"], "refusals", each["id"])
        for each in self.erasures:
            if each["statement"] == statement:
                note("erased", "", "erasures", each["id"])
        for id_, each in self.deliveries.items():
            if each["statement"] == statement:
                note("delivered", each["member"], "inbox", id_)
                for what, kind, record in self._after(id_, each["member"]):
                    note(what, each["member"], kind, record)
        for other, header in self.statements.items():
            if statement in header["references"] and other in self.decisions:
                got = {each["member"] for each in self.deliveries.values() if each["statement"] == statement}
                answered = header["notice_type"] == "feedback" and header["originator"] in got
                what = "acted on" if answered else "followed"
                note(what, header["originator"], "decisions", self.decisions[other]["id"])
        return found

    def _after(self, delivery: bytes, member: str) -> Iterator[tuple[str, str, bytes]]:
        """Yield what its member did with a delivery: the first read of it, and the first of each receipt."""
        for read in self.reads:
            if delivery in read["ids"] and read["reader"] == member:
                yield "received", "reads", read["id"]
                break
        events = set()
        for receipt in self.receipts:
            mine = delivery in receipt["deliveries"] and receipt["member"] == member
            if mine and receipt["event"] not in events:
                events.add(receipt["event"])
                what = "rejected" if receipt["event"] == "REJECTED" else "acknowledged"
                yield what, "receipts", receipt["id"]

    def refused(self) -> Counter[str]:
        """Count what was refused, by code."""
        counts: Counter[str] = Counter()
        for each in self.refusals:
            counts[each["code"]] += each["count"]
        return counts

    def sent(self) -> Counter[tuple[str, str, str]]:
        """Count live deliveries by agreement, originator and member."""
        return Counter(
            (ground["agreement"], each["lane"].split("/")[1], each["member"])
            for each in self.deliveries.values()
            if self.statements[each["statement"]]["status"] == "ACTUAL"
            for ground in each["grounds"]
        )

    def readers(self, statement: bytes) -> Counter[str]:
        """Count who read a statement or a delivery of it."""
        ids = {statement} | {i for i, each in self.deliveries.items() if each["statement"] == statement}
        return Counter(each["reader"] for each in self.reads if ids & set(each["ids"]))

    def standing(self) -> dict[str, tuple[int, int, int]]:
        """Return, for each member, what was delivered, what of it it took, and what it acknowledged."""
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for id_, each in self.deliveries.items():
            mine = counts[each["member"]]
            mine[0] += 1
            mine[1] += any(id_ in read["ids"] and read["reader"] == each["member"] for read in self.reads)
            mine[2] += any(
                id_ in receipt["deliveries"] and receipt["member"] == each["member"]
                and receipt["event"] in ("ACCEPTED", "DELIVERED", "READ")
                for receipt in self.receipts
            )  # fmt: skip
        return {member: (sent, taken, said) for member, (sent, taken, said) in counts.items()}


def recount(file: Path) -> Told:
    """Read an embedded log."""
    told = Told()
    for topic, value in _values(file):
        kind, data = topic.split(".")[0], value[FRAME_BYTES:]
        if kind == "notices":
            envelope = _read("envelope", data)
            header = envelope["header"]
            told.statements.setdefault(name_of("statement", header), _read("header", header))
            if envelope["disclosures"] or envelope["sealed"] or envelope["wraps"]:
                told.whole.append((topic, name_of("statement", header)))
        elif kind == "inbox":
            delivery = _read("delivery", data)
            head = delivery["head"]
            told.deliveries[name_of("delivery", head)] = _read("delivery_head", head)
            if delivery["envelope"] is not None:
                told.whole.append((topic, told.deliveries[name_of("delivery", head)]["statement"]))
        elif kind == "decisions":
            decision = _read("decision", data)
            told.decisions[decision["statement"]] = {**decision, "id": name_of("decision", data)}
        elif kind == "receipts":
            receipt = _read("receipt", _read("signed_receipt", data)["receipt"])
            told.receipts.append({**receipt, "id": name_of("receipt", data)})
        elif kind in ("reads", "refusals", "erasures"):
            name = kind.removesuffix("s")
            getattr(told, kind).append({**_read(name, data), "id": name_of(name, data)})
        elif topic == "audit.leaves":
            told.leaves.append(_read("leaf", data)["entry"])
    return told


def _values(file: Path) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as log:
        partitions = log.execute("SELECT id, topic FROM partitions ORDER BY topic, number").fetchall()
        for number, topic in partitions:
            first, behind = number << OFFSET_BITS, (number + 1) << OFFSET_BITS
            query = "SELECT value FROM records WHERE id >= ? AND id < ? ORDER BY id"
            for (value,) in log.execute(query, (first, behind)):
                yield topic, value
