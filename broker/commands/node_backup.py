"""A member's node in a backup: settings, directory and certificates, its keys if asked for, and its store.

The store is copied by SQLite while the node goes on.  What channels wrote is not in it: it belongs to the
systems that they wrote to.
"""

from __future__ import annotations

import os
import shutil
from io import RawIOBase
from pathlib import Path

from adapters.configuration import MEMBER_FILE, NodeConfig, load_node_config
from adapters.member_folder import REQUEST_FILE
from adapters.store import Store, copy_store
from broker.backup.archive import STORE, Writer, parts
from broker.backup.folder import Contents, add_folder, contents_of, put_all_back
from broker.clock import SystemClock
from broker.core.errors import BadConfiguration


def contents(config: NodeConfig) -> Contents:
    """Return what of a node's folder a backup takes, besides the store."""
    more = [MEMBER_FILE, REQUEST_FILE, str(config.directory), "tls", "maps"]
    return contents_of(config, config.root, more)


def add_node(writer: Writer, config: NodeConfig, passphrase: str | None, scratch: Path) -> None:
    """Add a node to a backup; `scratch` is where its store is copied to meanwhile.

    Raises:
        BadConfiguration: The store is none.
        StoreUnavailable: It cannot be read now.
    """
    if config.store_path.exists():
        copy_store(config.store_path, scratch)
        with scratch.open("rb") as stream:
            writer.add_stream(STORE, stream, scratch.stat().st_size)
    add_folder(writer, config.root, contents(config), passphrase)


def restore_node(path: Path, folder: Path, passphrase: str | None) -> None:
    """Put a node that was backed up into an empty folder.

    Raises:
        BadConfiguration: The backup does not hold together, or its store was written by a later version.
    """
    put_all_back(path, folder, passphrase)
    config = load_node_config(folder)
    for name, stream, _ in parts(path):
        if name == STORE:
            _put_store_back(config.store_path, stream)


def _put_store_back(path: Path, stream: RawIOBase) -> None:
    """Write the store where the settings want it: outside of the folder another node's may be there."""
    if path.with_name(path.name + "-wal").exists():
        raise BadConfiguration("there is a store already, and a backup replaces none", field=str(path))
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadConfiguration(
            "there is a store already, and a backup replaces none", field=str(path)
        ) from None
    try:
        with os.fdopen(file, "wb") as out:
            shutil.copyfileobj(stream, out)
        # Brings an earlier format up to this version's, and refuses a later one.
        store = Store.open(path)
        try:
            # What its witness cosigned since the backup is not in it: see `adapters.witness.state`.
            store.remember(restored_at=SystemClock().now())
        finally:
            store.close()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
