"""Writes down what an operator asks of the log, durably, before it is answered.

Decides the form of such a read: the operator's name, which no member can have, the question with its reason,
and the statements of which the answer tells.  A question whose answer tells of none is written down, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from broker.clock import Clock
from broker.core.errors import NotCanonical
from broker.core.keys import new_salt
from broker.core.model import Read, Readable
from broker.core.records import named_frame
from broker.core.wire import Asked
from broker.log import Log, Partition, Record
from broker.log.topics import READS

MOST_IDS: Final = 1_024
"""So many statements are in one record; of more, several are written in one step."""
MOST_ASKED: Final = 10 * MOST_IDS
MOST_REASON: Final = 500
ID_BYTES: Final = 32
READER: Final = re.compile(r"operator:[A-Za-z0-9._-]{1,64}")


async def write_down(log: Log, clock: Clock, asked: Asked) -> None:
    """Append what was asked; on return it would survive a crash.

    Raises:
        NotCanonical: It is not in its form.
        LogUnavailable: Perhaps it was written, perhaps not: it must not be answered.
    """
    if READER.fullmatch(asked.reader) is None:
        raise NotCanonical("an operator is called `operator:` and a name", field="reader")
    if not 0 < len(asked.reason) <= MOST_REASON or not asked.reason.isprintable():
        raise NotCanonical(f"a reason is one line of at most {MOST_REASON} letters", field="reason")
    if len(asked.ids) > MOST_ASKED or any(len(each) != ID_BYTES for each in asked.ids):
        raise NotCanonical(f"at most {MOST_ASKED} ids of {ID_BYTES} bytes", field="ids")
    now = clock.now()
    ids = sorted(set(asked.ids))
    parts = [ids[start : start + MOST_IDS] for start in range(0, len(ids), MOST_IDS)] or [[]]
    await log.append([_record(asked, part, now) for part in parts])


def _record(asked: Asked, ids: Iterable[bytes], now: int) -> Record:
    read = Read(
        salt=new_salt(),
        reader=asked.reader,
        what=Readable.AUDIT,
        ids=tuple(ids),
        reason=asked.reason,
        at=now,
    )
    return Record(Partition(READS), *named_frame(read))
