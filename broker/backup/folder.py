"""What of a folder goes into a backup, and how it comes back: settings in clear, private keys sealed.

Secret is what lies in `keys/`, and every file that a setting names which holds a key or a password.  Files
that settings name outside of the folder are left out, and said to be; stores, and what channels wrote, are
the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from broker.backup.archive import FILES, KEYS, Writer, parts
from broker.backup.sealed import MOST_BYTES, seal, unseal
from broker.core.errors import BadConfiguration
from broker.files import make_private_folder, write_key, write_whole
from broker.keyring.place import KeyPlace

KEYS_FOLDER = "keys"
SECRET = frozenset({"tls", "key", "secret_file", "password_file", "passphrase_file"})
"""Settings whose files nobody else may read, besides those that name private keys."""
PUBLIC = frozenset({"certificate", "authority"})


@dataclass(frozen=True, slots=True)
class Contents:
    """Paths of a folder: in clear, and sealed; and settings that name files outside of it."""

    clear: Sequence[str]
    secret: Sequence[str]
    outside: Sequence[str]


def contents_of(settings: msgspec.Struct, root: Path, more: Sequence[str]) -> Contents:
    """Return what of the folder `root` a backup takes; `more` are files and folders in clear."""
    clear, secret, outside = [*more], [KEYS_FOLDER], []
    for setting, place in named(settings):
        kind = setting.rpartition(".")[2]
        hidden = isinstance(place, KeyPlace) or kind in SECRET
        if not hidden and kind not in PUBLIC:
            continue
        path = place.file if isinstance(place, KeyPlace) else place
        if not (root / path).resolve().is_relative_to(root.resolve()):
            outside.append(f"{setting} ({path})")
        elif hidden:
            secret.append(path.as_posix())
        else:
            clear.append(path.as_posix())
    return Contents(clear, secret, outside)


def named(settings: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, Path | KeyPlace]]:
    """Yield every setting that names a file, however deep."""
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if isinstance(value, Path) or (isinstance(value, KeyPlace) and value.token is None):
            yield prefix + name, value
        elif isinstance(value, msgspec.Struct):
            yield from named(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            for key, each in value.items():
                if isinstance(each, msgspec.Struct):
                    yield from named(each, f"{prefix}{name}.{key}.")


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


def add_folder(writer: Writer, root: Path, contents: Contents, passphrase: str | None) -> None:
    """Add files of the folder, and with a passphrase its secrets, sealed.

    Raises:
        BadConfiguration: The passphrase is too short.
    """
    secret = {path.as_posix() for path in files_under(root, contents.secret)}
    for name in sorted({path.as_posix() for path in files_under(root, contents.clear)} - secret):
        writer.add(FILES + name, (root / name).read_bytes())
    if passphrase is not None:
        writer.add(KEYS, seal({name: (root / name).read_bytes() for name in sorted(secret)}, passphrase))


def put_all_back(path: Path, root: Path, passphrase: str | None) -> None:
    """Write the files of the backup at `path` into the folder, and with a passphrase its secrets.

    Raises:
        BadConfiguration: The passphrase is another, or a name leads out of the folder.
    """
    for name, stream, _ in parts(path):
        if name.startswith(FILES):
            put_back(root, name, stream.read())
        elif name == KEYS and passphrase is not None:
            put_keys_back(root, stream.read(), passphrase)


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
    """Unseal the secrets into the folder, for its owner alone, and return how many there are.

    Raises:
        BadConfiguration: The passphrase is another, or a name leads out of the folder.
    """
    if len(data) > MOST_BYTES:
        raise BadConfiguration("the sealed keys are larger than any", field=KEYS)
    return write_keys(root, unseal(data, passphrase))


def write_keys(root: Path, keys: Mapping[str, bytes]) -> int:
    """Write keys into the folder, for its owner alone, and return how many there are.

    Raises:
        BadConfiguration: A name leads out of the folder, or there is a key already.
    """
    for name, key in keys.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise BadConfiguration("a key would be written outside of its folder", field=KEYS)
        if (root / path).parent != root:
            make_private_folder((root / path).parent)
        write_key(root / path, key)
    return len(keys)
