"""`halong restore`: a backup becomes the folder of a hub or of a node again, and says what happens next."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import click

from broker.backup.archive import Manifest, checked
from broker.commands.backup import read_passphrase, show
from broker.core.errors import BadConfiguration
from broker.progress import progress
from broker.terminal import FOLDER, READABLE, Command, json_option, note


@click.command(
    "restore",
    cls=Command,
    examples=[
        "halong restore hub.halong hub",
        "halong restore hub.halong hub --log kafka://kafka-1:9092/halong-2 --passphrase-file P",
    ],
)
@click.argument("file", type=READABLE)
@click.argument("folder", type=FOLDER)
@click.option("--log", "log_url", help="Where a hub's log comes back; where it was without.")
@click.option("--passphrase-file", type=READABLE, help="Holds the passphrase of the keys.")
@click.option("--without-keys", is_flag=True, help="Leave the sealed keys where they are.")
@json_option
def restore(
    file: Path, folder: Path, log_url: str | None, passphrase_file: Path | None, without_keys: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Bring the backup FILE back as FOLDER, which must not be there or be empty.

    Everything is held against its digest first. The folder appears once it is whole.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadConfiguration("is not empty, and a backup does not replace what is there", field=str(folder))
    with progress("bytes") as tell:
        manifest = checked(file, tell)
    if log_url is not None and manifest.kind != "hub":
        raise click.UsageError("--log is for a hub")
    sealed = manifest.has_keys and not without_keys
    passphrase = read_passphrase(passphrase_file, twice=False) if sealed else None
    bring_back(file, manifest, folder, log_url, passphrase)
    show(file, manifest, f"restored into {folder}:", as_json=as_json)
    _say_what_is_next(manifest, folder, with_keys=passphrase is not None)


def bring_back(
    file: Path, manifest: Manifest, folder: Path, log_url: str | None, passphrase: str | None
) -> None:
    """Restore beside the folder, then put it there in one step.

    Raises:
        BadConfiguration: The backup does not hold together, or the log is not empty.
        Unavailable: The log or the disk does not answer.
    """
    from broker.commands.hub_backup import restore_hub
    from broker.commands.node_backup import restore_node

    half = folder.with_name(f".{folder.name}.{os.getpid()}")
    half.mkdir(parents=True, mode=0o700)
    try:
        if manifest.kind == "hub":
            with progress("records") as tell:
                asyncio.run(restore_hub(file, manifest, half, log_url, passphrase, tell))
        else:
            restore_node(file, half, passphrase)
        if folder.exists():
            folder.rmdir()
        half.rename(folder)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def _say_what_is_next(manifest: Manifest, folder: Path, *, with_keys: bool) -> None:
    if not with_keys:
        note(f"put the private keys back into {folder / 'keys'}, mode 600, before it starts")
    note(f"next: halong doctor --dir {folder}, then halong {manifest.kind} --dir {folder}")
    if manifest.log is not None:
        note(f"nodes that have seen more than {manifest.log.size:,} leaves will stop, and say so:")
        note("docs/operate.md, A hub that was set back")
    else:
        note("the node asks the hub which of its notices that has, and goes on in another stream if need be;")
        note("what arrived since the backup is fetched again")
        note(
            "as a witness it cosigns nothing before it has another key, for it forgot what it cosigned since:"
        )
        note(f"halong key rotate witness --dir {folder}")
