"""Evidence that somebody altered, or that an operator with the key of the log made up: each has its code."""

from __future__ import annotations

import zipfile
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.core.errors import Refused
from broker.core.model import Act, Decision, DeliveryHead, Envelope, Handling, Obligations, Onward, Slot
from broker.core.note import LogSigner
from broker.core.records import decode, encode
from broker.core.tlog_proof import read_proof, write_proof
from broker.directory.building import root_change
from broker.evidence.archive import MOST_CASE_BYTES, read_case, write_case
from broker.evidence.building import bundle, opened
from broker.evidence.case import Case, Logged, files_of
from broker.evidence.checking import Trust
from tests.cases import MINUTE, Making, with_disclosure
from tests.ceremony import LOG, NOW, ROOTS, private, signed, terms
from tests.world import CATALOGUE, DAY

Files = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Row:
    """An alteration, the step at which it is found, and the code by which it is refused."""

    name: str
    step: str
    code: str
    alter: Callable[[Making], bytes]


@pytest.fixture(scope="module")
def making(tmp_path_factory: pytest.TempPathFactory) -> Making:
    return Making(tmp_path_factory.mktemp("cases"))


# --- the file -------------------------------------------------------------------------------------------


def good(making: Making) -> Files:
    case = making.case(late=60 * MINUTE)
    return read_case(bundle(case, CATALOGUE))


def of_bytes(change: Callable[[bytes], bytes]) -> Callable[[Making], bytes]:
    return lambda making: change(write_case(good(making)))


def of_files(change: Callable[[Files], Any]) -> Callable[[Making], bytes]:
    def alter(making: Making) -> bytes:
        files = good(making)
        change(files)
        return write_case(files)

    return alter


def packed(method: int, **more: bytes) -> Callable[[Making], bytes]:
    """Packed by an ordinary program."""

    def alter(making: Making) -> bytes:
        out = BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for name, data in {**good(making), **more}.items():
                archive.writestr(name, data)
        return out.getvalue()

    return alter


def twice(making: Making) -> bytes:
    data = write_case(good(making))
    out = BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("log.vkey", "another")
    return out.getvalue()


# --- the parts --------------------------------------------------------------------------------------------


def of_case(change: Callable[[Making, Case], Case], **more: Any) -> Callable[[Making], bytes]:
    """The case changed after its log was written; the copies are those of the case as it was."""

    def alter(making: Making) -> bytes:
        case = making.case(**more)
        copies = {
            name: data
            for name, data in read_case(bundle(case, CATALOGUE)).items()
            if name == "page.html" or name.startswith("openssl/")
        }
        return write_case({**files_of(change(making, case)), **copies})

    return alter


def told(**more: Any) -> Callable[[Making], bytes]:
    """A log whose operator wrote something else than was so, with the log's own key."""

    def alter(making: Making) -> bytes:
        case = making.case(**more)
        return write_case(files_of(case))

    return alter


def of_notice(**more: Any) -> Callable[[Making], bytes]:
    """A notice that somebody signed and the hub took all the same."""
    return lambda making: write_case(files_of(making.case(envelope=making.envelope(**more))))


def two_times(making: Making) -> bytes:
    case = making.case(heads={"nl": {"at": NOW + 1_001}})
    return write_case(files_of(replace(case, decision=None, receipts={})))


def another_delivery(making: Making) -> bytes:
    """The decision names other deliveries than the log and the bundle have."""
    case = making.case()
    assert case.decision is not None
    shares = decode(Decision, case.decision.record).shares
    other = tuple(replace(each, delivery=bytes(32)) for each in shares)
    return write_case(files_of(making.case(decision={"shares": other})))


def decided_otherwise(making: Making) -> bytes:
    """The decision names the delivery, and says that it shows less than it does."""
    case = making.case()
    assert case.decision is not None
    shares = decode(Decision, case.decision.record).shares
    other = tuple(replace(each, slots=each.slots[1:]) for each in shares)
    assert other != shares
    return write_case(files_of(making.case(decision={"shares": other})))


def following(grounds: Callable[[Making], Any]) -> Callable[[Making], bytes]:
    """A notice that refers to another, delivered on these grounds."""

    def alter(making: Making) -> bytes:
        envelope = making.envelope(act=Act.REQUEST, references=(bytes(32),))
        return write_case(files_of(making.case(envelope=envelope, head={"grounds": grounds(making)})))

    return alter


def manifest(**changes: Any) -> Callable[[Making], bytes]:
    return of_case(lambda _, case: replace(case, manifest=msgspec.structs.replace(case.manifest, **changes)))


def directory(change: Callable[[Files], Any]) -> Callable[[Making], bytes]:
    def changed(_: Making, case: Case) -> Case:
        files = dict(case.directory)
        change(files)
        return replace(case, directory=files)

    return of_case(changed)


def entry_of(files: Files, member: str) -> str:
    return next(
        name
        for name, data in files.items()
        if name.startswith("files/") and b'id = "%s"' % member.encode() in data and b"[[key" in data
    )


def agreement_of(files: Files) -> str:
    return next(name for name, data in files.items() if name.startswith("files/") and b"vn gives jp" in data)


def another_key_for_vn(files: Files) -> None:
    name = entry_of(files, "vn")
    ours, theirs = private("vn-sign").public.raw.hex().encode(), private("thief").public.raw.hex().encode()
    assert ours in files[name] or b64encode(private("vn-sign").public.raw) in files[name]
    files[name] = (
        files[name]
        .replace(ours, theirs)
        .replace(b64encode(private("vn-sign").public.raw), b64encode(private("thief").public.raw))
    )


def a_root_of_their_own(making: Making) -> bytes:
    case = making.case()
    change = signed(root_change(terms(), 1, NOW + DAY), *ROOTS[:3])
    forged = change.metadata([key.public for key in ROOTS])
    return write_case(files_of(replace(case, directory={**case.directory, "metadata/1.root.json": forged})))


def a_signature_less(files: Files) -> None:
    name = max(each for each in files if each.endswith(".targets.json"))
    loaded = msgspec.json.decode(files[name])
    loaded["signatures"] = loaded["signatures"][:1]
    files[name] = msgspec.json.encode(loaded, order="sorted")


def without_roots(files: Files) -> None:
    for name in [each for each in files if each.endswith(".root.json")]:
        del files[name]


def snapshot_of(files: Files) -> str:
    return next(name for name in files if name.endswith(".snapshot.json"))


def proof(logged: Logged, **changes: Any) -> Logged:
    return replace(logged, proof=write_proof(replace(read_proof(logged.proof), **changes)))


def swapped(_: Making, case: Case) -> Case:
    jp, nl = case.deliveries["jp"], case.deliveries["nl"]
    return replace(case, deliveries={"jp": replace(jp, proof=nl.proof, receipt=nl.receipt), "nl": nl})


def with_statement(change: Callable[[Envelope], Envelope], **named: Any) -> Callable[[Making], bytes]:
    def changed(_: Making, case: Case) -> Case:
        envelope = change(decode(Envelope, case.envelope))
        return replace(
            case,
            envelope=encode(envelope),
            manifest=msgspec.structs.replace(case.manifest, **named) if named else case.manifest,
        )

    return of_case(changed)


def bent(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def record(kind: type, name: str, **changes: Any) -> Callable[[Making], bytes]:
    """A record of the hub that says something else; its proof is that of the true one."""

    def changed(_: Making, case: Case) -> Case:
        if name == "decision":
            assert case.decision is not None
            other = encode(replace(decode(Decision, case.decision.record), **changes))
            return replace(case, decision=replace(case.decision, record=other))
        logged = case.deliveries[name]
        other = encode(replace(decode(kind, logged.record), **changes))
        return replace(case, deliveries={**case.deliveries, name: replace(logged, record=other)})

    return of_case(changed)


def of_another_notice(part: str) -> Callable[[Making], bytes]:
    """A part of another case of the same log's key, true in itself."""

    def changed(making: Making, case: Case) -> Case:
        other = making.case(envelope=making.envelope(2))
        return replace(case, **{part: getattr(other, part)})

    return of_case(changed)


def under_another_name(_: Making, case: Case) -> Case:
    return replace(case, deliveries={"jp": case.deliveries["jp"], "nl": case.deliveries["jp"]})


def under_another_index(_: Making, case: Case) -> Case:
    ((index, logged),) = case.receipts.items()
    return replace(case, receipts={index + 1: logged})


OTHER_TERMS = Obligations(None, None, Handling.H0, Onward.ALLOW, Onward.ALLOW, Onward.ALLOW)
OTHER_LOG = LogSigner("halong-test/log", private("another log"))


def replaced_checkpoint(note: Callable[[Case], bytes]) -> Callable[[Making], bytes]:
    return of_case(lambda _, case: replace(case, checkpoint=note(case)))


def resigned(case: Case, signer: LogSigner, *, root: bytes | None = None, at: int | None = NOW) -> bytes:
    head = LogSigner("halong-test/log", LOG).key.open_checkpoint(case.checkpoint)
    return signer.sign_checkpoint(head.size, root or head.root, at)


ROWS = (
    # the file
    Row("nothing", "form", "bad-evidence", lambda _: b""),
    Row("more than any bundle", "form", "too-large", lambda _: bytes(MOST_CASE_BYTES + 1)),
    Row("something after its end", "form", "bad-evidence", of_bytes(lambda data: data + b"x")),
    Row("something before its start", "form", "bad-evidence", of_bytes(lambda data: b"x" + data)),
    Row("cut short", "form", "bad-evidence", of_bytes(lambda data: data[:-30])),
    Row("a comment", "form", "bad-evidence", of_bytes(lambda data: data[:-2] + b"\x01\x00x")),
    Row("packed by another program", "form", "bad-evidence", packed(zipfile.ZIP_STORED)),
    Row("compressed", "form", "bad-evidence", packed(zipfile.ZIP_DEFLATED)),
    Row("a file twice", "form", "bad-evidence", twice),
    Row(
        "a file that leads out of the folder",
        "form",
        "bad-evidence",
        of_files(lambda f: f.update({"../evil": b"x"})),
    ),
    Row(
        "a file that is none of a bundle",
        "form",
        "bad-evidence",
        of_files(lambda f: f.update({"run.sh": b"x"})),
    ),
    # its form
    Row("without what it is about", "form", "bad-evidence", of_files(lambda f: f.pop("evidence.json"))),
    Row(
        "a field that nobody knows",
        "form",
        "bad-evidence",
        of_files(lambda f: f.update({"evidence.json": f["evidence.json"].replace(b"{", b'{"x":1,', 1)})),
    ),
    Row(
        "another way to write what it is about",
        "form",
        "bad-evidence",
        of_files(lambda f: f.update({"evidence.json": f["evidence.json"] + b"\n"})),
    ),
    Row("a proof of no record", "form", "bad-evidence", of_files(lambda f: f.pop("decision/record"))),
    Row(
        "a record without proof",
        "form",
        "bad-evidence",
        of_files(lambda f: f.pop("decision/leaf.tlog-proof")),
    ),
    Row(
        "a growth of no checkpoint", "form", "bad-evidence", of_files(lambda f: f.pop("log/first-checkpoint"))
    ),
    # the copies
    Row(
        "a page that says something else",
        "copies",
        "bad-evidence",
        of_files(lambda f: f.update({"page.html": f["page.html"].replace(b"does not prove", b"proves")})),
    ),
    Row("no page", "copies", "bad-evidence", of_files(lambda f: f.pop("page.html"))),
    Row(
        "another key for OpenSSL",
        "copies",
        "bad-evidence",
        of_files(lambda f: f.update({"openssl/originator.pem": f["openssl/log.pem"]})),
    ),
    # what it is about
    Row(
        "another reference", "statement", "bad-evidence", manifest(reference="halong:vn/asia-pacific/main/2")
    ),
    Row("another statement", "statement", "bad-evidence", manifest(statement="0" * 64)),
    Row("another network", "directory", "bad-evidence", manifest(network="halong-live")),
    Row("a version that is not there", "directory", "bad-evidence", manifest(directory="0" * 64)),
    Row("receipts under a version that is not there", "directory", "bad-evidence", manifest(heard="0" * 64)),
    # the directory
    Row("a root of their own", "directory", "bad-evidence", a_root_of_their_own),
    Row("another key in a member's entry", "directory", "directory-mixed", directory(another_key_for_vn)),
    Row(
        "a member's entry less", "directory", "directory-mixed", directory(lambda f: f.pop(entry_of(f, "nl")))
    ),
    Row("a signature of the secretariat less", "directory", "directory-mixed", directory(a_signature_less)),
    Row(
        "a file of the directory for nothing",
        "directory",
        "bad-evidence",
        directory(lambda f: f.update({"files/" + "0" * 64: b"x"})),
    ),
    Row(
        "a root that leads nowhere",
        "directory",
        "bad-evidence",
        directory(lambda f: f.update({"metadata/99.root.json": b"x"})),
    ),
    Row("an agreement less", "delivery to jp", "not-agreed", directory(lambda f: f.pop(agreement_of(f)))),
    Row(
        "other words in an agreement",
        "directory",
        "directory-mixed",
        directory(lambda f: f.update({agreement_of(f): f[agreement_of(f)].replace(b"gives", b"sells")})),
    ),
    Row("no root", "directory", "bad-evidence", directory(without_roots)),
    Row(
        "another snapshot",
        "directory",
        "bad-evidence",
        directory(lambda f: f.update({snapshot_of(f): f[snapshot_of(f)].replace(b"1", b"2", 1)})),
    ),
    # the log
    Row(
        "another log's key",
        "log key",
        "bad-evidence",
        of_case(lambda _, case: replace(case, log_key=OTHER_LOG.vkey)),
    ),
    Row("a log of their own", "log key", "bad-evidence", told(log=OTHER_LOG)),
    Row(
        "a checkpoint by another key",
        "checkpoint",
        "bad-proof",
        replaced_checkpoint(lambda case: resigned(case, OTHER_LOG)),
    ),
    Row(
        "a checkpoint without time",
        "checkpoint",
        "bad-proof",
        replaced_checkpoint(lambda case: resigned(case, LogSigner("halong-test/log", LOG), at=None)),
    ),
    Row(
        "a checkpoint of another tree",
        "statement in the log",
        "bad-proof",
        replaced_checkpoint(lambda case: resigned(case, LogSigner("halong-test/log", LOG), root=bytes(32))),
    ),
    Row(
        "an earlier checkpoint that is not continued",
        "growth",
        "bad-proof",
        of_case(lambda _, case: replace(case, first=(case.first[0], case.first[1][1:])), late=60 * MINUTE),  # type: ignore[index]
    ),
    Row("a time that goes back", "growth", "bad-proof", told(late=-60 * MINUTE)),
    Row("proofs of others", "delivery to jp", "bad-proof", of_case(swapped)),
    Row(
        "a receipt of another leaf",
        "statement in the log",
        "bad-proof",
        of_case(
            lambda _, case: replace(case, statement=replace(case.statement, receipt=case.decision.receipt))
        ),  # type: ignore[type-var, union-attr]
    ),
    Row(
        "another index",
        "statement in the log",
        "bad-proof",
        of_case(lambda _, case: replace(case, statement=proof(case.statement, index=4))),  # type: ignore[arg-type]
    ),
    Row(
        "something besides in a proof",
        "statement in the log",
        "bad-proof",
        of_case(lambda _, case: replace(case, statement=proof(case.statement, extra=b"x"))),  # type: ignore[arg-type]
    ),
    # the notice
    Row(
        "another signature",
        "statement",
        "bad-signature",
        with_statement(lambda e: replace(e, signature=bent(e.signature, len(e.signature) - 1))),
    ),
    Row(
        "another header",
        "statement",
        "bad-evidence",
        with_statement(lambda e: replace(e, header=e.header.replace(b"JP", b"CN"))),
    ),
    Row("signed by another member", "statement", "bad-signature", of_notice(signer=private("jp-sign"))),
    Row(
        "another content",
        "statement",
        "bad-disclosure",
        of_case(lambda _, case: with_disclosure(case, Slot.FACTS, value=b"\2\x06Hue")),
    ),
    Row(
        "another salt",
        "statement",
        "bad-disclosure",
        of_case(lambda _, case: with_disclosure(case, Slot.PERSONS, salt=bytes(16))),
    ),
    Row(
        "slots out of order",
        "statement",
        "bad-envelope",
        with_statement(lambda e: replace(e, disclosures=e.disclosures[::-1])),
    ),
    Row(
        "bytes after the notice",
        "statement",
        "not-canonical",
        of_case(lambda _, case: replace(case, envelope=case.envelope + b"\0")),
    ),
    Row("a broken rule of the header", "statement", "bad-header", of_notice(effective_until=NOW - 1)),
    # what the hub decided
    Row("a decision about another notice", "decision", "bad-evidence", of_another_notice("decision")),
    Row(
        "a decision at another time",
        "decision",
        "bad-proof",
        record(Decision, "decision", decided_at=NOW + 1_001),
    ),
    Row(
        "a decision about another signature",
        "decision",
        "bad-evidence",
        told(decision={"signature": bytes(32)}),
    ),
    Row(
        "a decision about another statement",
        "decision",
        "bad-evidence",
        told(decision={"statement": bytes(32)}),
    ),
    Row("a decision by another key", "decision", "bad-evidence", told(decision={"key": bytes(32)})),
    Row(
        "a decision under another version",
        "decision",
        "bad-evidence",
        told(decision={"directory": bytes(32)}),
    ),
    Row(
        "a decision dated back", "time", "untimely", told(decided_at=NOW + 1_000, signed_at=NOW - 60 * MINUTE)
    ),
    Row(
        "a decision from before the key",
        "statement",
        "unknown-key",
        told(decided_at=1_700_000_000_000, signed_at=1_700_000_001_000),
    ),
    # what was delivered
    Row("a delivery that shows more than was decided", "delivery to jp", "bad-delivery", decided_otherwise),
    Row("a delivery that was not decided", "delivery to jp", "bad-delivery", told(decision={"shares": ()})),
    Row("a delivery of another notice", "delivery to jp", "bad-evidence", of_another_notice("deliveries")),
    Row(
        "a delivery under another member's name",
        "delivery to nl",
        "bad-evidence",
        of_case(under_another_name),
    ),
    Row("a delivery of more", "delivery to jp", "bad-proof", record(DeliveryHead, "jp", slots=tuple(Slot))),
    Row(
        "a delivery of more than was agreed",
        "delivery to jp",
        "not-agreed",
        told(head={"slots": tuple(Slot)}),
    ),
    Row("a delivery without agreement", "delivery to jp", "not-agreed", told(head={"grounds": ()})),
    Row(
        "a delivery that follows, without agreement", "delivery to jp", "not-agreed", following(lambda _: ())
    ),
    Row(
        "a delivery that follows, by an agreement of others",
        "delivery to jp",
        "not-agreed",
        following(lambda making: (making.ground("jp-nl"),)),
    ),
    Row(
        "a delivery to whom it was not addressed",
        "delivery to jp",
        "not-agreed",
        of_notice(addressees=("nl",)),
    ),
    Row("another delivery than was decided", "delivery to jp", "bad-delivery", another_delivery),
    Row(
        "a receipt by a member to which nothing was delivered",
        "receipt 8",
        "bad-evidence",
        told(receivers=("jp",), receipt={"member": "nl"}, receipt_by=private("nl-sign")),
    ),
    Row("deliveries at two times", "time", "bad-evidence", two_times),
    Row("a delivery by other terms", "delivery to jp", "not-agreed", told(head={"obligations": OTHER_TERMS})),
    Row("a delivery of other content", "delivery to jp", "bad-delivery", told(head={"content": bytes(32)})),
    Row(
        "a delivery under another version",
        "delivery to jp",
        "bad-evidence",
        told(head={"directory": bytes(32)}),
    ),
    # what members said
    Row("a receipt by another member", "receipt 9", "bad-signature", told(receipt_by=private("nl-sign"))),
    Row(
        "a receipt for another delivery",
        "receipt 9",
        "bad-evidence",
        told(receipt={"deliveries": (bytes(32),)}),
    ),
    Row("a receipt at another place", "receipt 10", "bad-evidence", of_case(under_another_index)),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_altered_evidence_is_refused_with_its_code(making: Making, row: Row) -> None:
    _, found = opened(row.alter(making), Trust(root=making.root), CATALOGUE)

    assert isinstance(found.refused, Refused), [step.said for step in found.steps]
    assert found.refused.code == row.code, found.refused
    assert (found.steps[-1].name, found.steps[-1].code) == (row.step, row.code)


def test_what_is_altered_in_the_rows_holds_as_it_was(making: Making) -> None:
    for case in (making.case(), making.case(late=60 * MINUTE)):
        _, found = opened(bundle(case, CATALOGUE), Trust(root=making.root), CATALOGUE)
        assert found.complete, [(step.name, step.said) for step in found.steps]


def test_a_bundle_is_always_the_same_bytes(making: Making) -> None:
    assert bundle(making.case(), CATALOGUE) == bundle(making.case(), CATALOGUE)
    assert (
        sha256(bundle(making.case(), CATALOGUE)).digest()
        != sha256(bundle(making.case(late=60 * MINUTE), CATALOGUE)).digest()
    )


def test_a_root_before_the_one_that_is_trusted_leads_to_it(tmp_path: Path) -> None:
    """The page names the oldest root: a made-up one beside the true one would be taken for it."""
    making = Making(tmp_path)
    making.network.take(signed(root_change(terms(), 2, making.network.now), *ROOTS[:3]))
    making.directory = making.network.source().load()
    case = making.case()
    trust = Trust(root=sha256(case.directory["metadata/2.root.json"]).hexdigest())
    _, found = opened(bundle(case, CATALOGUE), trust, CATALOGUE)
    assert found.complete

    own = signed(root_change(terms(holders={}), 1, NOW), private("thief"))
    for made_up in (b"x", own.metadata([private("thief").public]), case.directory["metadata/2.root.json"]):
        directory = {**case.directory, "metadata/1.root.json": made_up}
        _, found = opened(write_case(files_of(replace(case, directory=directory))), trust, CATALOGUE)
        assert isinstance(found.refused, Refused)
        assert found.steps[-1].name == "directory"
