"""Whether a bundle holds: every step that a sceptic would make, in order, without network, hub or clock.

Decides what follows from what: from a root that is trusted follow members, keys and the log's key; from that
the checkpoint; from it the leaves; from the keys the notice, the decision about it and what members said.
What each signature and proof means is decided in `broker.core`.

Not shown by any bundle: that what the notice says is true, that nobody else had the keys, that the log showed
everybody the same (that is what cosignatures are for), and what happened after the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

from broker.core.catalogue import Catalogue
from broker.core.cose_receipt import check_inclusion_receipt
from broker.core.doubt import compromised_since
from broker.core.errors import (
    BadConfiguration,
    BadDelivery,
    BadEvidence,
    BadProof,
    Refused,
)
from broker.core.merkle import verify_consistency
from broker.core.model import Decision, DeliveryHead, Erasure, Receipt, SignedReceipt
from broker.core.note import LogKey
from broker.core.notice import open_envelope, read_envelope
from broker.core.notice_json import time_to_json
from broker.core.records import decode, delivery_id, record_id
from broker.core.signing import open_receipt
from broker.core.timely import COVERED_WITHIN_MS, check_timely
from broker.core.tlog_proof import check_proof, read_proof
from broker.directory.versions import Memory
from broker.evidence.allowed import agreed_by, content_shown
from broker.evidence.case import Case, Logged
from broker.evidence.report import Found, State, Step
from broker.evidence.versions import check_nothing_more, load_in_bundle
from broker.evidence.witnesses import cosigners

STATEMENT_LEAF, DECISION_LEAF, DELIVERY_LEAF, RECEIPT_LEAF = b"\x01", b"\x02", b"\x03", b"\x04"
ERASURE_LEAF = b"\x08"


@dataclass(frozen=True, slots=True)
class Trust:
    """What is trusted already: a root of the directory by its SHA-256 (hex), a log's verifier key."""

    root: str | None = None
    log_key: str | None = None


class Checking:
    """One bundle being checked.  `run` once.

    Args:
        case: The parts of the bundle.
        trust: What is trusted without asking.
        catalogue: The notice types.
    """

    def __init__(self, case: Case, trust: Trust, catalogue: Catalogue) -> None:
        self._case = case
        self._trust = trust
        self._catalogue = catalogue
        self._indexes: dict[str, int] = {}
        self.found = Found()

    def run(self) -> Found:
        """Return what the bundle shows; the first step that fails is the last."""
        found = self.found
        try:
            self._directory()
            self._checkpoint()
            self._statement()
            self._decision()
            for member, logged in self._case.deliveries.items():
                self._delivery(member, logged)
            self._time()
            for index, logged in self._case.receipts.items():
                self._receipt(index, logged)
            self._erasure()
        except Refused as refused:
            found.refused = refused
        return found

    # --- who is who -----------------------------------------------------------------------------------

    def _directory(self) -> None:
        case, found, trust, memory = self._case, self.found, self._trust, Memory()
        with self._step("directory") as say:
            loaded = load_in_bundle(case.directory, case.manifest.directory, trust.root, memory)
            heard = loaded
            if case.manifest.heard is not None:
                heard = load_in_bundle(case.directory, case.manifest.heard, trust.root, memory)
            check_nothing_more(case.directory, loaded, heard)
            directory = loaded.directory
            # 1. It is the directory of the network that the bundle is about.
            if directory.network != case.manifest.network:
                raise BadEvidence("the directory is of another network", field="network")
            found.directory, found.heard, found.root = directory, heard.directory, loaded.root
            members = f"{len(directory.members)} members of {directory.network}"
            say(f"version {case.manifest.directory[:12]}: {members}, signed by root, secretariat and members")
        with self._step("log key") as say:
            # 2. The log's key is the one that the directory names, and that is trusted.
            if case.log_key != directory.log_key:
                raise BadEvidence("the log's key is not the one that the directory names", field="log.vkey")
            if trust.log_key is not None and trust.log_key != case.log_key:
                raise BadEvidence("the log's key is not the one that is trusted", field="log.vkey")
            try:
                found.log = LogKey.parse(case.log_key)
            except BadConfiguration as error:
                raise BadEvidence(str(error), field="log.vkey") from None
            say(f"{found.log.name}, as the directory names it")
        self._anchor(loaded.root, expected=loaded.expected)

    def _anchor(self, root: str, *, expected: bool) -> None:
        """Say on whose word all that follows rests."""
        if expected:
            self._add("trust", State.HELD, f"the root is the one that you gave: SHA-256 {root}")
        else:
            relied = f"all rests on SHA-256 of the root {root}: compare it with one that you trust"
            self._add("trust", State.NOT_CHECKED, relied)

    # --- the log --------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        case, found = self._case, self.found
        assert found.log is not None
        with self._step("checkpoint") as say:
            found.tree = found.log.open_checkpoint(case.checkpoint)
            found.signed_at = found.log.signed_at(case.checkpoint)
            say(f"{found.tree.size:,} leaves, signed by the log on {time_to_json(found.signed_at)}")
        assert found.heard is not None
        with self._step("witnesses", State.NOTED) as say:
            # Keys of witnesses are judged by the newest version that is here: many came later.
            by, could = cosigners(case.checkpoint, found.heard, found.signed_at)
            say(f"cosigned by {', '.join(by) or 'nobody'}: {len(by)} of {could} members that could")
        if case.first is None:
            return
        with self._step("growth") as say:
            note, path = case.first
            first = found.log.open_checkpoint(note)
            # 1. The earlier checkpoint is one of the same log, which only grew …
            if not verify_consistency(first.size, found.tree.size, first.root, found.tree.root, path):
                raise BadProof("the checkpoint does not continue the earlier one", field="log/growth.json")
            at = found.log.signed_at(note)
            # 2. … and whose time does not go back.
            if at > found.signed_at:
                raise BadProof("the log's time goes back", field="log/first-checkpoint")
            found.first, found.first_signed_at = first, at
            say(f"it continues the tree of {first.size:,} leaves, signed on {time_to_json(at)}")

    def _logged(self, name: str, logged: Logged, entry: bytes) -> int:
        """Return the leaf's index.

        Raises:
            BadProof: The log has no such leaf.
        """
        found = self.found
        assert found.log is not None
        # 1. The proof leads to the bundle's checkpoint, and to no other; nothing goes along unsigned.
        proof = read_proof(logged.proof)
        if proof.checkpoint != self._case.checkpoint:
            raise BadProof("the proof is under another checkpoint", field=name)
        if proof.extra is not None:
            raise BadProof("the proof carries something besides, which nobody signed", field=name)
        included = check_proof(logged.proof, found.log, entry)
        # 2. So does the COSE receipt, where there is one.
        if (
            logged.receipt is not None
            and check_inclusion_receipt(logged.receipt, found.log, entry) != included
        ):
            raise BadProof("the receipt is of another leaf or tree", field=name)
        self._indexes[name] = included.index
        return included.index

    # --- the notice -------------------------------------------------------------------------------------

    def _statement(self) -> None:
        case, found, manifest = self._case, self.found, self._case.manifest
        assert found.directory is not None
        with self._step("statement") as say:
            arrived = read_envelope(case.envelope)
            # 1. It is the one that the bundle is about.
            if arrived.statement.hex() != manifest.statement:
                raise BadEvidence(
                    "the notice is another statement than the one that is named", field="statement"
                )
            if arrived.reference != manifest.reference:
                raise BadEvidence(
                    "the notice has another reference than the one that is named", field="reference"
                )
            # 2. Its originator signed it, with a key that counted when it was decided.
            notice = open_envelope(
                arrived,
                found.directory,
                self._catalogue,
                manifest.network,
                self._decided_at(arrived.header.issued_at),
                complete=False,
                proofs=case.seals,
            )
            found.notice = notice
            shown = " ".join(one.slot.label for one in arrived.envelope.disclosures) or "none"
            say(f"signed by {notice.header.originator}, key {notice.key.id.hex()[:12]}; slots shown: {shown}")
        if case.statement is not None:
            with self._step("statement in the log") as say:
                index = self._logged("statement", case.statement, STATEMENT_LEAF + arrived.statement)
                say(f"leaf {index:,}: the hub has received it")
        self._doubt()

    def _decided_at(self, otherwise: int) -> int:
        """Return the time at which keys must count; that the log bears it out is seen by `_time`."""
        if self._case.decision is not None:
            return decode(Decision, self._case.decision.record).decided_at
        return next(
            (decode(DeliveryHead, each.record).decided_at for each in self._case.deliveries.values()),
            otherwise,
        )

    def _doubt(self) -> None:
        """Say if the key was reported stolen since, and whether that puts this notice in doubt."""
        notice, heard = self.found.notice, self.found.heard
        assert notice is not None
        assert heard is not None
        member = heard.known.get(notice.header.originator)
        key = next((each for each in member.keys if each.id == notice.key.id), None) if member else None
        since = None if key is None else compromised_since(key)
        if since is not None and self._decided_at(notice.header.issued_at) >= since:
            self._add("key", State.NOT_CHECKED, f"in doubt: its key was stolen by {time_to_json(since)}")

    # --- what the hub decided -----------------------------------------------------------------------------

    def _decision(self) -> None:
        case, found = self._case, self.found
        if case.decision is None:
            return
        notice = found.notice
        assert notice is not None
        with self._step("decision") as say:
            decision = decode(Decision, case.decision.record)
            # 1. It is about this statement, by this very signature and key.
            if decision.statement != notice.statement:
                raise BadEvidence("the decision is about another statement", field="decision")
            if decision.signature != sha256(notice.envelope.signature).digest():
                raise BadEvidence("the decision is about another signature", field="decision")
            if decision.key != notice.key.id:
                raise BadEvidence("the decision names another key", field="decision")
            # 2. It was made under the version of the directory that is here.
            if decision.directory.hex() != case.manifest.directory:
                raise BadEvidence("the decision names another version of the directory", field="decision")
            # 3. The log has it.
            index = self._logged("decision", case.decision, DECISION_LEAF + record_id(decision))
            found.decision = decision
            to = ", ".join(share.member for share in decision.shares) or "nobody"
            say(f"leaf {index:,}: admitted on {time_to_json(decision.decided_at)}, shared with {to}")

    def _time(self) -> None:
        """Hold the time of the decision against that of the checkpoint which first covered it."""
        found = self.found
        decided_at = self._decided_at(-1)
        covered = [self._indexes[name] for name in ("decision", *self._delivered()) if name in self._indexes]
        if not covered:
            self._add("time", State.NOT_CHECKED, "there is no decision here, and no delivery")
            return
        first = found.first is not None and found.first.size > min(covered)
        at = found.first_signed_at if first else found.signed_at
        assert at is not None
        if not first and at - decided_at > COVERED_WITHIN_MS:
            self._add("time", State.NOT_CHECKED, "the checkpoint that first covered the decision is not here")
            return
        with self._step("time") as say:
            # 1. It is near that of the checkpoint, and there is one for all that is here.
            check_timely(decided_at, at)
            if any(head.decided_at != decided_at for head in found.deliveries.values()):
                raise BadEvidence("deliveries name different times", field="deliveries")
            say(f"decided on {time_to_json(decided_at)}, in the log by {time_to_json(at)}")

    def _delivered(self) -> list[str]:
        return [f"deliveries/{member}" for member in self._case.deliveries]

    # --- what was delivered ---------------------------------------------------------------------------------

    def _delivery(self, member: str, logged: Logged) -> None:
        case, found = self._case, self.found
        notice, directory = found.notice, found.directory
        assert notice is not None
        assert directory is not None
        name = f"deliveries/{member}"
        with self._step(f"delivery to {member}") as say:
            head = decode(DeliveryHead, logged.record)
            # 1. It is of this notice, to this member, under this version of the directory.
            if head.member != member:
                raise BadEvidence("the delivery is to another member", field=name)
            if head.statement != notice.statement:
                raise BadEvidence("the delivery is of another statement", field=name)
            if head.directory.hex() != case.manifest.directory:
                raise BadEvidence("the delivery names another version of the directory", field=name)
            # 2. The log has it.
            index = self._logged(name, logged, DELIVERY_LEAF + delivery_id(logged.record))
            # 3. It is the one that was decided.
            decision = found.decision
            if decision is not None:
                share = next((each for each in decision.shares if each.member == member), None)
                if share is None or share.delivery != delivery_id(logged.record):
                    raise BadDelivery("the delivery is not the one that was decided", field=name)
                if (share.slots, share.grounds, decision.decided_at) != (
                    head.slots,
                    head.grounds,
                    head.decided_at,
                ):
                    raise BadDelivery("the delivery says something else than the decision", field=name)
            # 4. The agreements allow it.
            agreed = agreed_by(head, notice.header, directory)
            # 5. Where all of it is shown, it is the very content that the log names.
            content = content_shown(notice.envelope, head)
            found.deliveries[member] = head
            slots = " ".join(slot.label for slot in head.slots) or "no slot"
            say(f"leaf {index:,}: {slots}, {agreed}; {content}")

    # --- what members said -------------------------------------------------------------------------------

    def _receipt(self, index: int, logged: Logged) -> None:
        found, place = self.found, f"receipts/{index}"
        assert found.heard is not None
        with self._step(f"receipt {index}") as say:
            signed = decode(SignedReceipt, logged.record)
            # 1. The member signed it, with a key that counted then.
            at = decode(Receipt, signed.receipt).at
            receipt = open_receipt(signed, found.heard, self._case.manifest.network, at)
            # 2. It is about a delivery to that member that is here.
            delivery = self._case.deliveries.get(receipt.member)
            if delivery is None or delivery_id(delivery.record) not in receipt.deliveries:
                raise BadEvidence("the receipt is about no delivery that is here", field=place)
            # 3. The log has it, where the bundle says.
            if self._logged(place, logged, RECEIPT_LEAF + record_id(signed)) != index:
                raise BadEvidence("the receipt is another leaf than its name says", field=place)
            found.receipts.append(receipt)
            said = receipt.event.name.lower() + ("" if receipt.code is None else f" ({receipt.code})")
            say(f"{receipt.member} said {said} on {time_to_json(receipt.at)}")
        if receipt.at > found.signed_at + COVERED_WITHIN_MS:
            # The member's word alone, and the log had it before: a clock that is wrong, or no true word.
            self._add(f"receipt {index}", State.NOT_CHECKED, "its own time is after that of the checkpoint")

    # --- what was erased ---------------------------------------------------------------------------------

    def _erasure(self) -> None:
        logged, found = self._case.erasure, self.found
        if logged is None:
            return
        notice = found.notice
        assert notice is not None
        with self._step("erasure") as say:
            erasure = decode(Erasure, logged.record)
            # 1. It is of this statement.
            if erasure.statement != notice.statement:
                raise BadEvidence("another statement was erased", field="erasure")
            # 2. The log has it.
            index = self._logged("erasure", logged, ERASURE_LEAF + record_id(erasure))
            # 3. Nothing is shown that the hub had to erase.
            envelope = notice.envelope
            if envelope.disclosures or envelope.sealed or envelope.wraps:
                raise BadEvidence("content is shown that the hub says it erased", field="erasure")
            found.erasure = erasure
            ground = erasure.ground.name.lower()
            say(f"leaf {index:,}: the hub erased the content on {time_to_json(erasure.at)}, {ground}")

    # --- steps -------------------------------------------------------------------------------------------

    def _add(self, name: str, state: State, said: str, code: str | None = None) -> None:
        self.found.steps.append(Step(name, state, said, code))

    @contextmanager
    def _step(self, name: str, held: State = State.HELD) -> Iterator[_Say]:
        said = _Say()
        try:
            yield said
        except Refused as error:
            self._add(name, State.FAILED, str(error), error.code)
            raise
        self._add(name, held, said.text)


class _Say:
    """Takes what a step showed."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, text: str) -> None:
        self.text = text
