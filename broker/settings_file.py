"""A settings file as a value: TOML, strict, with errors that name the file and the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from broker.core.errors import BadConfiguration
from broker.keyring.place import KeyPlace

T = TypeVar("T", bound=msgspec.Struct)


def load_settings(
    path: Path, kind: type[T], maker: str, prepare: Callable[[dict[str, Any]], None] = lambda _: None
) -> T:
    """Return the file as a `kind`, whose field `root` is then the folder in which the file lies.

    Args:
        path: The file.
        kind: A struct that forbids unknown fields; `root` is no key of the file.
        maker: The command that makes such a file, for whoever has none.
        prepare: Completes what the file leaves out and `kind` cannot.

    Raises:
        BadConfiguration: The file is missing, is no TOML, or a key is unknown, missing or of another kind.
    """
    try:
        values = msgspec.toml.decode(path.read_bytes())
        if "root" in values:
            raise BadConfiguration("Object contains unknown field `root`", field=str(path))
        prepare(values)
        found = msgspec.convert(values, kind, dec_hook=_place)
    except FileNotFoundError:
        raise BadConfiguration(f"there is no {path.name}; `{maker}` makes one", field=str(path)) from None
    except OSError as error:
        raise BadConfiguration(f"cannot be read: {error.strerror}", field=str(path)) from None
    except msgspec.ValidationError as error:
        # The error names the key and the kinds; the file holds no secrets.
        raise BadConfiguration(f"{error}", field=str(path)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"no TOML: {error}", field=str(path)) from None
    return msgspec.structs.replace(found, root=path.parent)


def _place(kind: type, value: object) -> Path | KeyPlace:
    if kind not in (Path, KeyPlace) or not isinstance(value, str):
        raise TypeError(f"Expected `{kind.__name__}`")
    if kind is Path:
        return Path(value)
    try:
        return KeyPlace(value)
    except BadConfiguration as error:
        raise ValueError(f"{error}: {error.field}") from None
