"""The folder channel: each delivery is a few files that appear whole.

    <folder>/asia-pacific/vn/0000000017-5a3f9c0d1b2e4f60.json        what was delivered, for programs
    <folder>/asia-pacific/vn/0000000017-5a3f9c0d1b2e4f60.en.html     the notice on a page, for people
    <folder>/asia-pacific/vn/0000000017-5a3f9c0d1b2e4f60.envelope    the signed bytes, for `halong inspect`

The JSON file comes last: when it is there, the others are.  Names are made of what was checked to be plain
(region, member id, number, digest); nothing that a notice says becomes part of a path.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from adapters.channels import LIVE_ALONE, ChannelUnavailable, Item
from adapters.shown import shown
from broker.core.model import Status
from broker.core.records import encode

Page = Callable[[Item, str], str]


class FolderChannel:
    """Writes deliveries into a folder of the member's.

    Args:
        path: The folder; it is made when the first delivery comes.
        page: Renders a delivery in a language.
        languages: One page for each: `en`, `vi`.
        statuses: What is taken.
        name: The name in receipts.
    """

    def __init__(
        self,
        path: Path,
        page: Page,
        *,
        languages: Sequence[str] = ("en", "vi"),
        statuses: frozenset[Status] = LIVE_ALONE,
        name: str = "folder",
    ) -> None:
        self.name = name
        self.statuses = statuses
        self._path = path
        self._page = page
        self._languages = languages

    async def deliver(self, item: Item) -> None:
        """Return when all files of the delivery are there and would survive a crash.

        The same delivery again writes the same files again.

        Raises:
            ChannelUnavailable: The folder cannot be written now.
        """
        header = item.notice.header
        lane = self._path / header.region.slug / header.originator
        stem = f"{item.head.sequence:010d}-{item.id.hex()[:16]}"
        files: dict[str, bytes] = {
            f"{stem}.{language}.html": self._page(item, language).encode() for language in self._languages
        }
        files[f"{stem}.envelope"] = encode(item.envelope)
        files[f"{stem}.json"] = _json(shown(item))
        try:
            await asyncio.to_thread(_write, lane, files)
        except OSError as error:
            raise ChannelUnavailable(
                f"the folder cannot be written: {error.strerror}", field=self.name
            ) from None


def _json(obj: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(obj), indent=2) + b"\n"


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let files appear, each whole, in the order given; durable when it returns."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        for parent in (folder.parent, folder.parent.parent):
            _sync(parent)
    ready = []
    for name, data in files.items():
        part = folder / f".{name}.part"
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        ready.append((part, folder / name))
    for part, whole in ready:
        part.replace(whole)
    _sync(folder)


def _sync(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
