"""The versions of a directory as they are carried from the hub's archive into a node's.

A decision names the version under which it was made, so a node needs every version since it joined, not
only the newest.  Snapshots and files are named by their SHA-256, so nothing that is carried can be another.
The archive's layout is that of `folder`: `versions/<version>.json`, `files/<digest>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from broker.core.errors import BadConfiguration
from broker.files import write_whole


@dataclass(frozen=True, slots=True)
class History:
    """Snapshots by version and files by digest (hex), as text."""

    snapshots: Mapping[str, str]
    files: Mapping[str, str]

    def version(self, version: str) -> dict[str, bytes]:
        """Return the files of a version by name.

        Raises:
            BadConfiguration: It is not there whole.
        """
        try:
            snapshot = json.loads(self.snapshots[version])
            return {name: self.files[digest].encode() for name, digest in snapshot.items()}
        except (KeyError, ValueError, AttributeError, TypeError):
            raise BadConfiguration(
                "a version of the directory is not there whole", field="directory"
            ) from None


def read_history(archive: Path) -> History:
    """Return all that an archive holds."""
    return History(
        {
            path.stem: path.read_text(encoding="utf-8")
            for path in sorted((archive / "versions").glob("*.json"))
        },
        {
            path.name: path.read_text(encoding="utf-8")
            for path in sorted((archive / "files").iterdir())
            if not path.name.startswith(".")
        },
    )


def check_history(history: History) -> None:
    """Refuse a history in which something is not what its name says.

    Raises:
        BadConfiguration: A digest differs, or a version is not there whole.
    """
    for named in (history.snapshots, history.files):
        for digest, text in named.items():
            if sha256(text.encode()).hexdigest() != digest:
                raise BadConfiguration("a file is not the one that its digest names", field="directory")
    for version in history.snapshots:
        history.version(version)


def write_history(archive: Path, history: History) -> None:
    """Add a checked history to an archive; what is there already stays."""
    for folder, suffix, named in (("files", "", history.files), ("versions", ".json", history.snapshots)):
        for digest, text in named.items():
            path = archive / folder / f"{digest}{suffix}"
            if not path.exists():
                write_whole(path, text)
