"""What an auditor asks, held against a reader of the same log that shares nothing with ours."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from broker.audit.building import AuditIndex
from broker.audit.effect import effects
from broker.audit.gaps import gaps
from broker.audit.leaves import Named
from broker.audit.life import life
from broker.audit.members import Patience, standings
from broker.audit.reads import readings, refusals
from broker.audit.sharing import search, sharing
from broker.core.errors import BadProof, NotFound, Refused
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import leaf_hash, verify_inclusion
from broker.core.note import LogKey, LogSigner
from broker.log import open_log
from tests.audit_day import ERASED_PLACE, SECRETS, Day, make_day
from tests.audit_recount import Told, recount
from tests.world import CATALOGUE, NOW

T = TypeVar("T")
HOUR = 3_600_000


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return make_day(tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="module")
def plain(day: Day) -> Told:
    return recount(day.file)


@pytest.fixture(scope="module")
def index(day: Day, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditIndex]:
    async def built() -> AuditIndex:
        made = AuditIndex(tmp_path_factory.mktemp("index") / "audit.index", LogKey.parse(day.key), CATALOGUE)
        async with open_log(day.url, read_only=True) as log:
            await made.refresh(log)
        return made

    made = asyncio.run(built())
    yield made
    made.close()


def test_the_life_of_every_notice_is_what_the_plain_reader_finds(
    day: Day, index: AuditIndex, plain: Told
) -> None:
    for name, statement in day.statements.items():
        found = life(index, statement.hex())
        stages: Counter[tuple[str, str, int]] = Counter()
        for stage in found.stages:
            assert stage.proved is not None, (name, stage.what)
            stages[stage.what, stage.member, stage.proved.leaf] += 1
        assert stages == plain.stages(statement), name


def test_every_stage_is_proved_to_a_checkpoint_that_the_log_signed(day: Day, index: AuditIndex) -> None:
    found = life(index, "vn/asia-pacific/main/1")
    assert found.under is not None
    key = LogKey.parse(day.key)
    assert key.open_checkpoint(found.under.note) == (found.under.size, found.under.root)
    assert {stage.what for stage in found.stages} >= {
        "published", "decided", "delivered", "received", "acknowledged", "acted on",
    }  # fmt: skip
    for stage in found.stages:
        proved = stage.proved
        assert proved is not None
        assert proved.entry[1:] == stage.record
        hashed = leaf_hash(proved.entry)
        assert verify_inclusion(hashed, proved.leaf, found.under.size, proved.path, found.under.root)


def test_a_statement_is_found_by_its_reference_or_the_beginning_of_its_id(
    day: Day, index: AuditIndex
) -> None:
    first = day.statements["first"]
    for name in ("halong:vn/asia-pacific/main/1", "vn/asia-pacific/main/1", first.hex(), first.hex()[:12]):
        # Another statement was signed under this number, and refused.
        assert life(index, name).statement.statement == first
    for name in ("vn/asia-pacific/main/99", "vn/nowhere/main/1", "0" * 64, first.hex()[:4], "x", "' OR 1=1"):
        with pytest.raises(NotFound):
            life(index, name)


async def test_of_two_under_one_number_none_is_told_before_one_is_decided(day: Day, tmp_path: Path) -> None:
    index = AuditIndex(tmp_path / "audit.index", LogKey.parse(day.key), CATALOGUE)
    async with open_log(day.url, read_only=True) as log:
        await index.refresh(log)
    index.base.run("UPDATE statement SET decision = NULL, decided_at = NULL")
    with pytest.raises(NotFound, match="more than one"):
        life(index, "halong:vn/asia-pacific/main/1")
    index.close()


def test_who_received_anything_is_what_the_plain_reader_finds(index: AuditIndex, plain: Told) -> None:
    for originator, agreement in (("vn", "vn-jp"), ("vn", "vn-nl"), ("jp", "jp-vn"), ("nl", "vn-nl")):
        for since, until in ((0, NOW * 2), (NOW + 1_000, NOW + 3_000), (0, NOW), (NOW + 3_000, NOW)):
            found = sharing(index, originator, agreement=agreement, since=since, until=until)
            counted = {each.member: each.deliveries for each in found.shares}
            assert counted == plain.received(originator, agreement, since, until)
            assert Counter(each.member for each in found.received) == counted
            assert all(since <= each.decided_at < until for each in found.received)


def test_without_an_agreement_each_of_an_originator_is_told(index: AuditIndex) -> None:
    found = sharing(index, "vn", limit=2)
    assert {each.agreement for each in found.shares} == {"vn-jp", "vn-nl", "parcels"}
    assert len(found.received) == 2
    assert {each.member for each in sharing(index, "vn", member="nl").shares} == {"nl"}


def test_who_read_what_is_what_the_plain_reader_finds(day: Day, index: AuditIndex, plain: Told) -> None:
    for statement in day.statements.values():
        found = readings(index, statement.hex())
        assert Counter(each.reader for each in found) == plain.readers(statement)
    assert len(readings(index)) == len(plain.reads)
    assert {each.reader for each in readings(index, reader="jp")} == {"jp"}
    assert readings(index, until=NOW) == ()


def test_what_was_refused_is_counted_by_code_with_its_reason(
    day: Day, index: AuditIndex, plain: Told
) -> None:
    found = refusals(index)
    assert dict(found.codes) == plain.refused()
    assert {"equivocation", "bad-signature"} <= dict(found.codes).keys()
    (one,) = refusals(index, code="equivocation").refused
    assert one.statement == day.statements["equivocating"]
    assert one.reference == "halong:vn/asia-pacific/main/1"
    assert one.why == "Another statement was admitted under this number"
    assert refusals(index, peer="jp").codes == ()
    assert refusals(index, since=day.now + HOUR).refused == ()


def test_an_equivocation_is_a_fault_and_a_skipped_number_is_none(day: Day, index: AuditIndex) -> None:
    found = gaps(index, day.now + HOUR)
    assert [(each.kind, each.where) for each in found if each.fault] == [
        ("equivocation", "vn/asia-pacific/main/1")
    ]
    assert day.statements["first"].hex()[:12] in found[0].what
    assert [each.kind for each in found if not each.fault] == ["skipped"]


def test_how_members_stand_is_what_the_plain_reader_finds(day: Day, index: AuditIndex, plain: Told) -> None:
    found = {each.member: each for each in standings(index, day.now)}
    counted = {name: (each.delivered, each.taken, each.acknowledged) for name, each in found.items()}
    assert counted == plain.standing()
    assert found["vn"].published == 6 + 1
    assert found["jp"].published == 2


def test_a_member_that_takes_nothing_is_behind_and_then_silent(day: Day, index: AuditIndex) -> None:
    def states(hours: float, patience: Patience | None = None) -> dict[str, str]:
        now = day.now + round(hours * HOUR)
        return {each.member: each.state for each in standings(index, now, patience)}

    assert states(0)["nl"] == "well"
    assert states(1)["nl"] == "behind"
    assert states(25)["nl"] == "silent"
    assert states(25)["vn"] == "slow", "it took all, and says nothing about it"
    assert states(25, Patience(silent=26 * HOUR, behind=26 * HOUR, slow=26 * HOUR))["nl"] == "well"
    assert list(states(25)) == ["jp", "nl", "vn"], "those first that somebody should call"


def test_what_agreements_bring_is_counted_by_direction(day: Day, index: AuditIndex, plain: Told) -> None:
    found = {(each.agreement, each.originator, each.member): each for each in effects(index, day.now)}
    assert {way: each.sent for way, each in found.items()} == plain.sent()
    jp = found["vn-jp", "vn", "jp"]
    assert (jp.answered, jp.hits, jp.hit_rate) == (1, 0, 0.0), "the last answer counts: nothing was found"
    assert jp.median_hours == pytest.approx(65 / 3600, abs=1 / 3600), "to the first answer"
    assert (jp.acknowledged, jp.rejected) == (2, 1)
    assert jp.asked == jp.sent - 1, "nothing is asked about a recall"
    late = {each.agreement: each.overdue for each in effects(index, day.now + 2 * HOUR)}
    assert late["vn-jp"] == jp.asked - 2, "one was answered, one was recalled"
    # Hour by hour, and within the hour in which it becomes due.
    (due,) = index.base.rows(
        "SELECT feedback_due FROM delivery WHERE statement = ? AND member = 'jp'", day.statements["erased"]
    )[0]
    for now, overdue in ((due - 1, 0), (due, 1)):
        (one,) = (each for each in effects(index, now, agreement="vn-jp") if each.member == "jp")
        assert one.overdue == overdue
    assert [each.agreement for each in effects(index, day.now, agreement="vn-nl")] == ["vn-nl"]
    assert effects(index, day.now, until=NOW - 86_400_000) == ()


def test_words_are_found_in_facts_alone(day: Day, index: AuditIndex) -> None:
    (found,) = search(index, "hai phong 2932").statements
    assert found.statement == day.statements["first"]
    assert search(index, "mdma").count == 3, "the parcel, and both answers about it"
    assert [each.statement for each in search(index, "exerc").statements] == [day.statements["exercise"]]
    for secret in SECRETS.values():
        assert search(index, secret).count == 0
    assert search(index, ERASED_PLACE).count == 0
    for words in ('"', "NEAR(a b)", "a:b", "mdma OR", "*", "text : mdma"):
        try:
            search(index, words)
        except Refused:
            assert not any(each.isalnum() for each in words)


def test_a_checkpoint_that_another_signed_or_that_the_leaves_contradict_proves_nothing(
    day: Day, index: AuditIndex
) -> None:
    leaves = index.leaves
    named = leaves.newest(index.key)
    assert isinstance(named, Named)
    seed = PrivateKey.from_seed(Algorithm.ED25519, b"\7" * 32)
    other = LogSigner(index.key.name, seed)
    with pytest.raises(BadProof):
        leaves.newest(other.key)
    base = index.base
    try:
        note = other.sign_checkpoint(named.size, bytes(32))
        base.run("UPDATE checkpoint SET note = ?, root = ? WHERE size = ?", note, bytes(32), named.size)
        with pytest.raises(BadProof):
            leaves.newest(other.key)
        base.run("UPDATE checkpoint SET root = ? WHERE size = ?", named.root, named.size)
        with pytest.raises(BadProof):
            leaves.newest(other.key)
    finally:
        base.run(
            "UPDATE checkpoint SET note = ?, root = ? WHERE size = ?", named.note, named.root, named.size
        )
    with pytest.raises(BadProof):
        leaves.proved(bytes((1,)) + day.statements["first"], replace(named, root=bytes(32)))
    assert leaves.proved(bytes(33), named) is None
    assert leaves.proved(bytes((1,)) + day.statements["first"], None) is None


def test_the_index_holds_no_value_of_a_restricted_slot(day: Day, index: AuditIndex) -> None:
    index.base.tidy()
    files = [each.read_bytes() for each in Path(index.path.parent).iterdir()]
    assert any("Hải Phòng".encode() in each for each in files), "the facts are there"
    for secret in (*SECRETS.values(), "canaryerased"):
        for data in files:
            assert secret.encode().lower() not in data.lower(), secret
