"""How a private key is named: a path, `file:` (RFC 8089), or `pkcs11:` for a key on a token (RFC 7512).

Decides what a well-formed name is.  A PIN never stands in one: it is where `pin-source` says, or whoever
opens the key is asked.  What is shown of a name holds no secret and fits into a log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote_to_bytes

from broker.core.errors import BadConfiguration

FILE = "file:"
TOKEN = "pkcs11:"  # noqa: S105 - the scheme of a name
PATH_ATTRIBUTES = ("token", "manufacturer", "model", "serial", "object", "id", "type")
QUERY_ATTRIBUTES = ("module-path", "pin-source")
EXAMPLE = "pkcs11:token=halong;object=sign?module-path=/usr/lib/softhsm/libsofthsm2.so"
_ESCAPES = re.compile("%(?![0-9A-Fa-f]{2})")


class NoSuchKey(BadConfiguration):
    """There is no key at the place."""


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Which key on which token, by which module; what is empty was not said."""

    module: Path
    attributes: Mapping[str, str]
    id: bytes
    pin_source: str
    shown: str


class KeyPlace(str):
    """Where a private key is, as settings and commands name it.

    Raises:
        BadConfiguration: It is no such name; says what is possible.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check the name."""
        made = super().__new__(cls, text)
        if made.token is None and not made.file.name:
            raise BadConfiguration("a key is a file or pkcs11:…", field=made.shown)
        return made

    @property
    def file(self) -> Path:
        """The key's file; of a key on a token, nothing that is one."""
        if self.startswith(TOKEN):
            return Path()
        if not self.startswith(FILE):
            return Path(self)
        rest = self.removeprefix(FILE)
        if rest.startswith("//"):
            host, slash, rest = rest[2:].partition("/")
            if host not in ("", "localhost"):
                raise BadConfiguration("the file is on another machine", field=f"{FILE}//{host}")
            rest = slash + rest
        return Path(_text(rest, "path"))

    @property
    def token(self) -> TokenPlace | None:
        """Which key on which token, or None for a file."""
        if not self.startswith(TOKEN):
            return None
        path, _, query = self.removeprefix(TOKEN).partition("?")
        where = _attributes(path, ";", PATH_ATTRIBUTES)
        how = _attributes(query, "&", QUERY_ATTRIBUTES)
        if where.pop("type", b"private") != b"private":
            raise BadConfiguration("a private key signs: leave out type", field=f"{TOKEN} type")
        if "module-path" not in how:
            raise BadConfiguration(f"names no module-path, such as {EXAMPLE}", field=self.shown)
        if "token" not in where and "serial" not in where:
            raise BadConfiguration(f"names no token, such as {EXAMPLE}", field=self.shown)
        if "object" not in where and "id" not in where:
            raise BadConfiguration(f"names neither object nor id, such as {EXAMPLE}", field=self.shown)
        module = Path(_decoded(how["module-path"], "module-path"))
        if not module.is_absolute():
            raise BadConfiguration("module-path is the full path of a library", field=self.shown)
        return TokenPlace(
            module,
            {name: _decoded(value, name) for name, value in where.items() if name != "id"},
            where.get("id", b""),
            _decoded(how.get("pin-source", b""), "pin-source"),
            self.shown,
        )

    @property
    def shown(self) -> str:
        """The name without what may be secret: what a log or a message shows."""
        return self.partition("?")[0] if self.startswith(TOKEN) else str(self)


def token_place(token: str, label: str, module: Path, pin_source: str = "") -> KeyPlace:
    """Return the name of a key on a token."""
    query = f"module-path={quote(str(module), safe='/')}"
    if pin_source:
        query += f"&pin-source={quote(pin_source, safe='/:')}"
    return KeyPlace(f"{TOKEN}token={quote(token, safe='')};object={quote(label, safe='')}?{query}")


def _attributes(text: str, separator: str, possible: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for each in filter(None, text.split(separator)):
        name, equals, value = each.partition("=")
        if name == "pin-value":
            raise BadConfiguration(
                "a PIN does not belong where others read it: use pin-source=file:PATH", field=TOKEN + name
            )
        # What is not known may say which key is meant: it is never passed over.
        if name not in possible or name in found or not equals:
            raise BadConfiguration(f"once each there may be {', '.join(possible)}", field=f"{TOKEN} …")
        if _ESCAPES.search(value):
            raise BadConfiguration("a percent sign has two hexadecimal digits behind it", field=TOKEN + name)
        found[name] = unquote_to_bytes(value)
    return found


def _text(value: str, name: str) -> str:
    if _ESCAPES.search(value):
        raise BadConfiguration("a percent sign has two hexadecimal digits behind it", field=FILE + name)
    return _decoded(unquote_to_bytes(value), name)


def _decoded(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadConfiguration("is no text in UTF-8", field=name) from None
