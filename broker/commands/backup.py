"""`halong backup`: a hub's or a node's folder and all that belongs to it as one file, while it runs.

What a backup holds is decided by `hub_backup` and `node_backup`; here is how it is asked for and kept.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from broker.backup.archive import FORMAT, Manifest, Writer, checked
from broker.clock import SystemClock
from broker.core.errors import BadConfiguration
from broker.files import read_sent, written
from broker.progress import progress
from broker.terminal import FOLDER, READABLE, Command, answer, json_option, note, say, style

SUFFIX = ".halong"
MOST_PASSPHRASE_BYTES = 64 << 10
_KEPT = re.compile(r"\d{8}T\d{6}Z\.halong")


@click.command(
    "backup",
    cls=Command,
    examples=[
        "halong backup hub -o hub.halong",
        "halong backup /var/lib/halong/hub -o /var/backups/halong --keep 14 --with-keys --passphrase-file P",
        "halong backup --check hub.halong",
    ],
)
@click.argument("folder", type=FOLDER, required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file; or a folder, for a file named after what it holds and the time.",
)
@click.option(
    "--with-keys/--without-keys",
    default=False,
    help="Whether the private keys go in, sealed under a passphrase. Without, keep them elsewhere.",
)
@click.option(
    "--passphrase-file", type=READABLE, help="Holds the passphrase; asked for on a terminal without."
)
@click.option(
    "--keep", type=click.IntRange(min=1), help="In a folder: remove all but so many of this hub or node."
)
@click.option("--check", "file", type=READABLE, help="Hold a backup against its digests, and make none.")
@json_option
def backup(
    folder: Path | None, output: Path | None, with_keys: bool, passphrase_file: Path | None, keep: int | None,
    file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Back the hub or node in FOLDER up into one file, while it runs or not.

    The file holds notices in clear: it is written for its owner alone. `halong restore` brings it back.
    """
    if file is not None:
        if folder is not None or output is not None:
            raise click.UsageError("--check takes a backup and makes none")
        with progress("bytes") as tell:
            show(file, checked(file, tell), "whole", as_json=as_json)
        return
    if folder is None or output is None:
        raise click.UsageError("name the folder, and the file with -o")
    passphrase = read_passphrase(passphrase_file, twice=True) if with_keys else None
    path, manifest, outside = make(folder, output, passphrase)
    removed = _prune(path, keep) if keep is not None and output.is_dir() else ()
    # What was written is read back: a backup that cannot be read is found today.
    with progress("bytes") as tell:
        checked(path, tell)
    show(path, manifest, "backed up", as_json=as_json, removed=removed)
    for setting in outside:
        note(f"not in it, since it is outside of the folder: {setting}")
    if not with_keys:
        note("the private keys are not in it: keep a copy of keys/ elsewhere, or give --with-keys")


def make(folder: Path, output: Path, passphrase: str | None) -> tuple[Path, Manifest, Sequence[str]]:
    """Write a backup of the hub or node in `folder`; return where it is, what it holds and what it lacks.

    Raises:
        BadConfiguration: There is neither here, or it cannot be used.
        Unavailable: Its log or its store does not answer.
    """
    from adapters.configuration import MEMBER_FILE, load_node_config
    from broker.commands import hub_backup, node_backup
    from broker.configuration import HUB_FILE, load_hub_config

    now = SystemClock().now()
    if (folder / HUB_FILE).exists():
        hub = load_hub_config(folder)
        path = _place(output, f"{hub.network}-hub", now)
        with written(path) as out, progress("records") as tell:
            writer = Writer(out)
            copied = asyncio.run(hub_backup.add_hub(writer, hub, passphrase, tell))
            made = version("halong")
            manifest = Manifest(FORMAT, "hub", hub.network, "", now, made, writer.parts, copied)
            writer.finish(manifest)
        return path, manifest, hub_backup.contents(hub).outside
    if not (folder / MEMBER_FILE).exists():
        raise BadConfiguration(
            f"neither {HUB_FILE} nor {MEMBER_FILE} is here: name the folder of a hub or a node",
            field=str(folder),
        )
    node = load_node_config(folder)
    path = _place(output, f"{node.network}-{node.member}", now)
    with written(path) as out, tempfile.TemporaryDirectory(dir=path.parent, prefix=".halong-") as scratch:
        writer = Writer(out)
        node_backup.add_node(writer, node, passphrase, Path(scratch) / "store")
        manifest = Manifest(FORMAT, "member", node.network, node.member, now, version("halong"), writer.parts)
        writer.finish(manifest)
    return path, manifest, node_backup.contents(node).outside


def _place(output: Path, name: str, now: int) -> Path:
    if not output.is_dir():
        output.parent.mkdir(parents=True, exist_ok=True)
        return output
    return output / f"{name}-{datetime.fromtimestamp(now // 1000, UTC):%Y%m%dT%H%M%SZ}{SUFFIX}"


def _prune(path: Path, keep: int) -> Sequence[Path]:
    """Remove the oldest backups of the same hub or node, and return them."""
    name = path.name[: -len("20261125T120000Z.halong")]
    all_of_it = sorted(
        each for each in path.parent.glob(f"{name}*{SUFFIX}") if _KEPT.fullmatch(each.name.removeprefix(name))
    )
    for each in all_of_it[:-keep]:
        each.unlink()
    return all_of_it[:-keep]


def read_passphrase(file: Path | None, *, twice: bool) -> str:
    """Return the passphrase: the file's first line, or what the person at the terminal types.

    Raises:
        BadConfiguration: The file is longer than any passphrase, or no text.
    """
    if file is not None:
        first, *_ = re.split(b"[\r\n]", read_sent(file, MOST_PASSPHRASE_BYTES), maxsplit=1)
        try:
            return first.decode()
        except UnicodeDecodeError:
            raise BadConfiguration("the passphrase is no text in UTF-8", field=str(file)) from None
    if not sys.stdin.isatty():
        raise click.UsageError("the keys are sealed: give --passphrase-file, or type it on a terminal")
    typed: str = click.prompt("Passphrase of the keys", hide_input=True, err=True, confirmation_prompt=twice)
    return typed


def show(path: Path, manifest: Manifest, done: str, *, as_json: bool, removed: Sequence[Path] = ()) -> None:
    """Say what a backup holds."""
    log = manifest.log
    if as_json:
        answer(
            {
                "file": str(path),
                "kind": manifest.kind,
                "network": manifest.network,
                "member": manifest.member or None,
                "made_at": manifest.made_at,
                "halong": manifest.halong,
                "bytes": manifest.size,
                "parts": len(manifest.parts),
                "keys": manifest.has_keys,
                "records": None if log is None else sum(each.records for each in log.partitions),
                "leaves": None if log is None else log.leaves,
                "checkpoint": None if log is None else {"size": log.size, "root": log.root},
                "removed": [str(each) for each in removed],
            }
        )
        return
    what = f"hub of {manifest.network}" if log is not None else f"{manifest.member} of {manifest.network}"
    made = datetime.fromtimestamp(manifest.made_at // 1000, UTC)
    keys = "with keys" if manifest.has_keys else "without keys"
    say(f"{style(done, fg='green')} {what}: {path}")
    say(f"  {manifest.size:,} bytes, {keys}, as of {made:%Y-%m-%d %H:%M:%S}Z")
    if log is not None:
        records = sum(each.records for each in log.partitions)
        say(f"  {records:,} records; the last checkpoint has {log.size:,} leaves, root {log.root[:16]}")
    for each in removed:
        say(f"  removed {each}")
