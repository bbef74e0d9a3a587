"""TLS to the hub alone: whoever answers must hold the key that was pinned at joining.

Decides whether the peer is the hub before one byte of HTTP is sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography.x509 import load_der_x509_certificate

from broker.core.errors import BadConfiguration
from broker.core.keys import spki_digest


def pinned_context(pin: bytes, certificate: Path, key: Path, authority: Path | None = None) -> ssl.SSLContext:
    """Return a TLS context that shows the member's certificate, and to the hub alone.

    `pin` is the SHA-256 of the hub's SubjectPublicKeyInfo.  The handshake proves that the peer holds that
    key, so neither a name nor an authority can speak for another; an authority is checked, too, if given.

    Raises:
        BadConfiguration: A file cannot be used.
    """

    class Pinned(ssl.SSLObject):
        """A connection whose handshake fails unless the peer holds the pinned key."""

        def do_handshake(self) -> None:
            super().do_handshake()
            shown = self.getpeercert(binary_form=True)
            if shown is None or spki_digest(load_der_x509_certificate(shown)) != pin:
                raise ssl.SSLCertVerificationError("the peer's key is not the pinned one")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    if authority is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        _load(authority, lambda: context.load_verify_locations(authority))
    _load(certificate, lambda: context.load_cert_chain(certificate, key))
    context.sslobject_class = Pinned
    return context


def _load(path: Path, load: Callable[[], None]) -> None:
    try:
        load()
    except (OSError, ssl.SSLError):
        raise BadConfiguration(
            "the file is missing, or is not a key or certificate", field=path.name
        ) from None
