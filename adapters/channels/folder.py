"""The folder channel: each delivery is a few files that appear whole.

    <folder>/asia-pacific/vn/0000000017-5a3f9c0d1b2e4f60.json        what was delivered, for programs
    <folder>/asia-pacific/vn/0000000017-5a3f9c0d1b2e4f60.html        the notice on a page, for people
    <folder>/asia-pacific/vn/0000000017-5a3f9c0d1b2e4f60.envelope    the signed bytes, for `halong inspect`

The JSON file comes last: when it is there, the others are.  Names are made of what was checked to be plain
(region, member id, number, digest); nothing that a notice says becomes part of a path.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from adapters.channels import LIVE_ALONE, ChannelUnavailable, Item
from adapters.shown import shown
from broker.core.model import Status
from broker.core.records import encode
from schemas.rendering import render_page
from schemas.shown import Shown, slot_states


class FolderChannel:
    """Writes deliveries into a folder of the member's.

    Args:
        path: The folder; it is made when the first delivery comes.
        language: What the page shows first: `en` or `vi`; both are on it.
        statuses: What is taken.
        name: The name in receipts.
    """

    def __init__(
        self,
        path: Path,
        *,
        language: str = "en",
        statuses: frozenset[Status] = LIVE_ALONE,
        name: str = "folder",
    ) -> None:
        self.name = name
        self.statuses = statuses
        self._path = path
        self._language = language

    async def deliver(self, item: Item) -> None:
        """Return when all files of the delivery are there and would survive a crash.

        The same delivery again writes the same files again.

        Raises:
            ChannelUnavailable: The folder cannot be written now.
        """
        try:
            await asyncio.to_thread(self._write, item)
        except OSError as error:
            raise ChannelUnavailable(
                f"the folder cannot be written: {error.strerror}", field=self.name
            ) from None

    def _write(self, item: Item) -> None:
        header = item.notice.header
        stem = f"{item.head.sequence:010d}-{item.id.hex()[:16]}"
        _write(
            self._path / header.region.slug / header.originator,
            {
                f"{stem}.html": render_page(page_of(item), self._language).encode(),
                f"{stem}.envelope": encode(item.notice.envelope),
                f"{stem}.json": _json(shown(item)),
            },
        )


def page_of(item: Item) -> Shown:
    """Return what the page of a delivery is made from."""
    notice, head = item.notice, item.head
    return Shown(
        header=notice.header,
        statement=notice.statement,
        notice_type=notice.notice_type,
        values=notice.values,
        slots=slot_states(notice.envelope),
        verified=True,
        member=head.member,
        key=notice.key.id,
        names=item.names,
        obligations=head.obligations,
        grounds=head.grounds,
        decided_at=head.decided_at,
        proof=item.proof,
    )


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
