"""Bundles: what they show, on whose word, and that the rest stands when parts are left out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.audit.building import AuditIndex
from broker.cli import halong as commands
from broker.commands.audit.gathering import NotDecided, gather
from broker.core.cosignature import Cosigner
from broker.core.directory import Revocation
from broker.core.errors import BadEvidence, BadProof, BadSeal, Refused
from broker.core.model import Envelope, Erasure, ErasureGround, KeyWrap, SealedSlot, Slot
from broker.core.note import LogKey
from broker.core.policy import witness_name
from broker.core.records import decode, encode
from broker.core.sealing import seals_root
from broker.core.signed_note import merged, split_note
from broker.core.signing import sign_header
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, SNAPSHOT
from broker.evidence.archive import MOST_FILES, read_case, write_case
from broker.evidence.building import bundle, opened
from broker.evidence.case import Case
from broker.evidence.checking import Trust
from broker.evidence.needed import number_of, signed_files
from broker.evidence.redacting import _proofs as proofs_of
from broker.evidence.redacting import without
from broker.evidence.report import Found, State
from broker.log import Log, Partition, Stored
from broker.services.erasure import Eraser
from broker.services.orders import Orders
from broker.terminal import run
from tests.cases import MINUTE, Making, agreement
from tests.ceremony import NOW, private
from tests.signed_world import SignedWorld
from tests.world import CATALOGUE, NETWORK, Sent, notice, sighting

OTHER = "0" * 64


@pytest.fixture(scope="module")
def making(tmp_path_factory: pytest.TempPathFactory) -> Making:
    return Making(tmp_path_factory.mktemp("cases"))


def shown(data: bytes, **trust: str) -> Found:
    return opened(data, Trust(**trust), CATALOGUE)[1]


def states(found: Found) -> dict[str, State]:
    return {step.name: step.state for step in found.steps}


# --- what it shows -------------------------------------------------------------------------------------


def test_every_step_is_named_and_says_what_it_showed(making: Making) -> None:
    found = shown(bundle(making.case(late=60 * MINUTE), CATALOGUE), root=making.root)

    assert found.complete
    assert [step.name for step in found.steps] == [
        "form", "directory", "log key", "trust", "checkpoint", "witnesses", "growth", "statement",
        "statement in the log", "decision", "delivery to jp", "delivery to nl", "time", "receipt 9", "copies",
    ]  # fmt: skip
    said = {step.name: step.said for step in found.steps}
    assert "shared with jp, nl" in said["decision"]
    assert "facts persons, as vn-jp/1 allows; the content is the one shown here" in said["delivery to jp"]
    assert "jp said delivered" in said["receipt 9"]


@pytest.mark.parametrize(
    ("trust", "state"),
    [
        ({}, State.NOT_CHECKED),
        ({"root": "the root"}, State.HELD),
        ({"root": "the root", "log_key": "the key"}, State.HELD),
        # Whoever signs the log could make up the directory.
        ({"log_key": "the key"}, State.NOT_CHECKED),
    ],
    ids=["nothing", "the root", "both", "the log's key"],
)
def test_all_rests_on_what_is_trusted(making: Making, trust: dict[str, str], state: State) -> None:
    case = making.case()
    given = {name: {"the root": making.root, "the key": case.log_key}[value] for name, value in trust.items()}

    found = shown(bundle(case, CATALOGUE), **given)

    assert found.holds
    assert states(found)["trust"] is state
    assert found.complete is (state is State.HELD)


@pytest.mark.parametrize("trust", [{"root": OTHER}, {"log_key": "another"}])
def test_a_bundle_of_another_network_is_not_the_one_that_is_trusted(
    making: Making, trust: dict[str, str]
) -> None:
    found = shown(bundle(making.case(), CATALOGUE), **trust)

    assert isinstance(found.refused, BadEvidence)


def test_a_time_that_nothing_here_bears_out_is_not_checked(making: Making) -> None:
    late = replace(making.case(late=60 * MINUTE), first=None)

    found = shown(bundle(late, CATALOGUE), root=making.root)

    assert (found.holds, found.complete) == (True, False)
    assert states(found)["time"] is State.NOT_CHECKED


def test_a_receipt_from_after_the_log_had_it_is_not_believed_its_time(making: Making) -> None:
    found = shown(bundle(making.case(receipt={"at": NOW + 60 * MINUTE}), CATALOGUE), root=making.root)

    assert (found.holds, found.complete) == (True, False)
    assert states(found)["receipt 9"] is State.NOT_CHECKED


def test_without_decision_and_delivery_only_the_notice_is_shown(making: Making) -> None:
    alone = replace(making.case(), decision=None, deliveries={}, receipts={})

    found = shown(bundle(alone, CATALOGUE), root=making.root)

    assert found.holds
    assert {name for name, state in states(found).items() if state is State.NOT_CHECKED} == {"time"}


def test_a_delivery_by_itself_bears_the_time(making: Making) -> None:
    case = making.case(receivers=("jp",), receipt={})
    alone = replace(case, decision=None, statement=None, receipts={})

    assert shown(bundle(alone, CATALOGUE), root=making.root).complete


def test_a_key_that_was_stolen_since_puts_the_notice_in_doubt(tmp_path: Path) -> None:
    making = Making(tmp_path)
    case = making.case()
    entry = making.network.members["vn"]
    stolen = [
        replace(key, revoked_at=NOW, reason=Revocation.COMPROMISED)
        if key.id == private("vn-sign").public.id
        else key
        for key in entry.keys
    ]
    making.network.change(replace(entry, keys=tuple(stolen)))
    layout = Layout(making.network.path)
    newest = making.network.version
    older = number_of(layout, layout.numbers(SNAPSHOT), making.directory.version)
    directory = signed_files(layout, 1, [older, newest.number], making.case_grounds(case))
    manifest = msgspec.structs.replace(case.manifest, heard=newest.directory.version.hex())

    found = shown(bundle(replace(case, directory=directory, manifest=manifest), CATALOGUE), root=making.root)

    assert (found.holds, found.complete) == (True, False)
    assert states(found)["key"] is State.NOT_CHECKED


def test_nothing_is_written_that_does_not_hold(making: Making) -> None:
    with pytest.raises(Refused):
        bundle(making.case(head={"slots": tuple(Slot)}), CATALOGUE)


def test_a_bundle_has_names_of_its_own_and_not_too_many() -> None:
    for named, why in (
        ({"run.sh": b""}, "name"),
        ({f"receipts/{number}/record": b"" for number in range(MOST_FILES + 1)}, "more than"),
    ):
        with pytest.raises(BadEvidence, match=why):
            read_case(write_case(named))


def test_members_that_cosigned_are_named_and_forged_cosignatures_refused(tmp_path: Path) -> None:
    making = Making(tmp_path, witness="jp")
    case = making.case()
    text, _ = split_note(case.checkpoint)
    lines = [
        Cosigner(witness_name(NETWORK, "jp"), signer).cosign(text, NOW)
        for signer in (private("jp-witness"), private("thief"))
    ]

    def said(note: bytes) -> str:
        found = shown(bundle(making.under(case, note), CATALOGUE), root=making.root)
        return next(step.said for step in found.steps if step.name == "witnesses")

    assert said(case.checkpoint) == "cosigned by nobody: 0 of 1 members that could"
    assert said(merged(case.checkpoint, lines[:1])) == "cosigned by jp: 1 of 1 members that could"
    # A line by another key names another key: it is passed over, as the specification has it.
    assert said(merged(case.checkpoint, lines[1:])).startswith("cosigned by nobody")
    forged = lines[0]._replace(signature=lines[1].signature)
    with pytest.raises(BadProof):
        said(merged(case.checkpoint, [forged]))


# --- less of it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("slot", Slot, ids=lambda slot: slot.label)
def test_without_a_part_all_the_rest_holds(making: Making, slot: Slot) -> None:
    case = making.case(late=60 * MINUTE)

    data = bundle(without(case, {slot}), CATALOGUE)

    found = shown(data, root=making.root)
    assert found.complete
    assert found.notice is not None
    assert slot not in {one.slot for one in found.notice.envelope.disclosures}
    if slot is Slot.PERSONS:
        assert b"Ada" in bundle(case, CATALOGUE)
        assert b"Ada" not in data


def test_what_is_not_there_cannot_be_left_out(making: Making) -> None:
    case = without(making.case(), {Slot.PERSONS})
    with pytest.raises(BadEvidence):
        without(case, {Slot.PERSONS})


def sealed_envelope(making: Making) -> Envelope:
    """Facts in clear; persons and text sealed for jp and nl."""
    plain = making.envelope()
    sealed = tuple(
        SealedSlot(slot, bytes(12), bytes([slot]) * (256 + 16)) for slot in (Slot.PERSONS, Slot.INTELLIGENCE)
    )
    wraps = tuple(KeyWrap(member, bytes(32), bytes(1120 + 16 + 2 + 33)) for member in ("jp", "nl"))
    rest = tuple(one for one in plain.disclosures if one.slot not in (Slot.PERSONS, Slot.INTELLIGENCE))
    whole = replace(plain, disclosures=rest, sealed=sealed, wraps=wraps)
    header = replace(making.header(plain), seals=seals_root(whole))
    signed = sign_header(encode(header), NETWORK, private("vn-sign"))
    return replace(whole, header=encode(header), signature=signed)


def test_what_was_sealed_may_be_left_out_like_the_rest(making: Making) -> None:
    case = making.case(envelope=sealed_envelope(making))
    for slots in ({Slot.PERSONS}, {Slot.PERSONS, Slot.INTELLIGENCE}, {Slot.FACTS}):
        less = without(case, slots)
        assert shown(bundle(less, CATALOGUE), root=making.root).complete
    once, twice = without(case, {Slot.PERSONS}), without(without(case, {Slot.PERSONS}), {Slot.INTELLIGENCE})
    assert (once.seals is not None, twice.seals) == (True, ())
    with pytest.raises(BadSeal):
        bundle(replace(once, seals=once.seals[:-1]), CATALOGUE)  # type: ignore[index]


@pytest.mark.parametrize("shows", ["disclosures", "sealed", "wraps"])
def test_nothing_is_shown_of_what_the_hub_says_it_erased(making: Making, shows: str) -> None:
    whole = sealed_envelope(making)
    bare = replace(whole, disclosures=(), sealed=(), wraps=())
    proofs = proofs_of(whole)
    envelope, seals = {
        "disclosures": (replace(whole, sealed=(), wraps=()), ()),
        "sealed": (replace(bare, sealed=whole.sealed), proofs[: len(whole.sealed)]),
        "wraps": (replace(bare, wraps=whole.wraps), proofs[len(whole.sealed) :]),
    }[shows]
    case = making.case(envelope=whole, erased=True)
    assert shown(bundle(replace(case, envelope=encode(bare), seals=()), CATALOGUE), root=making.root).complete
    with pytest.raises(BadEvidence, match="content is shown"):
        bundle(replace(case, envelope=encode(envelope), seals=seals), CATALOGUE)


# --- the page ------------------------------------------------------------------------------------------


def test_the_page_says_the_same_in_two_languages_and_loads_nothing(making: Making) -> None:
    page = read_case(bundle(making.case(), CATALOGUE))["page.html"].decode()
    words = [
        tomllib.loads((files("broker.evidence") / f"words.{language}.toml").read_text(encoding="utf-8"))
        for language in ("en", "vi")
    ]

    assert words[0].keys() == words[1].keys()
    for reading in words:
        for key in ("proves", "not_proves", "not_true", "not_hands", "check_halong"):
            assert reading[key].replace("'", "&#39;") in page
    assert making.root in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_of_less_says_that_parts_are_not_shown(making: Making) -> None:
    case = making.case()
    full, less = (
        read_case(bundle(each, CATALOGUE))["page.html"].decode()
        for each in (case, without(case, {Slot.FACTS}))
    )
    assert "What stands in the parts that are not shown" not in full
    assert "What stands in the parts that are not shown" in less


# --- where it comes from -------------------------------------------------------------------------------


class ReadLog:
    """A log that counts what is read of it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.asked = self.records = 0

    async def read(self, partition: Partition, start: int, limit: int) -> Sequence[Stored]:
        found = await self._log.read(partition, start, limit)
        self.asked, self.records = self.asked + 1, self.records + len(found)
        return found

    async def ends(self, topics: Sequence[str], *, settled: bool = True) -> Mapping[Partition, int]:
        return await self._log.ends(topics, settled=settled)


class AtHub:
    """A hub whose cases are gathered."""

    def __init__(self, world: SignedWorld, folder: Path) -> None:
        self.world = world
        self.trust = Trust(root=sha256(world.network.root).hexdigest())
        self._index = AuditIndex(folder / "audit.index", LogKey.parse(world.log_signer.vkey), CATALOGUE)

    def _needed(self, versions: Any, grounds: Any) -> dict[str, bytes]:
        layout = Layout(self.world.network.path)
        numbers = [number_of(layout, layout.numbers(SNAPSHOT), each) for each in versions]
        return signed_files(layout, layout.numbers(ROOT)[0], numbers, grounds)

    async def case(self, named: str) -> Case:
        return (await self.counted(named))[0]

    async def counted(self, named: str) -> tuple[Case, ReadLog]:
        """Return a case, and what was read for it."""
        await self._index.refresh(self.world.log)
        read: Any = ReadLog(self.world.log)
        return await gather(read, self._index, self.world.directory.value, self._needed, named), read


async def receipted(world: SignedWorld, place: str, person: str) -> Sent:
    """Publish a notice that `jp` gets, and says so."""
    sent = await world.publish("vn", sighting(place=place, person=person))
    delivery = (await world.deliveries("jp"))[-1]
    await world.gateway.receive("jp", [encode(world.receipt("jp", delivery.id))])
    await world.settle()
    return sent


async def test_a_hub_gathers_what_happened_to_a_notice(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp", "nl") as world:
        await world.accede(agreement("vn", "jp", ["facts", "persons"]), "vn", "jp")
        await world.publish("vn", sighting(place="Hue"))
        sent = await receipted(world, "Hue", "Ada")
        hub = AtHub(world, tmp_path)

        case = await hub.case(sent.header.reference)

        found = opened(bundle(case, CATALOGUE), hub.trust, CATALOGUE)[1]
        assert found.complete, [(step.name, step.said) for step in found.steps]
        assert [each.member for each in found.receipts] == ["jp"]
        assert (await hub.case(sent.statement.hex())).envelope == sent.envelope
        with pytest.raises(BadEvidence, match="no notice"):
            await hub.case("vn/asia-pacific/main/99")
        world.stop_services()
        waiting = await world.store("vn", world.compose("vn", sighting()))
        with pytest.raises(NotDecided):
            await hub.case(waiting.hex())


async def test_as_much_is_read_for_a_case_however_long_the_log_is(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp", "nl") as world:
        await world.accede(agreement("vn", "jp", ["facts", "persons"]), "vn", "jp")
        hub = AtHub(world, tmp_path)
        sent = await receipted(world, "Hue", "Ada")
        _, short = await hub.counted(sent.header.reference)
        more = (world.compose("vn", sighting(place=f"Hue {number}")) for number in range(300))
        await world.send("vn", *more)
        await world.settle()
        assert world.ledger.size > 600

        case, long = await hub.counted(sent.header.reference)

        # Notice, decision, delivery and receipt, and the leaf of each.
        assert (long.asked, long.records) == (short.asked, short.records) == (8, 8)
        assert opened(bundle(case, CATALOGUE), hub.trust, CATALOGUE)[1].holds


# --- of an erased notice -------------------------------------------------------------------------------


async def erased_case(hub: AtHub, folder: Path) -> tuple[Sent, Case]:
    """Publish a notice, let the hub erase it, and gather what there is of it."""
    world = hub.world
    sent = await receipted(world, "Canary-place", "Canary-person")
    orders = Orders(folder, NETWORK)
    orders.write(sent.statement, "halong:vn", ErasureGround.ORDER, "a judge said so", world.clock.now())
    eraser = Eraser(world.log, world.ledger, orders, world.clock, world.metrics)
    while await eraser.step():
        await world.settle()
    return sent, await hub.case(sent.header.reference)


async def test_evidence_of_an_erased_notice_says_so_and_the_rest_still_verifies(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp", "nl") as world:
        await world.accede(agreement("vn", "jp", ["facts", "persons"]), "vn", "jp")
        hub = AtHub(world, tmp_path)
        sent, case = await erased_case(hub, tmp_path)

        data = bundle(case, CATALOGUE)

        found = opened(data, hub.trust, CATALOGUE)[1]
        assert found.complete, [(step.name, step.said) for step in found.steps]
        assert {"statement in the log", "decision", "delivery to jp", "erasure"} <= states(found).keys()
        assert [each.member for each in found.receipts] == ["jp"]
        assert b"Canary" not in data
        page = read_case(data)["page.html"].decode()
        for said in ("The content was erased", "Nội dung đã bị xóa", "still verifies without it"):
            assert said in page
        # Whoever kept the notice can show that it is this one, but not as what the hub still has.
        whole = replace(case, envelope=sent.envelope)
        assert opened_holds(replace(whole, erasure=None), hub)
        with pytest.raises(BadEvidence, match="content is shown"):
            bundle(whole, CATALOGUE)


def opened_holds(case: Case, hub: AtHub) -> bool:
    return opened(bundle(case, CATALOGUE), hub.trust, CATALOGUE)[1].holds


async def test_another_statements_erasure_is_none_of_this_one(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp", "nl") as world:
        await world.accede(agreement("vn", "jp", ["facts", "persons"]), "vn", "jp")
        hub = AtHub(world, tmp_path)
        other = await receipted(world, "Hue", "Ada")
        _, case = await erased_case(hub, tmp_path)
        assert (await hub.case(other.header.reference)).erasure is None
        assert case.erasure is not None
        erasure = replace(decode(Erasure, case.erasure.record), statement=other.statement)

        with pytest.raises(BadEvidence, match="another statement was erased"):
            bundle(replace(case, erasure=replace(case.erasure, record=encode(erasure))), CATALOGUE)


async def test_an_erasure_that_the_log_does_not_have_is_refused(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp", "nl") as world:
        await world.accede(agreement("vn", "jp", ["facts", "persons"]), "vn", "jp")
        hub = AtHub(world, tmp_path)
        _, case = await erased_case(hub, tmp_path)
        assert case.erasure is not None
        erasure = replace(decode(Erasure, case.erasure.record), ground=ErasureGround.RETENTION)

        with pytest.raises(BadProof):
            bundle(replace(case, erasure=replace(case.erasure, record=encode(erasure))), CATALOGUE)


# --- the command ---------------------------------------------------------------------------------------


def halong(*words: object) -> int:
    return run(commands, [*map(str, words)])


def test_the_exit_code_says_what_the_evidence_is_worth(
    making: Making, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, root, key = tmp_path / "case.zip", tmp_path / "1.root.json", tmp_path / "log.vkey"
    case = making.case(envelope=making.envelope(content=notice("drug-parcel")))
    data = bundle(case, CATALOGUE)
    file.write_bytes(data)
    root.write_bytes(making.network.root)
    key.write_text(case.log_key + "\n")

    assert halong("verify", file) == 3
    assert halong("verify", file, "--root", making.root) == 0
    assert halong("verify", file, "--root", root, "--log-key", key) == 0
    assert halong("verify", file, "--root", "nowhere") == 2
    assert halong("verify", file, "--log-key", "nothing") == 2
    capsys.readouterr()
    assert halong("verify", file, "--root", making.root, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["code"], told["shared_with"]) == ("held", None, ["jp", "nl"])
    assert {each["state"] for each in told["steps"]} == {"held", "noted"}
    file.write_bytes(data.replace(b"halong:vn/", b"halong:jp/"))
    assert halong("verify", file) == 1
    assert "bad-evidence" in capsys.readouterr().err


def test_a_court_gets_less_by_command(making: Making, tmp_path: Path) -> None:
    envelope = making.envelope(content=notice("drug-parcel"))
    persons = next(one.value for one in envelope.disclosures if one.slot is Slot.PERSONS)
    file, court = tmp_path / "case.zip", tmp_path / "court.zip"
    file.write_bytes(bundle(making.case(envelope=envelope), CATALOGUE))

    assert halong("audit", "redact", file, "--without", "persons,intelligence", "-o", court) == 0
    assert halong("verify", court, "--root", making.root) == 0
    assert persons in file.read_bytes()
    assert persons not in court.read_bytes()
    assert halong("audit", "redact", court, "--without", "persons", "-o", tmp_path / "x.zip") == 1
    assert halong("audit", "redact", file, "--without", "names", "-o", tmp_path / "x.zip") == 2
    court.write_bytes(b"nothing")
    assert halong("audit", "redact", court, "--without", "facts", "-o", tmp_path / "x.zip") == 1
    assert not (tmp_path / "x.zip").exists()
