"""`halong audit rebuild` and `export`: the log's files, made from the topics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from broker.commands.audit.reading import newest_directory, stored_log
from broker.commands.log_files import (
    CHECKPOINT,
    VKEY,
    Difference,
    Export,
    Progress,
    compare,
    newest,
    read_export,
    rebuild,
)
from broker.commands.log_files import export as write_export
from broker.configuration import HubConfig, load_hub_config
from broker.core.errors import BadConfiguration
from broker.core.note import LogKey, TreeHead
from broker.core.tiles import Tile
from broker.progress import progress
from broker.services.tile_folder import TileFolder
from broker.terminal import (
    FOLDER,
    Command,
    Exit,
    answer,
    clean,
    confirm,
    json_option,
    note,
    say,
    style,
    yes_option,
)

SHOWN = 5


@click.command(
    "rebuild",
    cls=Command,
    examples=["halong audit rebuild hub", "halong audit rebuild hub -o /srv/tiles --yes --json"],
)
@click.argument("folder", type=FOLDER)
@click.option("-o", "--output", type=FOLDER, help="Where the tiles go; those of the hub itself without it.")
@yes_option
@json_option
def rebuild_tiles(folder: Path, output: Path | None, yes: bool, as_json: bool) -> int:
    """Make the tiles of the hub in FOLDER again from its log, byte for byte.

    Says first what would change.  Nothing is written if the leaves do not have the root that was signed.
    The hub's own tiles are made again while the hub is stopped.
    """
    config = load_hub_config(folder)
    key = LogKey.parse(newest_directory(config).log_key)
    where = output or config.path(config.tiles)
    with TileFolder(where).alone():
        with progress("leaves") as tell:
            head, found = asyncio.run(_compared(config, key, where, tell))
        if head is None or found is None:
            return _nothing_signed()
        if not found.none:
            _preview(found, where)
            if found.other or found.surplus:
                confirm("Replace them by the log's?", yes=yes)
            with progress("leaves") as tell:
                asyncio.run(_rebuilt(config, head, where, found, tell))
    written, removed = len(found.missing) + len(found.other), len(found.surplus)
    if as_json:
        said = {"leaves": head.size, "root": head.root.hex(), "folder": str(where)}
        answer({**said, "written": written, "replaced": len(found.other), "removed": removed})
    else:
        changes = (
            f"{written:,} written, {removed:,} removed" if not found.none else "they were as the log has them"
        )
        say(f"{style('tiles of the log', fg='green')} for {head.size:,} leaves in {where}: {changes}")
    return Exit.HELD


async def _compared(
    config: HubConfig, key: LogKey, where: Path, tell: Progress
) -> tuple[TreeHead | None, Difference | None]:
    async with stored_log(config) as log:
        signed = await newest(log, key)
        return (None, None) if signed is None else (signed[1], await compare(log, signed[1], where, tell))


async def _rebuilt(config: HubConfig, head: TreeHead, where: Path, found: Difference, tell: Progress) -> None:
    async with stored_log(config) as log:
        await rebuild(log, head, where, tell, {*found.missing, *found.other})
    for tile in found.surplus:
        (where / tile.path).unlink()


def _preview(found: Difference, where: Path) -> None:
    for tiles, what in (
        (found.missing, "are missing"),
        (found.other, "have other bytes than the log: they would be replaced"),
        (found.surplus, "are of no signed leaves, or partial: they would be removed"),
    ):
        if tiles:
            note(f"{len(tiles):,} tiles in {where} {what}: {_some(tiles)}")


def _some(tiles: Sequence[Tile]) -> str:
    names = ", ".join(tile.path for tile in tiles[:SHOWN])
    return names if len(tiles) <= SHOWN else f"{names}, …"


@click.command(
    "export",
    cls=Command,
    examples=["halong audit export hub log", "halong audit export hub log-12 --from log-11 --json"],
)
@click.argument("folder", type=FOLDER)
@click.argument("output", type=FOLDER)
@click.option("--from", "kept", type=FOLDER, help="An export that was kept: the log must continue it.")
@json_option
def export(folder: Path, output: Path, kept: Path | None, as_json: bool) -> int:
    """Write what a stranger needs to check the log of the hub in FOLDER: checkpoint, key, tiles, entries.

    An export that is in OUTPUT already grows; the log must continue it, too.  Entries are types and hashes:
    nothing of a notice is in them.
    """
    config = load_hub_config(folder)
    key = LogKey.parse(newest_directory(config).log_key)
    before = [read_export(each) for each in (kept, output) if each is not None and _is_export(each)]
    if kept is not None and not _is_export(kept):
        raise BadConfiguration(f"is no export: it has {CHECKPOINT} and {VKEY}", field=str(kept))
    if not before and output.exists() and any(output.iterdir()):
        raise BadConfiguration("holds something that is no export", field=str(output))
    with progress("leaves") as tell:
        head = asyncio.run(_exported(config, key, output, before, tell))
    if head is None:
        return _nothing_signed()
    continued = [each.head.size for each in before]
    if as_json:
        said = {"folder": str(output), "leaves": head.size, "root": head.root.hex(), "log_key": key.vkey}
        answer({**said, "continues": continued})
        return Exit.HELD
    say(f"{style('exported', fg='green')} {head.size:,} leaves to {output}")
    say(f"  root        {head.root.hex()}")
    say(f"  log key     {clean(key.vkey)}")
    for size in continued:
        say(f"  continues   the export of {size:,} leaves")
    note(
        f"next: `halong audit check {output}` checks it, on any machine; so does other software (docs/log.md)"
    )
    return Exit.HELD


def _is_export(folder: Path) -> bool:
    return (folder / CHECKPOINT).is_file() and (folder / VKEY).is_file()


async def _exported(
    config: HubConfig, key: LogKey, output: Path, kept: list[Export], tell: Progress
) -> TreeHead | None:
    async with stored_log(config) as log:
        signed = await newest(log, key)
        return None if signed is None else await write_export(log, key, signed[0], output, kept, tell)


def _nothing_signed() -> int:
    note("nothing is signed yet, so there is nothing to make files of")
    return Exit.NOT_CHECKED
