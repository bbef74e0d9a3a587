"""Feedback: what is due, and the answer to it in one call.

Decides what a feedback notice looks like that answers a delivered one: addressed to its originator, led by
its region, of its status, about its route and goods, so that the grants which carried the notice there have a
way back; at least as closed as the notice was.  Whether an agreement carries it back is decided by the same
`decide` as everything else.  An answer is queued once: a second one only if it is asked for.

What was shared and answered is kept in `view`; when a person is reminded, in `reminders`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.feedback.view import FEEDBACK, FeedbackView, Shared
from adapters.preview import Preview, Receiver, look_ahead
from adapters.receiving.incoming import Incoming
from adapters.sending.draft import Draft
from adapters.sending.outgoing import Outgoing
from adapters.store import Store
from adapters.stored import stored_record
from broker.core.catalogue import Catalogue
from broker.core.errors import BadHeader
from broker.core.index import Index
from broker.core.model import Act, Delivery, Header, Tlp
from broker.core.records import decode

MOST_DUE = 1000


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that this member owes feedback on."""

    shared: Shared
    overdue: bool
    left_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a delivered notice: what would be signed, who would get it, and its place in the queue.

    `queued` is the draft's number; None if it was not queued: it was only composed, or given before.
    """

    shared: Shared
    draft: Draft
    preview: Preview
    queued: int | None

    @property
    def receivers(self) -> Sequence[Receiver]:
        """Every other member, those first who would get it."""
        return self.preview.receivers


def due(
    store: Store, member: str, catalogue: Catalogue, now: int, *, within_ms: int | None = None
) -> list[Due]:
    """Return what `member` owes feedback on, the longest overdue first, at most 1,000.

    `within_ms` leaves out what is due later than that from now.
    """
    view = FeedbackView(store, member, catalogue)
    view.read_all()
    before = None if within_ms is None else now + within_ms
    return [
        Due(each, overdue=each.due_at <= now, left_ms=each.due_at - now)
        for each in view.owed(limit=MOST_DUE, before=before)
        if each.due_at is not None
    ]


def find_received(store: Store, member: str, catalogue: Catalogue, name: str) -> Shared:
    """Return the notice that was delivered to us and that `name` means.

    `name` is a reference, or the beginning of the id of a statement or a delivery.

    Raises:
        BadHeader: There is none, or more than one.
    """
    view = FeedbackView(store, member, catalogue)
    view.read_all()
    found = [each for each in view.find(name) if each.receiver == member]
    if not found:
        raise BadHeader("no notice of this name was delivered here", field="reference")
    if len(found) > 1:
        raise BadHeader("more than one notice begins so", field="reference")
    return found[0]


def compose_answer(
    store: Store,
    member: str,
    catalogue: Catalogue,
    index: Index,
    name: str,
    content: Mapping[str, Any],
    *,
    now: int,
    tlp: Tlp | None = None,
    again: bool = False,
) -> Answer:
    """Return the answer to a delivered notice and who would get it; nothing is queued.

    Args:
        store: The node's store.
        member: Who answers.
        catalogue: The notice types.
        index: The directory of now.
        name: The notice: a reference, or the beginning of a statement's or delivery's id.
        content: The feedback in the JSON form of its type; `outcome` at least.
        now: The time.
        tlp: How closed it is; that of the notice, or of the type if that is more closed.
        again: Answer once more what was answered before.

    Raises:
        Refused: The notice is not here, the content does not fit, or no agreement carries it back
            (`addressee-unreached`).
    """
    shared = find_received(store, member, catalogue, name)
    original = _header_of(store, shared)
    closed = max(original.tlp, Tlp[str(catalogue.current(FEEDBACK).schema.get("tlp", "AMBER"))])
    obj = {
        "type": FEEDBACK,
        "status": original.status.name,
        "act": Act.FEEDBACK.name,
        "references": [shared.statement.hex()],
        "addressees": [shared.originator],
        "tlp": (closed if tlp is None else tlp).name,
        "handling": original.handling.name,
        "purpose": original.purpose,
        "countries": original.countries,
        "subjects": original.subjects,
        "campaign": original.campaign,
        "notice": content,
    }
    source = _source(FeedbackView(store, member, catalogue), shared, again=again)
    draft = Draft.from_json(obj, catalogue, member=member, region=original.region, at=now, source=source)
    ahead = look_ahead(draft, member, catalogue, index, Incoming(store), now)
    return Answer(shared, draft, ahead, None)


def queue_answer(store: Store, made: Answer, *, now: int, again: bool = False) -> Answer:
    """Queue a composed answer, unless it was given before and is not to be given `again`.

    Raises:
        StoreUnavailable: It was not queued.
    """
    if made.shared.answered_at is not None and not again:
        return made
    (queued,) = Outgoing(store).enqueue([made.draft], now)
    return replace(made, queued=queued)


def _header_of(store: Store, shared: Shared) -> Header:
    row = store.row("SELECT record FROM deliveries WHERE id = ?", shared.delivery)
    envelope = None if row is None else stored_record(Delivery, row[0], "deliveries.record").envelope
    if envelope is None:
        raise BadHeader("its content is not here any more", field="reference")
    return decode(Header, envelope.header)


def _source(view: FeedbackView, shared: Shared, *, again: bool) -> str:
    """Return what makes the answer the same one however often the command runs.

    An answer that was refused frees its name for another; a further one has a name of its own.
    """
    given = view.answers_by(shared.statement, shared.receiver)
    refused = view.refused_by_hub(shared.statement)
    number = refused + (given if again else 0)
    return f"feedback/{shared.statement.hex()}" + (f"/{number + 1}" if number else "")
