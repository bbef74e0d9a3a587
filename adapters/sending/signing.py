"""Signing: what waits is composed, numbered and signed, everything that waits together under one signature.

Decides which drafts are signed now and under which numbers.  One draft is signed by itself; several are the
leaves of a batch (docs/formats.md, "Signature"), and each still proves itself alone.  When to sign is decided
in `outbox`, whether a draft may be signed in `compose`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from adapters.equipment import Equipment
from adapters.sending.compose import Composed, compose
from adapters.sending.salts import Salts
from adapters.sending.statement import SEND_AGAIN, Queued, Statement, Stream
from broker.core.errors import Refused, StoreDamaged
from broker.core.limits import MOST_BATCH
from broker.core.model import Envelope, Header, Region
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
        self._salts = Salts(equipment.store)

    async def sign(self, region: Region) -> list[Statement]:
        """Sign what waits in a region and keep it; refuse what cannot be signed.

        Raises:
            Unavailable: The store, the directory or the key cannot be used now.
        """
        composed = await self._compose(region)
        if not composed:
            return []
        identity = self._identity
        await identity.ready()
        stream = self._outgoing.stream(region)
        # Reserved durably before anything is signed: after a crash in between, or if the key fails now, the
        # numbers are skipped, and no number is ever signed twice.
        first = self._outgoing.reserve(stream, len(composed))
        headers = self._numbered(stream, first, composed)
        encoded = [data for _, data in headers]
        signatures = await identity.signed(
            partial(sign_batch, encoded, identity.network, identity.signer, identity.countersigner)
        )
        statements = self._statements(composed, headers, signatures)
        self._outgoing.keep(statements)
        return statements

    async def foresee(self, region: Region) -> list[Statement]:
        """Return what `sign` would make now of what waits: without signatures, and no number is given out.

        Raises:
            Unavailable: The store or the directory cannot be used now.
        """
        composed = await self._compose(region)
        stream = self._outgoing.stream(region)
        headers = self._numbered(stream, stream.reserved + 1, composed)
        return self._statements(composed, headers, [b""] * len(headers))

    def _numbered(
        self, stream: Stream, first: int, composed: Sequence[tuple[Queued, Composed]]
    ) -> list[tuple[Header, bytes]]:
        """Return the headers under their numbers, each with the bytes that are signed."""
        previous = self._outgoing.tip(stream)
        headers = []
        for sequence, (_, each) in enumerate(composed, start=first):
            header = each.numbered(stream.name, sequence, previous)
            data = encode(header)
            headers.append((header, data))
            previous = statement_id(data)
        return headers

    def _statements(
        self,
        composed: Sequence[tuple[Queued, Composed]],
        headers: Sequence[tuple[Header, bytes]],
        signatures: Sequence[bytes],
    ) -> list[Statement]:
        now = self._clock.now()
        made = []
        for (queued, each), (header, data), signature in zip(composed, headers, signatures, strict=True):
            made.append(
                Statement(
                    id=statement_id(data),
                    draft=queued.id,
                    region=header.region,
                    stream=header.stream,
                    sequence=header.sequence,
                    previous=header.previous,
                    envelope=encode(Envelope(data, signature, each.disclosures, (), ())),
                    key=self._identity.signer.public.id,
                    state="signed",
                    changed_at=now,
                )
            )
        return made

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
                    salt=self._salts.of(queued.id),
                )
            except StoreDamaged:
                # Not the notice's fault: it waits for a store that is whole.
                raise
            except Refused as error:
                if error.code in SEND_AGAIN:
                    self._alarms.sound("outbox.blocked", error.code, error.field or "")
                    continue
                self._outgoing.refuse_draft(queued.id, error.code, error.field)
                log_line.warning("notice.refused", code=error.code, field=error.field)
            else:
                composed.append((queued, ready))
        return composed
