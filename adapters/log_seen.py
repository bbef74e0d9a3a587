"""What a node can show of how far the hub's log had gone: the largest checkpoints that it saw, as signed.

Decides which checkpoints those are, and the form of the file in which they travel.  How a log ends that is
followed by another is in `broker.core.succession`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from adapters.receiving.incoming import Incoming
from adapters.store import Store
from broker.core.errors import NotFound
from broker.core.note import LogKey
from broker.core.succession import EndedLog, end_of
from broker.core.wire import json_shape


@json_shape
class LogSeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signed notes of checkpoints that a member's node saw, in ascending size, and the log's verifier key."""

    halong: Literal["log-seen/1"] = "log-seen/1"
    member: str
    log_key: str
    ends: list[str]


def seen_of_log(store: Store, log: LogKey) -> EndedLog:
    """Return the largest checkpoint that the node saw, and the largest that it and that a quorum cosigned.

    Raises:
        NotFound: It has seen none.
        BadSuccession: They are not what the log signed, or deny each other: then the store is evidence.
    """
    incoming = Incoming(store)
    largest, _ = incoming.notes_around(incoming.largest_seen())
    witnessed = store.row("SELECT note FROM witnessed WHERE origin = ?", log.name)
    cosigned = store.fact("cosigned_note")
    notes = [
        *([] if largest is None else [largest[1]]),
        *([] if witnessed is None else [witnessed[0]]),
        *([] if cosigned is None else [cosigned]),
    ]
    if not notes:
        raise NotFound("no checkpoint of the log was seen yet", field="checkpoint")
    return end_of(log, notes)


def written(member: str, seen: EndedLog) -> bytes:
    """Return the file in which a member hands on what its node saw."""
    notes = [note.decode() for note in seen.ends]
    return msgspec.json.encode(LogSeen(member=member, log_key=seen.log.vkey, ends=notes)) + b"\n"
