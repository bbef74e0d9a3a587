"""The folder channel: each delivery is a few files that appear whole.

    <folder>/asia-pacific/vn/0000000017-5a3f9c0d1b2e4f60.json        what was delivered, for programs
    <folder>/asia-pacific/vn/0000000017-5a3f9c0d1b2e4f60.html        the notice on a page, for people
    <folder>/asia-pacific/vn/0000000017-5a3f9c0d1b2e4f60.envelope    the signed bytes, for `halong inspect`

The JSON file comes last: when it is there, the others are.  Names are made of what was checked to be plain
(region, member id, number, digest); nothing that a notice says becomes part of a path.  Files are for their
owner and group (0640) unless another mode is configured: who reads them is the member's to decide, by the
folder's group.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from adapters.channels import LIVE_ALONE, ChannelUnavailable, Item
from adapters.channels.thread import OneAtATime
from adapters.receiving.shown import shown
from broker.core.model import Status
from broker.core.records import encode
from broker.files import sync_folder
from schemas.rendering import render_page
from schemas.shown import Shown, slot_states

MODE = 0o640


class FolderChannel:
    """Writes deliveries into a folder of the member's.

    Args:
        path: The folder; it is made when the first delivery comes.
        language: What the page shows first: `en` or `vi`; both are on it.
        pages: Whether there are pages; they take most of the time.
        mode: The files' mode; folders may be entered by whoever may read.
        statuses: What is taken.
        name: The name in receipts.
    """

    def __init__(
        self,
        path: Path,
        *,
        language: str = "en",
        pages: bool = True,
        mode: int = MODE,
        statuses: frozenset[Status] = LIVE_ALONE,
        name: str = "folder",
    ) -> None:
        self.name = name
        self.statuses = statuses
        self._path = path
        self._language = language
        self._pages = pages
        self._mode = mode
        self._thread = OneAtATime(name)

    async def deliver(self, item: Item) -> None:
        """Return when all files of the delivery are there and would survive a crash.

        The same delivery again writes the same files again.

        Raises:
            ChannelUnavailable: The folder cannot be written now.
        """
        await self.deliver_all([item])

    async def deliver_all(self, items: Sequence[Item]) -> None:
        """Return when all files of all deliveries are there; see `deliver`."""
        try:
            await self._thread.run(lambda: self._write(items))
        except OSError as error:
            raise ChannelUnavailable(
                f"the folder cannot be written: {error.strerror}", field=self.name, answer="not-written"
            ) from None

    async def check(self) -> str:
        """Say that the folder can be written; what was written for that is gone again.

        Raises:
            ChannelUnavailable: It cannot.
        """

        def probe() -> None:
            self._make(self._path)
            path = self._path / f".probe.{os.getpid()}"
            path.write_bytes(b"")
            path.unlink()

        try:
            await self._thread.run(probe)
        except OSError as error:
            raise ChannelUnavailable(
                f"the folder cannot be written: {error.strerror}", field=self.name
            ) from None
        return f"{self._path} can be written"

    def _write(self, items: Sequence[Item]) -> None:
        """Let files appear, each whole, in order; durable when it returns."""
        files = {path: data for item in items for path, data in self._files(item).items()}
        folders = list(dict.fromkeys(path.parent for path in files))
        for folder in folders:
            self._make(folder)
        # Two channels may write to one folder: neither shows what the other has half written.
        parts = {path: path.with_name(f".{path.name}.{self.name}.part") for path in files}
        for path, data in files.items():
            part = os.open(parts[path], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self._mode)
            with os.fdopen(part, "wb") as file:
                # Whatever the process's mask, and the mode of a part that a crash left behind.
                os.fchmod(part, self._mode)
                file.write(data)
                file.flush()
                os.fsync(part)
        for path, part_path in parts.items():
            part_path.replace(path)
        for folder in folders:
            sync_folder(folder)

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if not folder.parent.is_dir():
            self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(self._mode | (self._mode & 0o444) >> 2)
        sync_folder(folder.parent)

    def _files(self, item: Item) -> Mapping[Path, bytes]:
        header = item.notice.header
        folder = self._path / header.region.slug / header.originator
        stem = f"{item.head.sequence:010d}-{item.id.hex()[:16]}"
        files = {folder / f"{stem}.envelope": encode(item.notice.envelope)}
        if self._pages:
            page = render_page(page_of(item), self._language).encode()
            files = {folder / f"{stem}.html": page} | files
        return files | {folder / f"{stem}.json": _json(shown(item))}


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
        further=item.further,
        doubtful_since=item.doubtful_since,
        grounds=head.grounds,
        decided_at=head.decided_at,
        proof=item.proof,
    )


def _json(obj: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(obj), indent=2) + b"\n"
