"""Bundles: what they show, on whose word, and that the rest stands when parts are left out."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.cli import halong as commands
from broker.commands.audit.gathering import NotDecided, gather
from broker.core.cosignature import Cosigner
from broker.core.directory import Revocation
from broker.core.errors import BadEvidence, BadProof, BadSeal, Refused
from broker.core.model import Envelope, KeyWrap, SealedSlot, Slot
from broker.core.policy import witness_name
from broker.core.records import encode
from broker.core.sealing import seals_root
from broker.core.signed_note import merged, split_note
from broker.core.signing import sign_header
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, SNAPSHOT
from broker.evidence.archive import MOST_FILES, read_case, write_case
from broker.evidence.building import bundle, opened
from broker.evidence.checking import Trust
from broker.evidence.needed import number_of, signed_files
from broker.evidence.redacting import without
from broker.evidence.report import Found, State
from broker.terminal import run
from tests.cases import MINUTE, Making, agreement
from tests.ceremony import NOW, private
from tests.signed_world import SignedWorld
from tests.world import CATALOGUE, NETWORK, notice, sighting

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


async def test_a_hub_gathers_what_happened_to_a_notice(tmp_path: Path) -> None:
    async with SignedWorld(tmp_path, "vn", "jp", "nl") as world:
        await world.accede(agreement("vn", "jp", ["facts", "persons"]), "vn", "jp")
        await world.publish("vn", sighting(place="Hue"))
        sent = await world.publish("vn", sighting(person="Ada"))
        (_, delivery) = await world.deliveries("jp")
        receipt = world.receipt("jp", delivery.id)
        await world.gateway.receive("jp", [encode(receipt)])
        await world.settle()
        layout = Layout(world.network.path)

        def needed(versions: Any, grounds: Any) -> dict[str, bytes]:
            numbers = [number_of(layout, layout.numbers(SNAPSHOT), each) for each in versions]
            return signed_files(layout, layout.numbers(ROOT)[0], numbers, grounds)

        told: list[int] = []
        look = partial(
            gather, world.log, world.directory.value, needed, tell=lambda seen, _: told.append(seen)
        )
        case = await look(sent.header.reference)

        trust = Trust(root=sha256(world.network.root).hexdigest())
        found = opened(bundle(case, CATALOGUE), trust, CATALOGUE)[1]
        assert found.complete, [(step.name, step.said) for step in found.steps]
        assert [each.member for each in found.receipts] == ["jp"]
        assert (await look(sent.statement.hex())).envelope == sent.envelope
        assert told
        with pytest.raises(BadEvidence, match="no notice"):
            await look("vn/asia-pacific/main/99")
        world.stop_services()
        waiting = await world.store("vn", world.compose("vn", sighting()))
        with pytest.raises(NotDecided):
            await look(waiting.hex())


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
