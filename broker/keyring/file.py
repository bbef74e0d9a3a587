"""Private keys in files: PKCS#8, encrypted under a passphrase or not."""

from __future__ import annotations

from pathlib import Path

from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PrivateKey
from broker.files import make_private_folder, write_key
from broker.keyring.place import NoSuchKey
from broker.keyring.secret import Ask

ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
LEAST_PASSPHRASE = 12


def open_key_file(path: Path, shown: str, ask: Ask) -> PrivateKey:
    """Return the key of a file.

    Raises:
        BadConfiguration: It cannot be read, is no such key, or the passphrase is another.
    """
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        raise NoSuchKey("the key cannot be read: there is no such file", field=str(path)) from None
    except OSError as error:
        raise BadConfiguration(f"the key cannot be read: {error.strerror}", field=str(path)) from None
    if not is_encrypted(pem):
        try:
            return PrivateKey.from_pem(pem)
        except ValueError as error:
            raise BadConfiguration(str(error), field=str(path)) from None
    secret = ask(f"passphrase of {shown}")
    if secret is None:
        raise BadConfiguration(
            "the key is encrypted, and nobody is there to say its passphrase: give --passphrase-fd, or "
            "passphrase_file in the settings",
            field=str(path),
        )
    try:
        return PrivateKey.from_pem(pem, secret.text.encode())
    except ValueError:
        raise BadConfiguration("the passphrase is another, or the file is damaged", field=str(path)) from None


def make_key_file(path: Path, shown: str, algorithm: Algorithm, ask: Ask | None) -> PrivateKey:
    """Make a key in a file that is not there, for its owner alone; encrypted if there is `ask`.

    Raises:
        BadConfiguration: There is a key already, or the passphrase is missing or too short.
    """
    password = None
    if ask is not None:
        secret = ask(f"passphrase for {shown}")
        if secret is None:
            raise BadConfiguration("nobody is there to say a passphrase", field=str(path))
        if len(secret.text) < LEAST_PASSPHRASE:
            raise BadConfiguration(f"a passphrase has at least {LEAST_PASSPHRASE} signs", field=str(path))
        password = secret.text.encode()
    key = PrivateKey.generate(algorithm)
    if not path.parent.exists():
        make_private_folder(path.parent)
    write_key(path, key.to_pem(password))
    return key


def is_encrypted(pem: bytes) -> bool:
    """Tell whether a key's file is encrypted."""
    return any(each in pem for each in ENCRYPTED)
