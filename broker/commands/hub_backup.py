"""A hub in a backup: its settings, directory and certificates, its keys if asked for, and its log.

The log goes through its contract, so a backup is the same whatever engine it came from, and comes back into
either.  The hub need not stop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from broker.backup.archive import LogCopy, Manifest, Writer, parts
from broker.backup.folder import Contents, add_folder, contents_of, put_all_back
from broker.backup.log_copy import PREFIX, copy_in, copy_out
from broker.commands.hub_folder import CARD_FILE
from broker.configuration import HUB_FILE, HubConfig, load_hub_config, tls_of
from broker.core.errors import BadConfiguration
from broker.files import write_whole
from broker.log import open_log
from broker.progress import Tell
from broker.services.orders import FOLDER as ORDERS

_LOG_SETTING = re.compile(r'^(\s*log\s*=\s*)"[^"\n]*"', re.MULTILINE)


def contents(config: HubConfig) -> Contents:
    """Return what of a hub's folder a backup takes, besides the log."""
    more = [HUB_FILE, CARD_FILE, str(config.directory), "tls", "welcomes", ORDERS]
    return contents_of(config, config.root, more)


async def add_hub(writer: Writer, config: HubConfig, passphrase: str | None, tell: Tell) -> LogCopy:
    """Add a hub to a backup.

    Raises:
        BadConfiguration: The log cannot be used.
        LogUnavailable: The log does not answer.
        NotCanonical: The log holds what cannot be read.
    """
    async with open_log(config.log_url, read_only=True, tls=tls_of(config)) as log:
        copied = await copy_out(log, config.log.partition(":")[0], writer.add, tell)
    # Files after the log: it names no version of the directory that they do not have.
    add_folder(writer, config.root, contents(config), passphrase)
    return copied


async def restore_hub(
    path: Path, manifest: Manifest, folder: Path, log_url: str | None, passphrase: str | None, tell: Tell
) -> None:
    """Put a hub that was backed up into an empty folder, and its log where the settings or `log_url` say.

    Raises:
        BadConfiguration: The log there is not empty, or the backup does not hold together.
        LogUnavailable: The log does not answer; what it holds by now is of no use.
    """
    assert manifest.log is not None
    put_all_back(path, folder, passphrase)
    if log_url is not None:
        _set_log(folder / HUB_FILE, log_url)
    config = load_hub_config(folder)
    async with open_log(config.log_url, tls=tls_of(config)) as log:
        await copy_in(log, manifest.log, _chunks(path), tell)


def _chunks(path: Path) -> Iterator[tuple[str, bytes]]:
    for name, stream, _ in parts(path):
        if name.startswith(PREFIX):
            yield name, stream.read()


def _set_log(path: Path, log_url: str) -> None:
    text, count = _LOG_SETTING.subn(
        lambda found: f'{found[1]}"{log_url}"', path.read_text(encoding="utf-8"), count=1
    )
    if not count:
        raise BadConfiguration("has no line `log = …` to change", field=HUB_FILE)
    write_whole(path, text)
