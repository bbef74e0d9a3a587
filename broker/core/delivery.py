"""What a receiver checks of a delivery by itself, without asking anybody.

Decides whether a delivery's content is what its head names, and whether that is a notice which its
originator signed.  Leaves to others whether the log contains it, whether its lane has a hole, and
whether the agreements allow it: a member's node asks those (`adapters.receiving.checks`).

Source: docs/formats.md, "What the gateway checks, in order".
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.core import records
from broker.core.catalogue import Catalogue
from broker.core.directory import Keyring
from broker.core.errors import BadDelivery, NotCanonical
from broker.core.header import is_ascending
from broker.core.model import Delivery, DeliveryHead
from broker.core.notice import Notice, open_envelope, read_envelope


@dataclass(frozen=True, slots=True)
class Opened:
    """A delivery whose content is what its head names.

    `notice` is None if the content was erased before it came.
    """

    head: DeliveryHead
    delivery_id: bytes
    notice: Notice | None


def open_delivery(
    delivery: Delivery, member: str, keyring: Keyring, catalogue: Catalogue, network: str
) -> Opened:
    """Return the delivery with its notice, or refuse it.

    Args:
        delivery: As it arrived.
        member: Who we are.
        keyring: Whose keys count when; asked for `decided_at`, so that a key which was revoked since
            leaves what was decided before standing.
        catalogue: The notice types that are known.
        network: What the deployment is called.

    Raises:
        NotCanonical: Head, header or signature is not in its one encoding.
        BadDelivery: It is another member's, or its content is not what the head names.
        BadSeal: A sealed slot or wrap is not the originator's, or not for us.
        Refused: The envelope itself does not hold; see `notice`.
    """
    # 1. The head has one encoding, so that a delivery cannot have two names.
    try:
        head = records.decode(DeliveryHead, delivery.head)
    except NotCanonical as error:
        raise NotCanonical(str(error), field=error.field or "head") from None
    if head.sequence < 1 or not is_ascending(head.slots):
        raise BadDelivery("the head's slots are out of order, or its sequence is below 1", field="head")
    # 2. It is ours.
    if head.member != member:
        raise BadDelivery("the delivery is another member's", field="member")
    name = records.delivery_id(delivery.head)
    # 3. Where the content is erased, nothing else is left of it.
    if delivery.envelope is None:
        if delivery.proofs:
            raise BadDelivery("there are proofs of content that is erased", field="proofs")
        return Opened(head, name, None)
    # 4. The content is the very one that the head names, which is what the log contains.
    raw = records.encode(delivery.envelope)
    if records.content_digest(raw) != head.content:
        raise BadDelivery("the content is not the one that the head names", field="content")
    # 5. It is small enough and of the right shape.
    arrived = read_envelope(raw)
    # 6. The head speaks of this statement, and of just the slots that came: more were not agreed, and
    #    fewer would let the log say that we know what we were never told.
    if arrived.statement != head.statement:
        raise BadDelivery("the content is of another statement", field="statement")
    envelope = delivery.envelope
    came = {one.slot for one in envelope.disclosures} | {one.slot for one in envelope.sealed}
    if came != set(head.slots):
        raise BadDelivery("the slots are not those that the head names", field="slots")
    # 7. It is a notice that its originator signed, by a key that counted when the hub decided; what is
    #    sealed is the originator's by its proofs, and no other member's.
    notice = open_envelope(
        arrived,
        keyring,
        catalogue,
        network,
        head.decided_at,
        complete=False,
        proofs=delivery.proofs,
        recipient=member,
    )
    return Opened(head, name, notice)
