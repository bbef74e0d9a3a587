"""Passphrases and PINs that a person types, or that whoever starts a command gives by a descriptor."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from broker.keyring.secret import Ask, Secret, from_descriptor, from_file, nobody

passphrase_option = click.option(
    "--passphrase-fd",
    type=click.IntRange(0),
    help="The open file whose first line is the passphrase or PIN; asked for on a terminal without.",
)


def asker(descriptor: int | None, file: Path | None = None) -> Ask:
    """Return who says passphrases: the descriptor, else the file of the settings, else the person there."""
    if descriptor is not None:
        return from_descriptor(descriptor)
    if file is not None:
        return from_file(file)
    return typed if sys.stdin.isatty() else nobody


def typed(what: str) -> Secret | None:
    """Ask the person at the terminal; for a key that is made, twice."""
    text: str = click.prompt(
        what[:1].upper() + what[1:],
        hide_input=True,
        err=True,
        confirmation_prompt=what.startswith("passphrase for "),
    )
    return Secret(text, typed=True)
