"""Who this node is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from broker.aside import Aside
from broker.core.keys import Signer
from broker.keyring import Elsewhere

T = TypeVar("T")

SIGNING_SECONDS = 30.0
"""How long a token may take; one that asks its owner for a touch takes as long as that."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs, with which keys, for which network."""

    member: str
    network: str
    signer: Signer
    countersigner: Signer | None = None
    _aside: Aside = field(
        default_factory=lambda: Aside("the signing key", SIGNING_SECONDS), compare=False, repr=False
    )

    async def signed(self, sign: Callable[[], T]) -> T:
        """Return what `sign` makes with our keys; where one is on a token, nothing else waits for it.

        Raises:
            Unavailable: The token does not answer, or cannot sign now.
        """
        return await self._aside.call(sign) if self._elsewhere else sign()

    async def ready(self) -> None:
        """See that our keys can sign now, before a number is given out for it.

        Raises:
            Unavailable: The token does not answer, or cannot sign now.
        """
        for each in self._elsewhere:
            await self._aside.call(each.ready)

    @property
    def _elsewhere(self) -> list[Elsewhere]:
        keys: tuple[object, ...] = (self.signer, self.countersigner)
        return [each for each in keys if isinstance(each, Elsewhere)]
