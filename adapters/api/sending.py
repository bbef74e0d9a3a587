"""What the member's systems send through the local API: into the queue once, and how far it has come.

Decides that a source is queued once: the same notice again is the same one, another notice under its name is
refused.  How requests look is decided in `routes`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.api import shapes
from adapters.api.changes import Changes
from adapters.directories import first_region
from adapters.equipment import Equipment
from adapters.preview import look_ahead
from adapters.sending.draft import Draft
from adapters.sending.progress import Progress, Stage, Watching
from adapters.store import StoreUnavailable
from broker.core.errors import BadHeader, NotFound, Refused, SourceReused
from broker.core.model import Region
from broker.core.notice_json import time_or_none, time_to_json

SOURCE = re.compile(rf"[!-~]{{1,{shapes.MOST_SOURCE}}}")


class Sending:
    """Queues notices, and tells how far they have come.

    Args:
        equipment: What the node works with; the store is a connection of the API's own.
        region: What notices lead in that name none; None: the member's first region.
        changes: Tells when to look again.
    """

    def __init__(self, equipment: Equipment, region: Region | None, changes: Changes) -> None:
        self._equipment = equipment
        self._outgoing = equipment.outgoing
        self._incoming = equipment.incoming
        self._watching = Watching(equipment.store)
        self._region = region
        self._changes = changes

    async def publish(self, notices: Sequence[object], key: str | None) -> shapes.Published:
        """Queue notices in one durable step, all or none; `key` names all that name no source themselves.

        Raises:
            Refused: One of them is none that could be signed; the field says which.
            SourceReused: One has the source of another notice.
        """
        drafts = []
        for place, each in enumerate(notices):
            prefix = f"{place}." if len(notices) > 1 else ""
            source = None if key is None else key if len(notices) == 1 else f"{key}/{place}"
            drafts.append(await self._draft(each, prefix, source))
        self._not_reused(drafts)
        now = self._equipment.clock.now()
        queued = self._outgoing.enqueue(drafts, now)
        found = []
        for draft, id_ in zip(drafts, queued, strict=True):
            known = None if id_ is not None else self._outgoing.by_source(draft.source or "")
            number = id_ if known is None else known.id
            assert number is not None
            found.append(shapes.Queued(id=number, known=known is not None, source=draft.source))
        self._changes.tell()
        return shapes.Published(notices=found)

    async def preview(self, notice: object) -> shapes.Preview:
        """Tell who would get a notice now; nothing is queued."""
        draft = await self._draft(notice, "", None)
        index = await self._equipment.directories.newest()
        ahead = look_ahead(
            draft,
            self._equipment.identity.member,
            self._equipment.catalogue,
            index,
            self._incoming,
            self._equipment.clock.now(),
        )
        return shapes.Preview(
            receivers=[
                shapes.Receiver(
                    member=each.member,
                    slots=list(each.slots),
                    agreements=list(each.agreements),
                    receives=each.receives,
                    reason=None if each.reason is None else each.reason.value,
                )
                for each in ahead.receivers
            ]
        )

    async def notice(self, id_: int, stage: Stage, seconds: float) -> shapes.NoticeState:
        """Tell how far a notice has come; wait up to `seconds` until it has come to `stage`.

        Raises:
            NotFound: There is none.
        """
        progress = self._progress(id_)
        if seconds > 0 and not progress.reached(stage):
            await self._changes.until(lambda: self._progress(id_).reached(stage), seconds)
            progress = self._progress(id_)
        return _state(progress, self._equipment.identity.member)

    def notices(self, after: int, limit: int, source: str | None) -> shapes.NoticeStates:
        """Tell how far notices have come, in the order in which they were queued; or the one of a source."""
        if source is None:
            queued = self._outgoing.listed(after=after, limit=limit)
        else:
            found = self._outgoing.by_source(source)
            queued = [] if found is None or found.id <= after else [found]
        member = self._equipment.identity.member
        return shapes.NoticeStates(notices=[_state(each, member) for each in self._watching.progress(queued)])

    def _progress(self, id_: int) -> Progress:
        queued = self._outgoing.queued(id_)
        if queued is None:
            raise NotFound("there is no such notice", field="id")
        # Whoever asks once asks again: then the counts are there.  A disk that is full keeps nobody from
        # being told what is known.
        with contextlib.suppress(StoreUnavailable):
            self._watching.watch([id_], self._equipment.clock.now())
        (progress,) = self._watching.progress([queued])
        return progress

    async def _draft(self, obj: object, prefix: str, source: str | None) -> Draft:
        if isinstance(obj, dict) and "source" in obj:
            obj = dict(obj)
            source = obj.pop("source")
        if source is not None and not (isinstance(source, str) and SOURCE.fullmatch(source)):
            raise BadHeader(
                f"a source has 1 to {shapes.MOST_SOURCE} printable ASCII characters", field=f"{prefix}source"
            )
        try:
            return Draft.from_json(
                obj,
                self._equipment.catalogue,
                member=self._equipment.identity.member,
                region=await self._leading(),
                at=self._equipment.clock.now(),
                source=source,
            )
        except Refused as error:
            raise type(error)(str(error), field=f"{prefix}{error.field or ''}".rstrip(".") or None) from None

    async def _leading(self) -> Region:
        if self._region is not None:
            return self._region
        index = await self._equipment.directories.newest()
        return first_region(index.directory, self._equipment.identity.member)

    def _not_reused(self, drafts: Sequence[Draft]) -> None:
        """Let drafts pass whose sources are free, or were given to just the same."""
        seen: dict[str, Draft] = {}
        for place, draft in enumerate(drafts):
            if draft.source is None:
                continue
            known = self._outgoing.by_source(draft.source)
            before = seen.get(draft.source) if known is None else known.draft
            # Compared as they are stored: a list in another order is the same.
            if before is not None and _plain(before) != _plain(draft):
                raise SourceReused(
                    "another notice was queued under this source",
                    field=f"{place}.source" if len(drafts) > 1 else "source",
                )
            seen[draft.source] = draft


def _plain(draft: Draft) -> Any:
    return msgspec.json.decode(draft.to_json())


def _state(progress: Progress, member: str) -> shapes.NoticeState:
    queued, counts = progress.queued, progress.counts
    return msgspec.convert(
        {
            "id": queued.id,
            "type": queued.draft.notice_type,
            "stage": progress.label,
            "queued_at": time_to_json(queued.queued_at),
            "source": queued.draft.source,
            "code": queued.code,
            "field": queued.field,
            "statement": None if queued.statement is None else queued.statement.hex(),
            "reference": None if queued.reference is None else f"halong:{member}/{queued.reference}",
            "receivers": progress.receivers,
            "delivered": counts.delivered,
            "acknowledged": counts.acknowledged,
            "rejected": counts.rejected,
            "asked_at": time_or_none(counts.asked_at),
        },
        shapes.NoticeState,
    )
