"""What a delivery may be: allowed by the agreements of its day, and of the content that is shown.

Decides how much of it can be said from a bundle, in which agreements of others and what was decided about
earlier notices are not.
"""

from __future__ import annotations

from broker.core.agreements import Context, Share, decide
from broker.core.directory import Directory
from broker.core.errors import BadDelivery, NotAgreed
from broker.core.model import DeliveryHead, Envelope, Header
from broker.core.records import content_digest
from broker.core.redaction import redact


def agreed_by(head: DeliveryHead, header: Header, directory: Directory) -> str:
    """Return, for people, by what the delivery is allowed.

    Raises:
        NotAgreed: It is not.
    """
    agreements = {(each.id, each.version, each.digest): each for each in directory.agreements}
    names = " ".join(f"{ground.agreement}/{ground.version}" for ground in head.grounds)
    # 1. It names agreements; each is here, by its very bytes, and both sides acceded to it.
    if not head.grounds:
        raise NotAgreed("the delivery names no agreement", field="grounds")
    for ground in head.grounds:
        agreement = agreements.get((ground.agreement, ground.version, ground.digest))
        if agreement is None:
            raise NotAgreed("an agreement that the delivery names is not here", field="grounds")
        if not all(directory.acceded(each, agreement) for each in (header.originator, head.member)):
            raise NotAgreed("an agreement does not bind both sides", field="grounds")
    if header.references:
        return f"under {names} (how far the notices went that it follows is not judged)"
    # 2. They share it, with no more slots, and on those terms.
    verdict = decide(header, head.member, directory, Context(at=head.decided_at, references={}))
    if not isinstance(verdict, Share) or not verdict.slots.issuperset(head.slots):
        raise NotAgreed("the agreements do not share this with the member", field="slots")
    if (verdict.grounds, verdict.obligations) != (head.grounds, head.obligations):
        raise NotAgreed("the agreements ask for something else than the delivery says", field="obligations")
    return f"as {names} allows"


def content_shown(envelope: Envelope, head: DeliveryHead) -> str:
    """Return, for people, whether the content of the delivery is shown.

    Raises:
        BadDelivery: It is, and is another than the one that the head names.
    """
    there = {one.slot for one in envelope.disclosures} | {one.slot for one in envelope.sealed}
    if not there.issuperset(head.slots):
        return "not all of its content is shown here"
    delivered, _ = redact(envelope, frozenset(head.slots), head.member)
    if content_digest(delivered) != head.content:
        raise BadDelivery("the content is not the one that was delivered", field=f"deliveries/{head.member}")
    return "the content is the one shown here"
