"""Private keys on tokens: PKCS #11 (OASIS, 2.40), by a module of whoever made the token.

Decides how a session is opened, shared, and opened again once when it was lost; and that a PIN is never
tried where it could lock the token.  Algorithms: ESP256 by CKM_ECDSA over the digest, made low in s; and
Ed25519 by CKM_EDDSA.  A signature is verified before it is given out, since a token's answer is not ours.

A module is told at its start that one thread at a time uses it, which is so: each has a lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, TokenFlag

from broker.core.errors import BadConfiguration, KeyLocked, KeyUnavailable
from broker.core.keys import Algorithm, PublicKey, low_s
from broker.keyring.place import NoSuchKey, TokenPlace
from broker.keyring.secret import Ask, Secret, from_descriptor, from_file

T = TypeVar("T")

CURVES: Final = {
    # DER of the named curve (SEC 1, RFC 8410); modules before PKCS #11 3.0 name Ed25519 by its text.
    bytes.fromhex("06082a8648ce3d030107"): Algorithm.ESP256,
    bytes.fromhex("06032b6570"): Algorithm.ED25519,
    b"\x13\x0cedwards25519": Algorithm.ED25519,
}
MADE: Final = {
    Algorithm.ESP256: (KeyType.EC, Mechanism.EC_KEY_PAIR_GEN, bytes.fromhex("06082a8648ce3d030107")),
    Algorithm.ED25519: (
        KeyType.EC_EDWARDS,
        Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
        bytes.fromhex("06032b6570"),
    ),
}
OCTET_STRING: Final = 4
DOUBTFUL: Final = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY
UNUSABLE: Final = TokenFlag.USER_PIN_LOCKED | TokenFlag.USER_PIN_TO_BE_CHANGED
PIN_REFUSED: Final = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinExpired,
    pkcs11.PinLocked,
    pkcs11.UserPinNotInitialized,
)


class TokenSigner:
    """A key on a token; made by `open_token_key`."""

    def __init__(self, place: TokenPlace, ask: Ask) -> None:
        self._place = place
        self._ask = ask
        self._module = _module_of(place.module)
        self._began = -1
        self._key: Any = None
        self._public: PublicKey | None = None

    @property
    def public(self) -> PublicKey:
        """The key by which others verify."""
        assert self._public is not None, "opened before it is given out"
        return self._public

    def open(self) -> None:
        """Find the key, with a session that is opened if there is none.

        Raises:
            BadConfiguration: There is no such key on the token.
            KeyUnavailable: The token is not there, or does not answer.
            KeyLocked: The token refuses the PIN, or it was not tried.
        """
        with self._module.lock, _told(self._place):
            self._find()

    def ready(self) -> None:
        """See that the key can sign now; a session that was lost is opened again, once.

        Raises:
            KeyUnavailable: The token is not there, or does not answer.
            KeyLocked: The token refuses the PIN, or it was not tried.
        """
        self._with_key(lambda key: key[Attribute.CLASS])

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`; a session that was lost is opened again, once.

        Raises:
            KeyUnavailable: The token is not there, or does not answer.
            KeyLocked: The token refuses the PIN, or it was not tried.
        """
        if self.public.algorithm is Algorithm.ESP256:
            digest = sha256(data).digest()
            signature = low_s(self._with_key(lambda key: key.sign(digest, mechanism=Mechanism.ECDSA)))
        else:
            signature = self._with_key(lambda key: key.sign(data, mechanism=Mechanism.EDDSA))
        if not self.public.verify(signature, data):
            raise KeyUnavailable("the token's signature does not hold", field=self._place.shown)
        return signature

    def _with_key(self, use: Callable[[Any], T]) -> T:
        with self._module.lock, _told(self._place):
            try:
                # A handle of another session could be that of another key.
                if self._began != self._module.began:
                    self._find()
                return use(self._key)
            except PIN_REFUSED:
                raise
            except pkcs11.PKCS11Error:
                self._module.begin_again()
                self._find()
                return use(self._key)

    def _find(self) -> None:
        session = self._module.session(self._place, self._ask)
        wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        if "object" in self._place.attributes:
            wanted[Attribute.LABEL] = self._place.attributes["object"]
        if self._place.id:
            wanted[Attribute.ID] = self._place.id
        key = _only(session, wanted, "private key", self._place)
        public = _public_of(session, key, self._place)
        if self._public not in (None, public):
            raise KeyUnavailable("another key is at this place than before", field=self._place.shown)
        self._key, self._public, self._began = key, public, self._module.began


class _Module:
    """A module in this process: its sessions, one a token, and how often it was begun again."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self.began = 0
        self._path = path
        self._sessions: dict[bytes, Any] = {}
        self._pins: dict[bytes, Secret] = {}

    def session(self, place: TokenPlace, ask: Ask) -> Any:
        """Return the session with the token, logged in."""
        token = self._token(place)
        if token.serial not in self._sessions:
            pin = self._pin(token, place, ask)
            self._sessions[token.serial] = token.open(user_pin=pin)
            self._pins[token.serial] = Secret(pin)
        return self._sessions[token.serial]

    def to_write(self, place: TokenPlace, ask: Ask) -> Any:
        """Return a further session that may make keys; whoever asked closes it."""
        self.session(place, ask)
        return self._token(place).open(rw=True)

    def begin_again(self) -> None:
        """Begin as if the process had just started: a token that was taken out may be there again."""
        self._sessions.clear()
        self.began += 1
        pkcs11.lib(str(self._path)).reinitialize()

    def _token(self, place: TokenPlace) -> Any:
        if not self._path.is_file():
            raise BadConfiguration("there is no such module", field=str(self._path))
        found = self._tokens(place.attributes)
        if not found:
            # Some modules look for tokens only when they begin.
            self.begin_again()
            found = self._tokens(place.attributes)
        if not found:
            raise KeyUnavailable("the token is not there", field=place.shown)
        if len(found) > 1:
            raise BadConfiguration("there are several such tokens: name its serial", field=place.shown)
        return found[0]

    def _tokens(self, wanted: Mapping[str, str]) -> list[Any]:
        found = []
        for slot in pkcs11.lib(str(self._path)).get_slots(token_present=True):
            try:
                token = slot.get_token()
            except pkcs11.PKCS11Error:
                continue  # taken out since, or not readable: as if it were not there
            said = {
                "token": token.label,
                "serial": token.serial.decode(errors="replace"),
                "manufacturer": token.manufacturer_id,
                "model": token.model,
            }
            if all(said[name].strip() == wanted[name] for name in said.keys() & wanted.keys()):
                found.append(token)
        return found

    def _pin(self, token: Any, place: TokenPlace, ask: Ask) -> str:
        flags = token.flags
        if flags & UNUSABLE:
            raise KeyLocked("the token's PIN is locked, or must be changed first", field=place.shown)
        secret = self._pins.get(token.serial) or (_pin_source(place) or ask)(
            f"PIN of the token {token.label}"
        )
        if secret is None:
            raise BadConfiguration(
                "the token has a PIN, and nobody is there to say it: add pin-source=file:PATH to its name, "
                "or give --passphrase-fd",
                field=place.shown,
            )
        # Whoever starts again and again with a wrong PIN would lock the token; a person may try once more.
        if flags & DOUBTFUL and not secret.typed:
            raise KeyLocked(
                "a PIN was refused before, so none is tried from a file: type it once on a terminal",
                field=place.shown,
            )
        return secret.text


_modules: dict[Path, _Module] = {}
_modules_lock = threading.Lock()


def _module_of(path: Path) -> _Module:
    with _modules_lock:
        return _modules.setdefault(path, _Module(path))


def open_token_key(place: TokenPlace, ask: Ask) -> TokenSigner:
    """Return the key at a place.

    Raises:
        BadConfiguration: There is no such key on the token, or it is of none of our algorithms.
        KeyUnavailable: The token is not there, or does not answer.
        KeyLocked: The token refuses the PIN, or it was not tried.
    """
    signer = TokenSigner(place, ask)
    signer.open()
    return signer


def make_token_key(place: TokenPlace, algorithm: Algorithm, ask: Ask) -> TokenSigner:
    """Make a key that never leaves its token, and return it.

    Raises:
        BadConfiguration: There is a key already, or the token makes none of this kind.
        KeyUnavailable: The token is not there, or does not answer.
        KeyLocked: The token refuses the PIN, or it was not tried.
    """
    label = place.attributes.get("object")
    if algorithm not in MADE or label is None:
        raise BadConfiguration(
            f"a token makes keys of {', '.join(each.value for each in MADE)}, with a name in object",
            field=place.shown,
        )
    kind, mechanism, curve = MADE[algorithm]
    module = _module_of(place.module)
    with module.lock, _told(place):
        session = module.to_write(place, ask)
        try:
            there = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: label}
            if list(session.get_objects(there)):
                raise BadConfiguration(
                    "there is a key already, and keys are not overwritten", field=place.shown
                )
            parameters = session.create_domain_parameters(kind, {Attribute.EC_PARAMS: curve}, local=True)
            parameters.generate_keypair(
                id=place.id or os.urandom(8),
                label=label,
                store=True,
                mechanism=mechanism,
                private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )
        finally:
            session.close()
    return open_token_key(place, ask)


def _only(session: Any, wanted: dict[Attribute, Any], what: str, place: TokenPlace) -> Any:
    found = list(session.get_objects(wanted))
    if not found:
        raise NoSuchKey(f"the token has no such {what}", field=place.shown)
    if len(found) > 1:
        raise BadConfiguration("the token has several such keys: name its id", field=place.shown)
    return found[0]


def _public_of(session: Any, key: Any, place: TokenPlace) -> PublicKey:
    """Return the public key that has the same id on the token."""
    wanted = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: key[Attribute.ID]}
    public = _only(session, wanted, "public key beside the private one", place)
    algorithm = CURVES.get(public[Attribute.EC_PARAMS])
    if algorithm is None:
        raise BadConfiguration("the key is not one of P-256 or Ed25519", field=place.shown)
    point, size = public[Attribute.EC_POINT], algorithm.public_bytes
    # The standard wants the point as an octet string; some modules give it bare.
    if len(point) == size + 2 and point[:2] == bytes((OCTET_STRING, size)):
        point = point[2:]
    if len(point) != size:
        raise BadConfiguration("the token's public key is not in its one form", field=place.shown)
    return PublicKey(algorithm, point)


def _pin_source(place: TokenPlace) -> Ask | None:
    source = place.pin_source
    if not source:
        return None
    if source.startswith("fd:") and source[3:].isdecimal():
        return from_descriptor(int(source[3:]))
    path = Path(source.removeprefix("file:"))
    if source.startswith("|") or not path.is_absolute():
        raise BadConfiguration("pin-source is file:/full/path or fd:NUMBER", field=place.shown)
    return from_file(path)


@contextmanager
def _told(place: TokenPlace) -> Iterator[None]:
    """Turn what a module says into our errors; its own messages may hold anything."""
    try:
        yield
    except PIN_REFUSED as error:
        raise KeyLocked(f"the token refuses the PIN ({type(error).__name__})", field=place.shown) from None
    except pkcs11.PKCS11Error as error:
        raise KeyUnavailable(
            f"the token cannot do it now ({type(error).__name__})", field=place.shown
        ) from None
