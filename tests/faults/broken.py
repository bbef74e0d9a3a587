"""Halong with something broken on purpose: what the counting must find, or it proves nothing.

    python -m tests.faults.broken KIND ARGUMENTS OF halong …

The kinds are the functions of `KINDS`.  A hub's clock, or a node's, can also be wrong by some seconds:
`clock=-3600`.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.channels import Item
from adapters.channels.folder import FolderChannel
from adapters.member_folder import open_folder
from broker.cli import main
from broker.clock import SystemClock
from broker.core.agreements import Context, Share
from broker.core.index import Index
from broker.core.model import Header
from broker.log.sqlite import Store
from broker.services.dispatch_state import DispatchState
from broker.services.dispatcher import READER

EACH = 10
"""Of so many notices one is treated wrongly."""


def forgets() -> None:
    """Make a dispatcher that knows after a start neither where it was nor what it decided."""
    places = Store.places

    def forgotten(store: Store, reader: str) -> Any:
        return {} if reader == READER else places(store, reader)

    async def nothing(_: DispatchState) -> None:
        return

    Store.places = forgotten  # type: ignore[method-assign,assignment]  # broken on purpose, as all below
    DispatchState.refresh = nothing  # type: ignore[method-assign,assignment]


def loses() -> None:
    """Make a dispatcher that gives some notices to nobody."""
    _shares_of_some(lambda _shares: {})


def over_delivers() -> None:
    """Make a dispatcher that gives some notices to a member to whom nobody owes anything."""
    _shares_of_some(lambda shares: {**shares, "za": next(iter(shares.values()))} if shares else shares)


def _shares_of_some(change: Callable[[Mapping[str, Share]], Mapping[str, Share]]) -> None:
    shares = Index.shares

    def changed(index: Index, header: Header, context: Context) -> Any:
        right = shares(index, header, context)
        return change(right) if header.sequence % EACH == 0 else right

    Index.shares = changed  # type: ignore[method-assign,assignment]


def says_again() -> None:
    """Make a node that, at its start, says everything again that is not proven, as something else."""
    with open_folder(Path(sys.argv[-1])) as node:
        for region in node.outgoing.busy_regions():
            node.outgoing.open_another_stream(region)


def hands_on_again() -> None:
    """Make a node that hands the last of what its channel has on again, and a channel that does not mind."""
    files = FolderChannel._files

    def other_files(channel: FolderChannel, item: Item) -> Mapping[Path, bytes]:
        chance = secrets.token_hex(4)
        return {
            path.with_name(path.name.replace(".", f"-{chance}.", 1)): data
            for path, data in files(channel, item).items()
        }

    FolderChannel._files = other_files  # type: ignore[method-assign,assignment]
    with open_folder(Path(sys.argv[-1])) as node, node.store.write():
        node.store.run("UPDATE channels SET place = max(place - ?, 0)", EACH)


KINDS: Mapping[str, Callable[[], None]] = {
    kind.__name__.replace("_", "-"): kind
    for kind in (forgets, loses, over_delivers, says_again, hands_on_again)
}


def move_clock(seconds: int) -> None:
    """Make the machine's clock wrong by so many seconds."""
    now = SystemClock.now
    SystemClock.now = lambda clock: now(clock) + seconds * 1000  # type: ignore[method-assign,assignment]


def command(kind: str, *arguments: str) -> list[str]:
    """Return the command line of a `halong` command that is broken so."""
    return [sys.executable, "-m", "tests.faults.broken", kind, *arguments]


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    if kind.startswith("clock="):
        move_clock(int(kind.removeprefix("clock=")))
    else:
        KINDS[kind]()
    main()
