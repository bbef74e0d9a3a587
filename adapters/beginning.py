"""Whether a node's store is the first that its member began, or follows one that was laid aside or lost.

The first store writes its streams from number 1.  Another one under the same keys must not: the hub may not
know what was signed before, when it was set back as well, and two statements under one number accuse the
member for ever.  So a file beside the store says that one was begun; it stays when the store goes.

Decides that alone; which streams are written then, in `sending.outgoing`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from broker.files import sync_folder, write_whole

if TYPE_CHECKING:
    from adapters.store import Store

FIRST: Final = 1
ANOTHER: Final = 2
SUFFIX: Final = ".begun"
TEXT: Final = "A node of this member has begun a store here. Without this file its numbers may repeat.\n"


def note_beginning(store: Store, path: Path) -> None:
    """Take note, durably, of which store it is; before anything is signed from it.

    Raises:
        OSError: The file beside the store cannot be written.
        StoreUnavailable: Nothing was stored.
    """
    mark = path.with_suffix(SUFFIX)
    if store.fact("begun") is None:
        # One of an earlier version has written its streams and knows their numbers.
        unwritten = store.row("SELECT 1 FROM streams WHERE reserved > 0 LIMIT 1") is None
        store.remember(begun=ANOTHER if unwritten and mark.exists() else FIRST)
    if not mark.exists():
        write_whole(mark, TEXT, 0o600)
        sync_folder(mark.parent)
