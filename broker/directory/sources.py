"""The directory that lies in a folder, as a `Source`, and the root that is trusted there without asking."""

from __future__ import annotations

from pathlib import Path

from broker.clock import Clock
from broker.core.errors import BadConfiguration
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, metadata_name
from broker.directory.signed import SignedDirectory


def trusted_root(path: Path) -> bytes:
    """Return the root that is trusted without asking: the lowest, which was put there by hand.

    Raises:
        BadConfiguration: There is none.
    """
    layout = Layout(path)
    numbers = layout.numbers(ROOT)
    data = layout.get(metadata_name(ROOT, numbers[0])) if numbers else None
    if data is None:
        raise BadConfiguration(
            "there is no root to trust here: a hub takes its first by `halong hub take`, a node by its "
            "invitation",
            field=f"{path.name}/metadata",
        )
    return data


def source_in(path: Path, clock: Clock, *, reader: str | None = None) -> SignedDirectory:
    """Return the source over a folder.

    Args:
        path: The folder.
        clock: Tells whether a version is still vouched for.
        reader: The member whose copy it is; None at the hub.

    Raises:
        BadConfiguration: There is no root in it.
    """
    return SignedDirectory(path, trusted_root(path), clock, reader=reader)
