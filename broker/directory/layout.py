"""The folder in which a signed directory lies, the same at the hub and at a node.

::

    metadata/<n>.<role>.json     every version of every role's file
    metadata/timestamp.json      names the newest snapshot; written last, so nobody reads half a version
    files/<sha256>               entries and agreements, by content

Nothing is decided here: what is read may be anybody's work until `loading` has looked at it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from broker.core.errors import BadConfiguration
from broker.directory.roles import MOST_BYTES, TARGETS, TIMESTAMP_NAME, metadata_name
from broker.files import read_sent, sync_folder, write_whole

_NAME = re.compile(
    r"metadata/(?:[1-9][0-9]{0,9}\.[a-z][a-z0-9-]{0,39}\.json|timestamp\.json)|files/[0-9a-f]{64}", re.ASCII
)
_METADATA = re.compile(r"([1-9][0-9]{0,9})\.([a-z][a-z0-9-]{0,39})\.json", re.ASCII)


def is_name(name: str) -> bool:
    """Say whether a directory could have a file of this name."""
    return _NAME.fullmatch(name) is not None


class Layout(Mapping[str, bytes]):
    """The files of a directory by name, read when they are asked for.

    Args:
        path: The folder; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getitem__(self, name: str) -> bytes:
        if not is_name(name):
            raise KeyError(name)
        try:
            return read_sent(self.path / name, MOST_BYTES[TARGETS])
        except (FileNotFoundError, NotADirectoryError):
            raise KeyError(name) from None
        except OSError as error:
            wrong = f"{name}: {error.strerror or 'cannot be read'}"
            raise BadConfiguration(wrong, field=name) from None

    def __iter__(self) -> Iterator[str]:
        for folder in ("metadata", "files"):
            place = self.path / folder
            names = sorted(each.name for each in place.iterdir()) if place.is_dir() else []
            yield from (f"{folder}/{name}" for name in names if is_name(f"{folder}/{name}"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and is_name(name) and (self.path / name).is_file()

    def numbers(self, role: str) -> list[int]:
        """Return the numbers under which the role has files, in order."""
        place = self.path / "metadata"
        found = (_METADATA.fullmatch(each.name) for each in place.iterdir()) if place.is_dir() else ()
        return sorted(int(each[1]) for each in found if each is not None and each[2] == role)

    def add(self, files: Mapping[str, bytes]) -> None:
        """Write files that are not there as they should be, then the timestamp if it is among them.

        Raises:
            BadConfiguration: The folder cannot be written.
        """
        try:
            for name, data in files.items():
                if name != TIMESTAMP_NAME and self.get(name) != data:
                    write_whole(self.path / name, data)
            for folder in {name.partition("/")[0] for name in files}:
                sync_folder(self.path / folder)
            if TIMESTAMP_NAME in files:
                write_whole(self.path / TIMESTAMP_NAME, files[TIMESTAMP_NAME])
                sync_folder(self.path / "metadata")
        except OSError as error:
            wrong = f"cannot be written: {error.strerror or 'refused by the system'}"
            raise BadConfiguration(wrong, field="directory") from None

    def snapshot_name(self, number: int) -> str:
        """Return where the snapshot of this number is."""
        return metadata_name("snapshot", number)
