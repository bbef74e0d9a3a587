"""What `explain` is asked about: a draft, a signed notice in a file, or one of the past by its name.

Decides where it is found, at a hub or at a node, and what is said where it is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import click

from adapters.commands.desk import Desk
from adapters.inspecting import MOST_FILE_BYTES, read_file
from adapters.member_folder import open_folder
from adapters.past import Past, Undecided, past_at_node
from adapters.preview import Preview, explained
from adapters.sending.compose import compose
from adapters.sending.draft import Draft
from broker.clock import SystemClock
from broker.commands.agreement.past_at_hub import past_at_hub, references_at_hub
from broker.commands.agreement.places import Place, member_named
from broker.configuration import HubConfig, load_hub_config, tls_of
from broker.core.agreements import Context, Reference
from broker.core.errors import NotCanonical, Refused
from broker.core.index import Index
from broker.core.model import Header
from broker.core.wire import read
from broker.files import read_sent
from broker.log import Log, open_log
from broker.progress import Tell, progress
from broker.terminal import Exit, Stopped, from_error
from schemas import load_catalogue

READ_SECONDS = 60.0


def of_file(place: Place, path: Path, originator: str | None, at: int | None) -> Preview:
    """Return what would be decided about the draft or the signed notice in a file.

    Raises:
        Stopped: The file holds neither, or the draft may not be sent.
    """
    data = read_sent(path, MOST_FILE_BYTES)
    now = SystemClock().now() if at is None else at
    if not data.lstrip().startswith(b"{"):
        return _of_signed(place, path, data, now)
    if place.member is not None and originator in (None, place.member):
        with open_folder(place.folder, to_read=True) as node:
            desk = Desk(node, at)
            return desk.preview(path, desk.read(path))
    if originator is None:
        raise click.UsageError("a draft at a hub needs --originator: the member that would send it")
    return _of_draft(place, path, data, member_named(place.directory, originator), now)


def of_past(place: Place, named: str) -> tuple[Past, Preview]:
    """Return a notice of the past, and what the agreements of its day say of it.

    Raises:
        Stopped: It is not known here, or was never decided.
    """
    found = _at_hub(place, named) if place.member is None else _at_node(place, named)
    if found is None:
        raise Stopped(
            "no such file, and no notice of this reference or id is known here",
            code="unknown-statement",
            where=named,
            next_step="name it like vn/asia-pacific/main/17 or by its id; a node knows what it sent and got",
        )
    if isinstance(found, Undecided):
        what = "it is not decided yet" if found.code is None else "it was not admitted, so nobody gets it"
        raise Stopped(
            what,
            code=found.code or "undecided",
            where=named,
            next_step="wait for its decision"
            if found.code is None
            else "see its code: no agreement was asked",
        )
    directory = place.source.at(found.directory)
    if directory is None:
        raise Stopped(
            "the version of the directory that its decision names is not here",
            code="unavailable",
            where=found.directory.hex(),
            next_step="ask again where it is held: the hub keeps every version",
            exit_code=Exit.UNAVAILABLE,
        )
    return found, found.explained(directory)


def _of_signed(place: Place, path: Path, data: bytes, now: int) -> Preview:
    try:
        arrived = read_file(data).arrived
    except Refused as error:
        raise _no_notice(path, str(error)) from None
    if arrived is None:
        raise _no_notice(path, "its content is erased")
    header = arrived.header
    return explained(header, place.directory, Context(now, _references(place, header, now)))


def _of_draft(place: Place, path: Path, data: bytes, member: str, now: int) -> Preview:
    catalogue = load_catalogue()
    region = place.directory.members[member].regions[0]
    try:
        draft = Draft.from_json(read(data, object), catalogue, member=member, region=region, at=now)
        index, known = Index(place.directory), partial(_references, place)
        header = compose(draft, member, catalogue, index, known, issued_at=now, now=now).header
    except NotCanonical as error:
        raise _no_notice(path, f"not readable as JSON: {error}") from None
    except Refused as error:
        raise from_error(error, where=f"{path}: {error.field or 'notice'}") from None
    return explained(header, place.directory, Context(now, _references(place, header, now)))


def _references(place: Place, header: Header, at: int) -> Mapping[bytes, Reference]:
    """Return what this place knows of the statements that a header refers to, as of a time."""
    if not header.references:
        return {}
    if place.member is not None:
        with open_folder(place.folder, to_read=True) as node:
            return node.incoming.known_references(header, at)
    config = load_hub_config(place.folder)

    async def look() -> Mapping[bytes, Reference]:
        async with _log_of(config) as log:
            return await references_at_hub(log, header.references, at)

    return asyncio.run(look())


def _at_node(place: Place, named: str) -> Past | Undecided | None:
    with open_folder(place.folder, to_read=True) as node:
        statement = node.statement_of(named) or named
        try:
            id_ = bytes.fromhex(statement)
        except ValueError:
            return None
        return past_at_node(node.store, node.incoming, id_)


def _at_hub(place: Place, named: str) -> Past | Undecided | None:
    config = load_hub_config(place.folder)

    async def look(tell: Tell) -> Past | Undecided | None:
        async with _log_of(config) as log:
            return await past_at_hub(log, named, tell)

    with progress("records") as tell:
        return asyncio.run(look(tell))


def _log_of(config: HubConfig) -> AbstractAsyncContextManager[Log]:
    return open_log(config.log_url, read_only=True, tls=tls_of(config), step_seconds=READ_SECONDS)


def _no_notice(path: Path, why: str) -> Stopped:
    return Stopped(
        f"neither a draft nor a signed notice: {why}",
        code="file",
        where=str(path),
        next_step="name a draft as `halong publish` takes it, or an .envelope file",
        exit_code=Exit.USAGE,
    )
