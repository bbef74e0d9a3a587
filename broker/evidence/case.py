"""What is in a bundle: the parts of a case, and the files that they are.

Decides which part is which file, and that nothing else is there.  Nothing that the parts say has been
checked; that is the business of `checking`.

::

    evidence.json                       what the bundle is about
    log.vkey, log/checkpoint            the log's key, and the checkpoint to which every proof leads
    log/first-checkpoint, growth.json   the first that covered the decision, and that the other continues it
    statement/envelope, leaf.…          the notice, as far as it is shown, and that the log has it
    decision/record, leaf.…             what the hub decided, and that the log has it
    deliveries/<member>/record, leaf.…  the head of each delivery, and that the log has it
    receipts/<leaf>/record, leaf.…      what members said of them, and that the log has it
    erasure/record, leaf.…              that the content was erased, when and why, and that the log has it
    directory/…                         members, keys and agreements as they were
    openssl/…, page.html                the same once more, for other programs and for people
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from broker.core.errors import BadEvidence, NotCanonical
from broker.core.model import Proof
from broker.core.wire import Consistency, json_shape, read

S = TypeVar("S")

Hex = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]

MANIFEST = "evidence.json"
PAGE = "page.html"
VKEY = "log.vkey"
CHECKPOINT = "log/checkpoint"
FIRST = "log/first-checkpoint"
GROWTH = "log/growth.json"
ENVELOPE = "statement/envelope"
SEALS = "statement/seals.json"
DIRECTORY = "directory/"
OPENSSL = "openssl/"
RECORD, PROOF, RECEIPT = "record", "leaf.tlog-proof", "leaf.cose"


@json_shape
class Manifest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a bundle is about.

    `directory` is the version under which was decided, `heard` the one under which receipts are judged.
    """

    evidence: Literal[1]
    network: str
    reference: str
    statement: Hex
    directory: Hex
    heard: Hex | None = None


@json_shape
class _Seals(Struct, frozen=True, forbid_unknown_fields=True):
    proofs: list[Proof]


@dataclass(frozen=True, slots=True)
class Logged:
    """A record, that the log has it (`proof`, a tlog-proof), and perhaps the log's COSE receipt for it."""

    record: bytes
    proof: bytes
    receipt: bytes | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """The parts of a bundle.

    Attributes:
        manifest: What it is about.
        log_key: The log's verifier key.
        checkpoint: The signed note to which every proof leads.
        envelope: The notice as far as it is shown, encoded.
        directory: Files of the directory by their names in it.
        first: The first checkpoint over the decision, and the path from it, if the other came much later.
        seals: That sealed slots and wraps are the originator's, where not all of them are there.
        statement: That the log has the statement; the record stays empty, it is the envelope's header.
        decision: The hub's decision.
        deliveries: The heads of deliveries by the members that got them.
        receipts: What members said, by the leaf's index.
        erasure: That the content was erased at the hub; nothing of it is here then.
    """

    manifest: Manifest
    log_key: str
    checkpoint: bytes
    envelope: bytes
    directory: Mapping[str, bytes]
    first: tuple[bytes, list[bytes]] | None = None
    seals: tuple[Proof, ...] | None = None
    statement: Logged | None = None
    decision: Logged | None = None
    deliveries: Mapping[str, Logged] = field(default_factory=dict)
    receipts: Mapping[int, Logged] = field(default_factory=dict)
    erasure: Logged | None = None


def files_of(case: Case) -> dict[str, bytes]:
    """Return the files that a case's parts are, without those that follow from them."""
    files = {
        MANIFEST: msgspec.json.format(msgspec.json.encode(case.manifest), indent=2) + b"\n",
        VKEY: case.log_key.encode() + b"\n",
        CHECKPOINT: case.checkpoint,
        ENVELOPE: case.envelope,
        **{DIRECTORY + name: data for name, data in case.directory.items()},
    }
    if case.first is not None:
        files[FIRST] = case.first[0]
        files[GROWTH] = msgspec.json.encode(Consistency(case.first[1])) + b"\n"
    if case.seals is not None:
        files[SEALS] = msgspec.json.encode(_Seals(list(case.seals))) + b"\n"
    places = {
        "statement": case.statement,
        "decision": case.decision,
        **{f"deliveries/{member}": each for member, each in case.deliveries.items()},
        **{f"receipts/{index}": each for index, each in case.receipts.items()},
        "erasure": case.erasure,
    }
    for place, logged in places.items():
        if logged is None:
            continue
        if place != "statement":
            files[f"{place}/{RECORD}"] = logged.record
        files[f"{place}/{PROOF}"] = logged.proof
        if logged.receipt is not None:
            files[f"{place}/{RECEIPT}"] = logged.receipt
    return files


def case_of(files: Mapping[str, bytes]) -> Case:
    """Return the parts that the files of a bundle are.

    Raises:
        BadEvidence: A file is missing, is not in its one form, or belongs to nothing.
    """
    first = None
    if FIRST in files:
        first = files[FIRST], _json(files, GROWTH, Consistency).path
    members = sorted({name.split("/")[1] for name in files if name.startswith("deliveries/")})
    indexes = sorted({name.split("/")[1] for name in files if name.startswith("receipts/")})
    case = Case(
        manifest=_json(files, MANIFEST, Manifest),
        log_key=_there(files, VKEY).decode("ascii", "replace").removesuffix("\n"),
        checkpoint=_there(files, CHECKPOINT),
        envelope=_there(files, ENVELOPE),
        directory={
            name.removeprefix(DIRECTORY): data for name, data in files.items() if name.startswith(DIRECTORY)
        },
        first=first,
        seals=tuple(_json(files, SEALS, _Seals).proofs) if SEALS in files else None,
        statement=_logged(files, "statement"),
        decision=_logged(files, "decision"),
        deliveries={member: _part(files, f"deliveries/{member}") for member in members},
        receipts={int(index): _part(files, f"receipts/{index}") for index in indexes},
        erasure=_logged(files, "erasure"),
    )
    # Written again it is the very same: each file is in its one form, and none is there for nothing.
    again = files_of(case)
    for name, data in files.items():
        if name == PAGE or name.startswith(OPENSSL):
            continue
        if again.get(name) != data:
            raise BadEvidence("not in its one form, or belongs to no part of the bundle", field=name)
    return case


def _logged(files: Mapping[str, bytes], place: str) -> Logged | None:
    if f"{place}/{PROOF}" not in files:
        return None
    record = b"" if place == "statement" else _there(files, f"{place}/{RECORD}")
    return Logged(record, files[f"{place}/{PROOF}"], files.get(f"{place}/{RECEIPT}"))


def _part(files: Mapping[str, bytes], place: str) -> Logged:
    _there(files, f"{place}/{PROOF}")
    found = _logged(files, place)
    assert found is not None
    return found


def _there(files: Mapping[str, bytes], name: str) -> bytes:
    data = files.get(name)
    if data is None:
        raise BadEvidence("is missing", field=name)
    return data


def _json(files: Mapping[str, bytes], name: str, shape: type[S]) -> S:
    try:
        return read(_there(files, name), shape)
    except NotCanonical:
        raise BadEvidence("is not of its shape", field=name) from None
