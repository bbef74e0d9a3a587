"""Salts of what this node signs: nobody else can tell them, and this node can tell them again.

A salt is a keyed digest over the draft, the slot and its value, under a secret of the node's store.  So a
node that was set back to yesterday's store composes what it had waiting to the very bytes that it signed
since, and can ask the hub for them (`recovery`).  Another value, or another draft, has another salt.

Source: docs/formats.md, "Slots"; HMAC is RFC 2104.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable

from adapters.store import Store
from adapters.stored import damaged
from broker.core.keys import SALT_BYTES
from broker.core.model import Slot

FACT = "salt_key"
KEY_BYTES = 32
LABEL = b"halong/salt/1\0"

Salt = Callable[[Slot, bytes], bytes]


class Salts:
    """Tells the salts of drafts.

    Args:
        store: Where the secret is kept; it is there with the first draft, so that every backup has it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: bytes | None = None

    def of(self, draft: int) -> Salt:
        """Return the salts of a draft's slots."""
        key = self._key()
        prefix = LABEL + draft.to_bytes(8, "big")

        def salt(slot: Slot, value: bytes) -> bytes:
            return hmac.digest(key, prefix + bytes([slot]) + value, "sha256")[:SALT_BYTES]

        return salt

    def _key(self) -> bytes:
        if self._known is None:
            with self._store.write():
                ensure_key(self._store)
            self._known = self._store.fact(FACT)
        # Under a shorter one, anybody could tell the salts.
        if self._known is None or len(self._known) != KEY_BYTES:
            self._known = None
            raise damaged("facts.value")
        return self._known


def ensure_key(store: Store) -> None:
    """Make the secret if it is not there, inside `write`."""
    store.run("INSERT INTO facts VALUES (?, ?) ON CONFLICT DO NOTHING", FACT, secrets.token_bytes(KEY_BYTES))
