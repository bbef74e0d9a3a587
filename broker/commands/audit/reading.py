"""How the commands of `halong audit` get at the stored log of a hub's folder: reading only, with a limit."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from broker.configuration import HubConfig, tls_of
from broker.core.directory import Directory
from broker.directory.layout import Layout
from broker.directory.loading import load_newest
from broker.directory.sources import trusted_root
from broker.log import Log, open_log

READ_SECONDS = 60.0


def newest_directory(config: HubConfig) -> Directory:
    """Return the newest directory, also one that nobody vouches for any more: the log is as old as it is."""
    path = config.path(config.directory)
    return load_newest(Layout(path), trusted_root(path)).version.directory


def stored_log(config: HubConfig) -> AbstractAsyncContextManager[Log]:
    """Open the hub's log for reading, also while the hub runs."""
    return open_log(config.log_url, read_only=True, tls=tls_of(config), step_seconds=READ_SECONDS)
