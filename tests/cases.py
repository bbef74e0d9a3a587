"""Cases for bundles, put together by hand: a small signed network, a notice, and a log that tests write.

::

    making = Making(tmp_path)
    case = making.case()                       # vn's sighting, delivered to jp, receipted
    case = making.case(decided_at=NOW - DAY)   # the log of an operator who lies

Keys are those of `tests.ceremony`; salts are made from names, so a case is always the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from broker.core.agreements import Context, Share, decide
from broker.core.cose_receipt import inclusion_receipt, with_root_signed
from broker.core.directory import Directory, MemberKey, Use
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import Tree, leaf_hash
from broker.core.model import (
    Act,
    Decision,
    DecisionShare,
    DeliveryHead,
    Envelope,
    Erasure,
    ErasureGround,
    Event,
    Ground,
    Handling,
    Header,
    Receipt,
    Region,
    Slot,
    Status,
    Tlp,
)
from broker.core.note import LogSigner
from broker.core.notice import draft
from broker.core.records import content_digest, decode, delivery_id, encode, record_id, statement_id
from broker.core.redaction import redact
from broker.core.signing import sign_header, sign_receipt
from broker.core.tlog_proof import TlogProof, read_proof, write_proof
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, SNAPSHOT
from broker.evidence.case import Case, Logged, Manifest
from broker.evidence.needed import number_of, signed_files
from tests.ceremony import LOG, NOW, START, SignedNetwork, member, private
from tests.world import NETWORK, SIGHTING, Content

MINUTE = 60_000
WORDS = {
    "place": "Hai Phong",
    "plate": "15C-123.45",
    "firm": "Some firm",
    "person": "Ada",
    "text": "They say",
    "photo": "a.jpg",
}


def agreement(giver: str, receiver: str, slots: Sequence[str]) -> bytes:
    """What one member gives another."""
    return f"""
        id = "{giver}-{receiver}"
        version = 1
        nonce = "{salt(giver + receiver).hex()}"
        title = "What {giver} gives {receiver}"
        parties = {[giver, receiver]}
        in_force_from = 2020-01-01
        [personal_data]
        enabled = true
        from = 2020-01-01
        legal_basis = "Article 1"
        [[grant]]
        from = "{giver}"
        to = "{receiver}"
        types = ["sighting", "drug-parcel"]
        slots = {list(slots)}
        """.encode()


def salt(name: str) -> bytes:
    """Sixteen bytes that are always the same."""
    return sha256(name.encode()).digest()[:16]


class TestLog:
    """A log whose key the test holds."""

    __test__ = False

    def __init__(self, signer: LogSigner) -> None:
        self.signer = signer
        self.entries: list[bytes] = [b"\x09" + sha256(b"%d" % number).digest() for number in range(5)]

    def add(self, entry: bytes) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1

    @property
    def tree(self) -> Tree:
        return Tree(map(leaf_hash, self.entries))

    def note(self, size: int, at: int) -> bytes:
        root = self.tree.root(size)
        return with_root_signed(self.signer, self.signer.sign_checkpoint(size, root, at), root)

    def logged(self, index: int, record: bytes, note: bytes) -> Logged:
        path = self.tree.inclusion_path(index)
        proof = write_proof(TlogProof(index, tuple(path), note))
        return Logged(record, proof, inclusion_receipt(self.signer.key, note, index, path))


class Making:
    """Makes cases in a network of vn, jp and nl.

    Args:
        folder: Where the directory is kept.
        algorithm: With what vn signs its notices.
        witness: Who has a witness.
    """

    signer = private("vn-sign")
    vkey = LogSigner("halong-test/log", LOG).vkey

    def __init__(
        self, folder: Path, algorithm: Algorithm = Algorithm.ED25519, witness: str | None = None
    ) -> None:
        self.signer = private("vn-sign", algorithm)
        key = MemberKey(self.signer.public.id, Use.SIGN, self.signer.public, START)
        vn = member("vn")
        vn = replace(vn, keys=(key, *(each for each in vn.keys if each.use is not Use.SIGN)))
        self.network = SignedNetwork(folder / "hub-directory")
        others = [member(id_, more=_witness(id_) if id_ == witness else ()) for id_ in ("jp", "nl")]
        self.network.join(vn, *others)
        self.network.accede(agreement("vn", "jp", ["facts", "persons"]), "vn", "jp")
        self.network.accede(agreement("vn", "nl", ["facts"]), "vn", "nl")
        self.network.accede(agreement("jp", "nl", ["facts"]), "jp", "nl")
        self.directory: Directory = self.network.source().load()
        self.root = sha256(self.network.root).hexdigest()

    def envelope(
        self,
        sequence: int = 1,
        signer: PrivateKey | None = None,
        content: Content = Content(SIGHTING, WORDS),  # noqa: B008 - a constant
        **fields: Any,
    ) -> Envelope:
        """A signed notice of vn: a sighting, or what else it is told."""
        salts = [salt(f"{sequence} {slot.label}") for slot in Slot]
        digests, disclosures = draft(content.notice_type, content.values, salts)
        values: dict[str, Any] = {
            "profile": 1,
            "originator": "vn",
            "region": Region.ASIA_PACIFIC,
            "stream": "main",
            "sequence": sequence,
            "previous": None if sequence == 1 else sha256(b"before").digest(),
            "regions_concerned": (),
            "countries": ("JP", "VN"),
            "notice_type": content.notice_type.name,
            "schema": content.notice_type.digest,
            "status": Status.ACTUAL,
            "act": Act.ORIGINAL,
            "references": (),
            "tlp": Tlp.AMBER,
            "handling": Handling.H1,
            "purpose": "customs-enforcement",
            "subjects": (),
            "campaign": None,
            "addressees": (),
            "issued_at": NOW,
            "effective_until": None,
            "retain_until": None,
            "feedback_due": None,
            "slots": digests,
            "seals": None,
        }
        header = encode(Header(**{**values, **fields}))
        signature = sign_header(header, NETWORK, signer or self.signer)
        return Envelope(header, signature, disclosures, (), ())

    def head(self, envelope: Envelope, member: str, at: int, **changes: Any) -> DeliveryHead:
        """The head of a delivery as the agreements have it, but for what is changed."""
        header = decode(Header, envelope.header)
        verdict = decide(header, member, self.directory, Context(at, {}))
        # What no agreement shares, an operator who lies shares as an ordinary notice.
        plain = self.header(self.envelope())
        share = (
            verdict if isinstance(verdict, Share) else decide(plain, "jp", self.directory, Context(at, {}))
        )
        assert isinstance(share, Share)
        slots = tuple(sorted(changes.pop("slots", share.slots)))
        content, _ = redact(envelope, frozenset(slots), member)
        values: dict[str, Any] = {
            "salt": salt(f"delivery {member}"),
            "member": member,
            "lane": "asia-pacific/vn",
            "sequence": 1,
            "statement": statement_id(envelope.header),
            "slots": slots,
            "content": content_digest(content),
            "grounds": share.grounds,
            "directory": self.directory.version,
            "obligations": share.obligations,
            "decided_at": at,
        }
        return DeliveryHead(**{**values, **changes})

    def case(
        self,
        *,
        envelope: Envelope | None = None,
        decided_at: int = NOW + 1_000,
        signed_at: int = NOW + 2_000,
        receivers: Sequence[str] = ("jp", "nl"),
        head: dict[str, Any] | None = None,
        heads: dict[str, dict[str, Any]] | None = None,
        decision: dict[str, Any] | None = None,
        receipt: dict[str, Any] | None = None,
        receipt_by: PrivateKey | None = None,
        log: LogSigner | None = None,
        late: int | None = None,
        erased: bool = False,
    ) -> Case:
        """A case whose log has whatever it is told.

        Args:
            envelope: The notice.
            decided_at: When the hub says that it decided.
            signed_at: When the log signed the checkpoint over all of it.
            receivers: To whom it was delivered.
            head: What is different in the heads of deliveries.
            heads: The same of one member's.
            decision: What is different in the decision.
            receipt: What is different in jp's receipt.
            receipt_by: Who signs that instead of jp.
            log: Another log.
            late: The log goes on, and signs again so much later; then the first checkpoint is there, too.
            erased: The hub says that it erased the content.
        """
        notice = envelope or self.envelope()
        written = TestLog(log or LogSigner("halong-test/log", LOG))
        statement = written.add(b"\x01" + statement_id(notice.header))
        given = {
            each: self.head(notice, each, **{"at": decided_at, **(head or {}), **(heads or {}).get(each, {})})
            for each in receivers
        }
        encoded = {member: encode(each) for member, each in given.items()}
        shares = tuple(
            DecisionShare(member, each.slots, each.grounds, delivery_id(encoded[member]))
            for member, each in sorted(given.items())
        )
        values: dict[str, Any] = {
            "salt": salt("decision"),
            "statement": statement_id(notice.header),
            "signature": sha256(notice.signature).digest(),
            "key": self.signer.public.id,
            "directory": self.directory.version,
            "decided_at": decided_at,
            "shares": shares,
        }
        decided = Decision(**{**values, **(decision or {})})
        decision_leaf = written.add(b"\x02" + record_id(decided))
        leaves = {member: written.add(b"\x03" + delivery_id(each)) for member, each in encoded.items()}
        said: dict[str, Any] = {
            "salt": salt("receipt"),
            "member": "jp",
            "deliveries": tuple(sorted(delivery_id(each) for each in encoded.values()))[:1],
            "event": Event.DELIVERED,
            "channel": None,
            "code": None,
            "at": NOW + 1_500,
        }
        said["deliveries"] = (delivery_id(encoded["jp"]),)
        signed = sign_receipt(
            Receipt(**{**said, **(receipt or {})}), NETWORK, receipt_by or private("jp-sign")
        )
        receipt_leaf = written.add(b"\x04" + record_id(signed))
        erasure = Erasure(
            salt("erasure"), statement_id(notice.header), ErasureGround.ORDER, None, NOW + 1_800
        )
        erasure_leaf = written.add(b"\x08" + record_id(erasure)) if erased else None
        first = None
        if late is not None:
            size = len(written.entries)
            first_note = written.note(size, signed_at)
            written.add(b"\x09" + bytes(32))
            signed_at += late
            first = first_note, written.tree.consistency_path(size)
        note = written.note(len(written.entries), signed_at)
        grounds = {ground for each in given.values() for ground in each.grounds}
        return Case(
            manifest=Manifest(
                evidence=1,
                network=NETWORK,
                reference=decode(Header, notice.header).reference,
                statement=statement_id(notice.header).hex(),
                directory=self.directory.version.hex(),
            ),
            log_key=written.signer.vkey,
            checkpoint=note,
            envelope=encode(notice),
            directory=self.files(grounds),
            first=first,
            statement=written.logged(statement, b"", note),
            decision=written.logged(decision_leaf, encode(decided), note),
            deliveries={
                member: written.logged(leaves[member], encoded[member], note) for member in sorted(encoded)
            },
            receipts={receipt_leaf: written.logged(receipt_leaf, encode(signed), note)},
            erasure=None if erasure_leaf is None else written.logged(erasure_leaf, encode(erasure), note),
        )

    def under(self, case: Case, note: bytes) -> Case:
        """The case under the same checkpoint with other lines."""

        def other(logged: Logged) -> Logged:
            return replace(logged, proof=write_proof(replace(read_proof(logged.proof), checkpoint=note)))

        assert case.statement is not None
        assert case.decision is not None
        return replace(
            case,
            checkpoint=note,
            statement=other(case.statement),
            decision=other(case.decision),
            deliveries={member: other(each) for member, each in case.deliveries.items()},
            receipts={index: other(each) for index, each in case.receipts.items()},
        )

    def header(self, envelope: Envelope) -> Header:
        """What is signed."""
        return decode(Header, envelope.header)

    def ground(self, agreement: str) -> Ground:
        """How a delivery names an agreement."""
        return next(each.ground for each in self.directory.agreements if each.id == agreement)

    def case_grounds(self, case: Case) -> set[Ground]:
        """The agreements that a case names."""
        heads = [decode(DeliveryHead, each.record) for each in case.deliveries.values()]
        return {ground for each in heads for ground in each.grounds}

    def files(self, grounds: Any) -> dict[str, bytes]:
        """The files of the directory that a case needs."""
        layout = Layout(self.network.path)
        number = number_of(layout, layout.numbers(SNAPSHOT), self.directory.version)
        return signed_files(layout, layout.numbers(ROOT)[0], [number], grounds)


def _witness(id_: str) -> tuple[MemberKey, ...]:
    public = private(f"{id_}-witness").public
    return (MemberKey(public.id, Use.WITNESS, public, START),)


def with_disclosure(case: Case, slot: Slot, **changes: Any) -> Case:
    """The case with one slot's content changed."""
    envelope = decode(Envelope, case.envelope)
    changed = tuple(replace(one, **changes) if one.slot is slot else one for one in envelope.disclosures)
    return replace(case, envelope=encode(replace(envelope, disclosures=changed)))
