"""What of a folder goes into a backup, and how it comes back: settings in clear, private keys sealed.

Keys are what lies in `keys/`.  Files that the settings name elsewhere, stores and what channels wrote are not
of the folder's settings; the first are said to be left out, the others are the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from broker.backup.archive import FILES, KEYS, Writer
from broker.backup.sealed import MOST_BYTES, seal, unseal
from broker.core.errors import BadConfiguration
from broker.files import make_private_folder, write_key, write_whole

KEYS_FOLDER = "keys"


def files_under(root: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield the plain files among `names` and below them, as paths from `root`.

    Hidden ones are left out: they are half written.
    """
    for name in names:
        top = root / name
        found = sorted(top.rglob("*")) if top.is_dir() else [top]
        for path in found:
            inside = path.relative_to(root)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield inside


def add_settings(writer: Writer, root: Path, names: Sequence[str]) -> None:
    """Add files of the folder as they are."""
    for path in files_under(root, names):
        writer.add(FILES + path.as_posix(), (root / path).read_bytes())


def add_keys(writer: Writer, root: Path, passphrase: str) -> None:
    """Add the folder's private keys, sealed.

    Raises:
        BadConfiguration: The passphrase is too short.
    """
    keys = {path.as_posix(): (root / path).read_bytes() for path in files_under(root, [KEYS_FOLDER])}
    writer.add(KEYS, seal(keys, passphrase))


def left_out(root: Path, configured: Mapping[str, Path]) -> list[str]:
    """Return the settings that name a file outside of what a backup takes from the folder."""
    return [
        setting
        for setting, path in sorted(configured.items())
        if path.is_absolute() or not (root / path).resolve().is_relative_to(root.resolve())
    ]


def put_back(root: Path, name: str, data: bytes) -> None:
    """Write a file of a backup into the folder.

    Raises:
        BadConfiguration: Its name leads out of the folder.
    """
    path = PurePosixPath(name.removeprefix(FILES))
    if path.is_absolute() or ".." in path.parts:
        raise BadConfiguration("a file would be written outside of the folder", field=name)
    write_whole(root / path, data)


def put_keys_back(root: Path, data: bytes, passphrase: str) -> int:
    """Unseal the private keys into the folder, for its owner alone, and return how many there are.

    Raises:
        BadConfiguration: The passphrase is another, or a name leads out of the folder.
    """
    if len(data) > MOST_BYTES:
        raise BadConfiguration("the sealed keys are larger than any", field=KEYS)
    keys = unseal(data, passphrase)
    for name, key in keys.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or path.parts[0] != KEYS_FOLDER:
            raise BadConfiguration("a key would be written outside of its folder", field=KEYS)
        make_private_folder((root / path).parent)
        write_key(root / path, key)
    return len(keys)
