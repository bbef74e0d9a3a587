"""The log's files at the terminal: checked, made again, taken elsewhere; what was altered is named."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from broker.clock import SystemClock
from broker.commands.log_check import check_log
from broker.configuration import load_hub_config
from broker.core.keys import Algorithm, PrivateKey
from broker.core.merkle import EMPTY_ROOT
from broker.core.model import Checkpoint, Leaf
from broker.core.note import LogKey, LogSigner
from broker.core.records import frame, unframe
from broker.core.tiles import tiles_of
from broker.demo.network import Network
from broker.log import Log, Record, Stored, open_log
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES, REFUSALS, hub_topics
from broker.services.metrics import Metrics
from broker.services.sequencer import Sequencer
from broker.services.tile_folder import TileFolder
from broker.services.tiles import Tiles
from broker.terminal import Exit
from tests.leaves import files_in, refusals
from tests.networks import hub_of, make
from tests.tiles import reach
from tests.unit.test_cli_commands import Terminal, at
from tests.unit.test_cli_recount import AlteredLog

__all__ = ["at"]

SECONDS = 30.0
COUNT = 600


async def run(folder: Path, records: Sequence[Record], size: int) -> None:
    """Let the hub in a folder sequence these records, and write their tiles."""
    config = load_hub_config(folder)
    signer = LogSigner("halong-test/log", PrivateKey.from_pem((folder / "keys/log.pem").read_bytes()))
    async with open_log(config.log_url) as log:
        await log.create(hub_topics(()))
        await log.append(records)
        tiles = Tiles(log, TileFolder(config.path(config.tiles)), Metrics())
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(Sequencer(log, signer, SystemClock(), Metrics()).run()),
                group.create_task(tiles.run()),
            ]
            await reach(tiles, size)
            for task in tasks:
                task.cancel()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, made_network: Network) -> Path:
    """A hub's folder whose log has refusals with leaves, signed, and tiles."""
    folder = hub_of(made_network, tmp_path_factory.mktemp("log") / "hub")
    asyncio.run(run(folder, refusals(COUNT), COUNT))
    return folder


@pytest.fixture
def hub(made: Path, at: Terminal, tmp_path: Path) -> Path:
    """The same, to be altered."""
    shutil.copytree(made, tmp_path / "hub")
    return tmp_path / "hub"


def test_a_whole_log_is_checked(at: Terminal, hub: Path) -> None:
    said = at("audit check hub")
    assert said.code == Exit.HELD, said
    assert "log verified" in said.out
    assert f"{COUNT} leaves" in said.out

    found = at("audit check hub --json").json
    assert (found["log"], found["leaves"], found["records"]) == ("verified", COUNT, COUNT)
    assert (found["tiles"], found["waiting"], found["behind"], found["findings"]) == (4, 0, 0, [])


def test_a_log_without_checkpoints_is_not_checked(
    at: Terminal, tmp_path: Path, made_network: Network
) -> None:
    hub_of(made_network, tmp_path / "hub")

    async def create() -> None:
        async with open_log(load_hub_config(tmp_path / "hub").log_url) as log:
            await log.create(hub_topics(()))

    asyncio.run(create())
    for command in ("check hub", "rebuild hub", "export hub out"):
        assert at(f"audit {command}").code == Exit.NOT_CHECKED
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("alter", "where"),
    [
        (lambda tiles: (tiles / "tile/0/000").write_bytes(bytes(8192)), "tile/0/000"),
        (lambda tiles: (tiles / "tile/0/001").write_bytes(b""), "tile/0/001"),
        (lambda tiles: (tiles / "tile/entries/000").unlink(), "tile/entries/001"),
        (lambda tiles: shutil.copy(tiles / "tile/0/000", tiles / "tile/0/002"), "tile/0/002"),
        (lambda tiles: shutil.copytree(tiles / "tile/0", tiles / "tile/1"), "tile/1/000"),
    ],
)
def test_an_altered_tile_is_named_and_made_again(
    at: Terminal, hub: Path, alter: Callable[[Path], object], where: str
) -> None:
    whole = files_in(hub / "tiles")
    alter(hub / "tiles")

    found = at("audit check hub --json")
    assert found.code == Exit.FAILED
    assert where in {each["where"] for each in found.json["findings"]}
    said = at("audit check hub")
    assert "NOT verified" in said.out
    assert where in said.out

    again = at("audit rebuild hub --yes --json")
    assert again.code == Exit.HELD, again
    assert files_in(hub / "tiles") == whole
    assert at("audit check hub").code == Exit.HELD
    assert at("audit rebuild hub --json").json["written"] == 0


def test_nothing_is_replaced_without_a_yes(at: Terminal, hub: Path) -> None:
    (hub / "tiles/tile/0/000").write_bytes(bytes(8192))
    before = files_in(hub / "tiles")
    said = at("audit rebuild hub")
    assert said.code == Exit.USAGE
    assert "tile/0/000" in said.err
    assert files_in(hub / "tiles") == before


def test_anybody_makes_the_same_tiles_of_the_topic(at: Terminal, hub: Path, tmp_path: Path) -> None:
    said = at("audit rebuild hub -o elsewhere")
    assert said.code == Exit.HELD, said
    assert files_in(tmp_path / "elsewhere") == files_in(hub / "tiles")


def test_tiles_are_not_made_again_under_a_hub_that_writes_them(at: Terminal, hub: Path) -> None:
    with TileFolder(hub / "tiles").shared():
        assert at("audit rebuild hub").code == Exit.USAGE
        assert at("audit check hub").code == Exit.HELD


def test_an_export_is_all_that_a_stranger_needs(at: Terminal, hub: Path, tmp_path: Path) -> None:
    said = at("audit export hub out")
    assert said.code == Exit.HELD, said
    out = tmp_path / "out"
    key = LogKey.parse((out / "log.vkey").read_text().strip())
    head = key.open_checkpoint((out / "checkpoint").read_bytes())
    assert head.size == COUNT
    assert set(files_in(out)) == {tile.path for tile in tiles_of(COUNT)}

    shutil.rmtree(hub)
    checked = at(f"audit check out --key {key.vkey} --json")
    found = checked.json
    assert (checked.code, found["log"], found["leaves"], found["tiles"]) == (Exit.HELD, "verified", COUNT, 7)


def test_an_export_under_its_own_key_alone_could_be_anybodys(at: Terminal, hub: Path, tmp_path: Path) -> None:
    assert at("audit export hub out").code == Exit.HELD

    said, found = at("audit check out"), at("audit check out --json")

    assert said.code == found.code == Exit.NOT_CHECKED
    assert found.json["log"] == "not-checked"
    assert "log verified" not in said.out
    assert "give --key" in said.out


def test_an_export_grows_and_continues_what_was_kept(at: Terminal, hub: Path, tmp_path: Path) -> None:
    assert at("audit export hub out").code == Exit.HELD
    shutil.copytree(tmp_path / "out", tmp_path / "kept")
    asyncio.run(run(hub, refusals(300), COUNT + 300))

    grown = at("audit export hub out --from kept --json")
    assert grown.code == Exit.HELD, grown
    assert grown.json["continues"] == [COUNT, COUNT]
    assert set(files_in(tmp_path / "out")) == {tile.path for tile in tiles_of(COUNT + 300)}
    for line in ("audit check out --from kept", "audit check out --from out"):
        assert at(line).code == Exit.HELD
    back = at("audit check kept --from out --json")
    assert (back.code, back.json["findings"][0]["where"]) == (Exit.FAILED, "checkpoint")
    assert at("audit check hub").code == Exit.HELD


def test_an_export_does_not_go_on_from_another_history(at: Terminal, hub: Path, tmp_path: Path) -> None:
    past = tmp_path / "past"
    shutil.copytree(hub, past)
    for folder, count in ((hub, 50), (past, 70)):
        asyncio.run(run(folder, refusals(count), COUNT + count))
    assert at("audit export past kept").code == Exit.HELD

    # Shorter than what was kept, then longer, and never what was kept.
    for more in (0, 100):
        if more:
            asyncio.run(run(hub, refusals(more), COUNT + 50 + more))
        said = at("audit export hub out --from kept")
        assert (said.code, "[bad-proof]" in said.err) == (Exit.FAILED, True)
        assert not (tmp_path / "out").exists()
    assert at("audit export hub out").code == Exit.HELD
    assert at("audit check out --from kept").code == Exit.FAILED


def test_an_export_of_another_log_is_refused(at: Terminal, hub: Path, tmp_path: Path) -> None:
    assert at("audit export hub out").code == Exit.HELD
    other = LogSigner("halong-test/log", PrivateKey.generate(Algorithm.ED25519))
    shutil.copytree(tmp_path / "out", tmp_path / "kept")
    (tmp_path / "kept/log.vkey").write_text(other.vkey)
    (tmp_path / "kept/checkpoint").write_bytes(other.sign_checkpoint(0, EMPTY_ROOT))
    for line in (
        "audit export hub again --from kept",
        "audit check out --from kept",
        f"audit check out --key {other.vkey}",
    ):
        said = at(line)
        assert (said.code, "[bad-proof]" in said.err) == (Exit.FAILED, True), line


@pytest.mark.parametrize(
    "line", ["audit check nowhere", "audit export hub notes", "audit export hub out --from notes"]
)
def test_what_is_neither_a_hub_nor_an_export_is_named(
    at: Terminal, hub: Path, tmp_path: Path, line: str
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine").write_text("keep")
    said = at(line)
    assert (said.code, "[bad-configuration]" in said.err) == (Exit.USAGE, True)
    assert (tmp_path / "notes/mine").read_text() == "keep"


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _alterations() -> dict[str, Callable[[Path], object]]:
    def swap(out: Path) -> None:
        one, two = out / "tile/entries/000", out / "tile/entries/001"
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)

    def flip(name: str) -> Callable[[Path], object]:
        def do(out: Path) -> None:
            data = bytearray((out / name).read_bytes())
            data[40] ^= 1
            (out / name).write_bytes(bytes(data))

        return do

    def drop(out: Path) -> None:
        path = out / "tile/entries/002.p/88"
        path.write_bytes(path.read_bytes()[:-35])

    return {
        "an entry is another": flip("tile/entries/000"),
        "an entry of the partial bundle is another": flip("tile/entries/002.p/88"),
        "a hash is another": flip("tile/0/001"),
        "a hash of a partial tile is another": flip("tile/1/000.p/2"),
        "bundles are swapped": swap,
        "an entry is dropped": drop,
        "a bundle is gone": lambda out: (out / "tile/entries/001").unlink(),
        "a tile is gone": lambda out: (out / "tile/0/002.p/88").unlink(),
        "a bundle without an end": lambda out: endless(out / "tile/entries/001"),
        "there is one more": lambda out: shutil.copy(out / "tile/0/001", out / "tile/0/003"),
    }


@pytest.mark.parametrize("name", _alterations())
def test_an_altered_export_does_not_verify(at: Terminal, hub: Path, tmp_path: Path, name: str) -> None:
    assert at("audit export hub out").code == Exit.HELD
    _alterations()[name](tmp_path / "out")
    found = at("audit check out --json")
    assert found.code == Exit.FAILED
    assert found.json["findings"]


def test_entries_and_tiles_altered_together_do_not_have_the_signed_root(
    at: Terminal, hub: Path, tmp_path: Path
) -> None:
    assert at("audit export hub kept").code == Exit.HELD
    other = make(tmp_path / "others").hub
    asyncio.run(run(other, refusals(COUNT), COUNT))
    assert at(f"audit export {other} out").code == Exit.HELD
    # Tiles of another history, whole and fitting one another, under this log's checkpoint.
    for name in ("checkpoint", "log.vkey"):
        shutil.copy(tmp_path / "kept" / name, tmp_path / "out" / name)
    found = at("audit check out --json")
    assert [each["where"] for each in found.json["findings"]] == ["checkpoint"]


# --- what was done to the topics ----------------------------------------------------------------------


async def checked(hub: Path, topic: str, change: Callable[[Sequence[Stored]], Sequence[Stored]]) -> set[str]:
    """Return what is found in a log of which a topic reads otherwise than it was written."""
    config = load_hub_config(hub)
    key = LogKey.parse(_key(config.root))
    async with open_log(config.log_url, read_only=True) as opened:
        log: Log = AlteredLog(opened, topic, change)  # type: ignore[assignment]  # it reads, and no more
        found = await check_log(log, key, config.path(config.tiles))
        return {each.what for each in found.findings}


def _key(folder: Path) -> str:
    pem = (folder / "keys/log.pem").read_bytes()
    return LogSigner("halong-test/log", PrivateKey.from_pem(pem)).vkey


def _without(offset: int) -> Callable[[Sequence[Stored]], Sequence[Stored]]:
    return lambda found: [each for each in found if each.offset != offset]


def _leaf(at: int, /, **changes: object) -> Callable[[Sequence[Stored]], Sequence[Stored]]:
    def change(each: Stored) -> Stored:
        leaf = unframe(Leaf, each.value)
        fields = {name: getattr(leaf, name) for name in ("index", "entry", "topic", "partition", "offset")}
        return Stored(each.partition, each.offset, each.key, frame(Leaf(**{**fields, **changes})))  # type: ignore[arg-type]  # as a test says

    return lambda found: [change(each) if each.offset == at else each for each in found]


def _rooted(found: Sequence[Stored]) -> Sequence[Stored]:
    last = unframe(Checkpoint, found[-1].value)
    wrong = Checkpoint(last.size, bytes(32), last.note, last.signed_at, last.positions)
    return [*found[:-1], Stored(found[-1].partition, found[-1].offset, found[-1].key, frame(wrong))]


@pytest.mark.parametrize(
    ("topic", "change", "what"),
    [
        (AUDIT_LEAVES, _without(10), "stands where leaf 10 should"),
        (AUDIT_LEAVES, _without(COUNT - 1), f"only {COUNT - 1} leaves are stored"),
        (AUDIT_LEAVES, _leaf(10, entry=b"\x05" + bytes(32)), "the stored leaves have another root"),
        (AUDIT_LEAVES, _leaf(10, index=11), "stands where leaf 10 should"),
        (AUDIT_LEAVES, _leaf(10, offset=9), "names a record at or before the last one of its partition"),
        (AUDIT_LEAVES, _leaf(10, topic="decisions"), "the record of a leaf is gone"),
        (AUDIT_LEAVES, _leaf(10, topic="decisions"), "the record has no leaf"),
        (AUDIT_CHECKPOINTS, _rooted, "the signed note says another size or root than the record"),
        (REFUSALS, _without(10), "the record of a leaf is gone"),
        (REFUSALS, _without(COUNT - 1), "the record of a leaf is gone"),
        (
            REFUSALS,
            lambda found: [
                Stored(each.partition, each.offset, each.key, found[0].value) if each.offset == 10 else each
                for each in found
            ],
            "the record is not the one that its leaf names",
        ),
        (
            REFUSALS,
            lambda found: [
                Stored(each.partition, each.offset, each.key, b"none") if each.offset == 10 else each
                for each in found
            ],
            "not a topic's value of a record that has a leaf",
        ),
    ],
)
async def test_whatever_was_done_to_a_topic_is_named(
    made: Path, topic: str, change: Callable[[Sequence[Stored]], Sequence[Stored]], what: str
) -> None:
    assert what in await checked(made, topic, change)


async def test_a_record_that_has_no_leaf_yet_only_waits(at: Terminal, hub: Path) -> None:
    async with open_log(load_hub_config(hub).log_url) as log:
        await log.append(refusals(3))
    found = await asyncio.to_thread(at, "audit check hub --json")
    assert (found.code, found.json["waiting"]) == (Exit.HELD, 3)
