"""What attacks on envelopes are made of: real keys, a directory with their history, and stations to try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from broker.core import records
from broker.core.delivery import open_delivery
from broker.core.directory import Directory, Member, MemberClass, MemberKey, Use
from broker.core.errors import Refused
from broker.core.header import check_supported
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Delivery, DeliveryHead, Disclosure, Envelope, Header, Region
from broker.core.notice import draft, open_envelope, read_envelope
from broker.core.signing import sign_header
from tests.vectors.material import CATALOGUE, NETWORK, SAMPLE, VECTORS

DAY = 24 * 3600 * 1000
ISSUED: int = VECTORS["clear"]["header"]["issued_at"]
NOW = ISSUED + DAY


@dataclass(frozen=True, slots=True)
class Row:
    """An attack in plain words, the code that it is refused with, and what returns the code it got."""

    name: str
    code: str
    attack: Callable[[], str | None]


def made(label: str, algorithm: Algorithm = Algorithm.ED25519) -> PrivateKey:
    return PrivateKey.from_seed(algorithm, label.encode().ljust(32, b"."))


VN, JP, STRANGER = made("vn"), made("jp"), made("stranger")
VN_P256 = made("vn", Algorithm.ESP256)
VN_PQ, JP_PQ = made("vn", Algorithm.ML_DSA_65), made("jp", Algorithm.ML_DSA_65)
REVOKED, EXPIRED, COMING = made("revoked"), made("expired"), made("coming")


def held(key: PrivateKey, **history: Any) -> MemberKey:
    public = key.public
    return MemberKey(**{"id": public.id, "use": Use.SIGN, "public": public, "valid_from": 0, **history})


def directory(*keys: MemberKey) -> Directory:
    """A directory in which `vn` holds these keys, and `jp` its own."""
    members = {
        id_: Member(id_, id_, MemberClass.CUSTOMS, (Region.ASIA_PACIFIC,), own)
        for id_, own in (("vn", keys), ("jp", (held(JP), held(JP_PQ))))
    }
    return Directory(bytes(32), NETWORK, "", members, ())


PLAIN = directory(held(VN), held(VN_P256), held(VN_PQ))
HYBRID = directory(held(VN, pq_required_from=ISSUED), held(VN_PQ))

VALUES = {"hs_code": "293311", "net_mass_g": 1250, "item_id": "RB123456785GB", "consignee": "Ada"}
DIGESTS, DISCLOSURES = draft(SAMPLE, VALUES, [bytes([number]) * 16 for number in range(1, 7)])
OTHER_DIGESTS, OTHER_DISCLOSURES = draft(SAMPLE, {**VALUES, "consignee": "Bob"})
HEADER = replace(
    records.decode(Header, bytes.fromhex(VECTORS["clear"]["header_bytes"])),
    addressees=("au", "nl"),
    campaign="demeter-2026",
    slots=DIGESTS,
)


def signed(
    header: Header = HEADER,
    key: PrivateKey = VN,
    second: PrivateKey | None = None,
    *,
    network: str = NETWORK,
    disclosures: tuple[Disclosure, ...] = DISCLOSURES,
) -> Envelope:
    data = records.encode(header)
    return Envelope(data, sign_header(data, network, key, second), disclosures, (), ())


HONEST = signed()


def refusal(attempt: Callable[[], object]) -> str | None:
    """Return the code that an attempt is refused with, None if it is not."""
    try:
        attempt()
    except Refused as refused:
        return refused.code
    return None


def published(envelope: Envelope | bytes, known: Directory = PLAIN, *, now: int = NOW) -> str | None:
    """Send it to a gateway that checks all that hangs on the envelope."""
    data = envelope if isinstance(envelope, bytes) else records.encode(envelope)

    def gateway() -> None:
        notice = open_envelope(read_envelope(data), known, CATALOGUE, NETWORK, now, complete=True)
        check_supported(notice.header)

    return refusal(gateway)


def delivered(
    envelope: Envelope | None, known: Directory = PLAIN, *, to: str = "jp", proofs: Any = (), **head: Any
) -> str | None:
    """Hand it to `jp` as a hub would whose head fits what it hands over, but for `head`."""
    fitting: dict[str, Any] = {"member": "jp", "decided_at": NOW}
    if envelope is not None:
        slots = sorted({one.slot for one in envelope.disclosures} | {one.slot for one in envelope.sealed})
        fitting |= {
            "statement": records.statement_id(envelope.header),
            "slots": tuple(slots),
            "content": records.content_digest(envelope),
        }
    base = records.decode(DeliveryHead, bytes.fromhex(VECTORS["delivery"]["head_bytes"]))
    data = records.encode(replace(base, **{**fitting, **head}))
    return refusal(lambda: open_delivery(Delivery(data, envelope, proofs), to, known, CATALOGUE, NETWORK))
