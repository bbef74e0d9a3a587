"""Passphrases and PINs: where they come from when nobody, a file, or a descriptor says them.

Decides nothing about them.  Whoever types one at a terminal is asked by `broker.passphrases`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from broker.core.errors import BadConfiguration

MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Secret:
    """A passphrase or PIN; `typed` if a person has just typed it."""

    text: str = field(repr=False)
    typed: bool = False


Ask: TypeAlias = Callable[[str], Secret | None]
"""Says the secret of something, `passphrase of keys/sign.pem`, or that there is none."""


def nobody(_: str) -> Secret | None:
    """Say that nobody is there to be asked."""
    return None


def from_file(path: Path) -> Ask:
    """Return what says the first line of a file.

    Raises:
        BadConfiguration: When asked: the file cannot be read, or is no passphrase.
    """

    def ask(_: str) -> Secret | None:
        try:
            with path.open("rb") as file:
                return _first_line(file.read(MOST_BYTES + 1), str(path))
        except OSError as error:
            raise BadConfiguration(
                f"the passphrase cannot be read: {error.strerror}", field=str(path)
            ) from None

    return ask


def from_descriptor(number: int) -> Ask:
    """Return what says the first line of an open file; it is read once, when it is asked for first.

    Raises:
        BadConfiguration: When asked: the descriptor is not open, or what it gives is no passphrase.
    """
    said: list[Secret] = []

    def ask(_: str) -> Secret | None:
        if not said:
            where = f"descriptor {number}"
            try:
                with os.fdopen(number, "rb") as file:
                    said.append(_first_line(file.read(MOST_BYTES + 1), where))
            except OSError as error:
                raise BadConfiguration(
                    f"the passphrase cannot be read: {error.strerror}", field=where
                ) from None
        return said[0]

    return ask


def _first_line(data: bytes, where: str) -> Secret:
    if len(data) > MOST_BYTES:
        raise BadConfiguration("longer than any passphrase", field=where)
    first, *_ = re.split(b"[\r\n]", data, maxsplit=1)
    try:
        text = first.decode()
    except UnicodeDecodeError:
        raise BadConfiguration("the passphrase is no text in UTF-8", field=where) from None
    if not text:
        raise BadConfiguration("the passphrase is empty", field=where)
    return Secret(text)
