"""Which `Source` a folder is: signed, if it has a root, else plain files."""

from __future__ import annotations

from pathlib import Path

from broker.clock import Clock
from broker.core.errors import BadConfiguration
from broker.directory.folder import FolderDirectory
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, metadata_name
from broker.directory.signed import SignedDirectory


def is_signed(path: Path) -> bool:
    """Say whether the folder holds a signed directory."""
    return bool(Layout(path).numbers(ROOT))


def trusted_root(path: Path) -> bytes:
    """Return the root that is trusted without asking: the lowest, which was put there by hand.

    Raises:
        BadConfiguration: There is none.
    """
    layout = Layout(path)
    numbers = layout.numbers(ROOT)
    data = layout.get(metadata_name(ROOT, numbers[0])) if numbers else None
    if data is None:
        raise BadConfiguration("there is no root to trust here", field=f"{path.name}/metadata")
    return data


def source_in(
    path: Path, archive: Path, clock: Clock, *, reader: str | None = None
) -> FolderDirectory | SignedDirectory:
    """Return the source over a folder.

    Args:
        path: The folder.
        archive: Where the past versions of a plain folder are.
        clock: Tells whether a signed version is still vouched for.
        reader: The member whose copy it is; None at the hub.
    """
    if is_signed(path):
        return SignedDirectory(path, trusted_root(path), clock, reader=reader)
    return FolderDirectory(path, archive)
