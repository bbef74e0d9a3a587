"""The folder channel: files appear whole, in an order that programs can rely on, and nowhere else."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.channels import ChannelUnavailable, Item
from adapters.channels.folder import FolderChannel
from broker.core.model import Envelope, Status
from broker.core.records import decode, encode
from tests.nodes import TestNode
from tests.world import World, sighting


class Keeper:
    """A channel that keeps what it got."""

    name = "keeper"
    statuses = frozenset(Status)

    def __init__(self) -> None:
        self.items: list[Item] = []

    async def deliver(self, item: Item) -> None:
        self.items.append(item)


@pytest.fixture
async def item(tmp_path: Path) -> AsyncIterator[Item]:
    """A delivery of vn's to jp: the facts and the person, with text that would break a careless page."""
    world = World(tmp_path, "vn", "jp")
    world.agree("vn", "jp", slots=["facts", "persons", "entities"])
    async with world:
        await world.publish("vn", sighting(person='<script>alert("Ada")</script>', text="for others"))
        keeper = Keeper()
        node = TestNode(world, "jp", tmp_path, channels=[keeper])
        await node.receives()
        node.close()
        yield keeper.items[0]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_delivery_is_json_page_and_signed_bytes_under_its_lane(tmp_path: Path, item: Item) -> None:
    inbox = tmp_path / "inbox"
    await FolderChannel(inbox).deliver(item)
    stem = f"asia-pacific/vn/0000000001-{item.id.hex()[:16]}"
    assert names(inbox) == [f"{stem}.envelope", f"{stem}.html", f"{stem}.json"]
    envelope = decode(Envelope, (inbox / f"{stem}.envelope").read_bytes())
    assert encode(envelope) == encode(item.notice.envelope)


async def test_the_json_says_what_was_shown_under_which_agreement_and_what_is_owed(
    tmp_path: Path, item: Item
) -> None:
    await FolderChannel(tmp_path / "inbox").deliver(item)
    (file,) = (tmp_path / "inbox").rglob("*.json")
    shown: dict[str, Any] = json.loads(file.read_bytes())
    assert shown["reference"] == "halong:vn/asia-pacific/main/1"
    assert shown["notice"] == {
        "place": "Hai Phong",
        "firm": None,
        "person": '<script>alert("Ada")</script>',
    }
    assert shown["slots"] == {
        "facts": "shown",
        "identifiers": "withheld",
        "entities": "none",
        "persons": "shown",
        "intelligence": "withheld",
        "attachments": "withheld",
    }
    assert [ground["agreement"] for ground in shown["grounds"]] == ["vn-jp"]
    assert shown["obligations"]["onward"] == {
        "domestic": "DENY",
        "community": "DENY",
        "third_country": "DENY",
    }
    assert shown["log"] == {"name": "halong-test/log", "leaf": item.proof.index, "size": item.proof.size}
    assert shown["decided_at"].endswith("Z")


async def test_the_page_runs_nothing_that_a_notice_says(tmp_path: Path, item: Item) -> None:
    await FolderChannel(tmp_path / "inbox", language="vi").deliver(item)
    (page,) = (tmp_path / "inbox").rglob("*.html")
    assert "<script" not in page.read_text()
    assert "Ada" in page.read_text()


async def test_what_was_withheld_is_in_no_file(tmp_path: Path, item: Item) -> None:
    await FolderChannel(tmp_path / "inbox").deliver(item)
    for name in names(tmp_path / "inbox"):
        assert b"for others" not in (tmp_path / "inbox" / name).read_bytes()


async def test_the_same_delivery_again_is_the_same_files(tmp_path: Path, item: Item) -> None:
    inbox = tmp_path / "inbox"
    await FolderChannel(inbox).deliver(item)
    before = {name: (inbox / name).read_bytes() for name in names(inbox)}
    await FolderChannel(inbox).deliver(item)
    assert {name: (inbox / name).read_bytes() for name in names(inbox)} == before


async def test_a_file_is_durable_before_it_appears_and_the_json_appears_last(
    tmp_path: Path, item: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        sync(descriptor)
        done.append("sync")

    def replaced(self: Path, target: Path) -> Path:
        assert done.count("sync") >= 3, "a file appears before all are durable"
        done.append(target.suffix)
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    await FolderChannel(tmp_path / "inbox").deliver(item)
    assert done[-4:] == [".html", ".envelope", ".json", "sync"]


async def test_after_a_cut_half_a_delivery_is_no_delivery_and_the_next_try_completes_it(
    tmp_path: Path, item: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = tmp_path / "inbox"

    def fails(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as cut:
        cut.setattr(Path, "replace", fails)
        with pytest.raises(ChannelUnavailable, match="No space left"):
            await FolderChannel(inbox).deliver(item)
    assert [name for name in names(inbox) if not Path(name).name.startswith(".")] == []
    await FolderChannel(inbox).deliver(item)
    assert len(names(inbox)) == 3


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path, item: Item) -> None:
    (tmp_path / "inbox").write_text("a file is in the way")
    with pytest.raises(ChannelUnavailable) as caught:
        await FolderChannel(tmp_path / "inbox", name="desk").deliver(item)
    assert caught.value.field == "desk"
