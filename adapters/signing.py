"""Signing: what waits is composed, numbered and signed, everything that waits together under one signature.

Decides which drafts are signed now and under which numbers.  One draft is signed by itself; several are the
leaves of a batch (docs/formats.md, "Signature"), and each still proves itself alone.  When to sign is decided
in `outbox`, whether a draft may be signed in `compose`.
"""

from __future__ import annotations

import asyncio

from adapters.compose import Composed, compose
from adapters.equipment import Equipment
from adapters.outgoing import SEND_AGAIN, Queued, Statement
from broker.core.errors import Refused
from broker.core.limits import MOST_BATCH
from broker.core.model import Envelope, Region
from broker.core.records import encode, statement_id
from broker.core.signing import sign_batch
from broker.telemetry import logger_of

AT_ONCE = 256
"""How many drafts are signed together: their one signature is shared, and nobody waits long for it."""

assert AT_ONCE <= MOST_BATCH

COMPOSED_AT_ONCE = 16
"""After so many the node's other parts get their turn."""

log_line = logger_of("outbox")


class Signing:
    """Signs drafts of one region after the other.

    Args:
        equipment: What the node works with.
    """

    def __init__(self, equipment: Equipment) -> None:
        self._outgoing = equipment.outgoing
        self._incoming = equipment.incoming
        self._directories = equipment.directories
        self._catalogue = equipment.catalogue
        self._identity = equipment.identity
        self._clock = equipment.clock
        self._alarms = equipment.alarms

    async def sign(self, region: Region) -> list[Statement]:
        """Sign what waits in a region and keep it; refuse what cannot be signed.

        Raises:
            Unavailable: The store or the directory cannot be used now.
        """
        composed = await self._compose(region)
        if not composed:
            return []
        stream = self._outgoing.stream(region)
        # Reserved durably before anything is signed: after a crash in between the numbers are
        # skipped, and no number is ever signed twice.
        first = self._outgoing.reserve(stream, len(composed))
        previous = self._outgoing.tip(stream)
        headers, encoded = [], []
        for sequence, (_, each) in enumerate(composed, start=first):
            header = each.numbered(stream.name, sequence, previous)
            headers.append(header)
            encoded.append(encode(header))
            previous = statement_id(encoded[-1])
        identity, now = self._identity, self._clock.now()
        signatures = sign_batch(encoded, identity.network, identity.signer, identity.countersigner)
        statements = [
            Statement(
                id=statement_id(data),
                draft=queued.id,
                region=region,
                stream=stream.name,
                sequence=header.sequence,
                previous=header.previous,
                envelope=encode(Envelope(data, signature, each.disclosures, (), ())),
                key=identity.signer.public.id,
                state="signed",
                changed_at=now,
            )
            for (queued, each), header, data, signature in zip(
                composed, headers, encoded, signatures, strict=True
            )
        ]
        self._outgoing.keep(statements)
        return statements

    async def _compose(self, region: Region) -> list[tuple[Queued, Composed]]:
        index = await self._directories.newest()
        now = self._clock.now()
        composed = []
        for number, queued in enumerate(self._outgoing.waiting(region, AT_ONCE)):
            if number % COMPOSED_AT_ONCE == COMPOSED_AT_ONCE - 1:
                await asyncio.sleep(0)
            try:
                ready = compose(
                    queued.draft,
                    self._identity.member,
                    self._catalogue,
                    index,
                    self._incoming.known_references,
                    issued_at=queued.queued_at,
                    now=now,
                )
            except Refused as error:
                if error.code in SEND_AGAIN:
                    self._alarms.sound("outbox.blocked", error.code, error.field or "")
                    continue
                self._outgoing.refuse_draft(queued.id, error.code, error.field)
                log_line.warning("notice.refused", code=error.code, field=error.field)
            else:
                composed.append((queued, ready))
        return composed
