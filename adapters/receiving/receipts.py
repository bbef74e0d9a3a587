"""Receipts: the member says, signed, what became of each delivery.

Up to 1,024 deliveries under one signature.  A receipt is kept as signed before it is sent, so that
sending it again sends the same bytes; it is sent until the hub confirms it.
"""

from __future__ import annotations

from functools import partial

from adapters.equipment import Equipment
from adapters.sending.statement import SEND_AGAIN, SIGN_AGAIN, code_to_keep
from broker.core.errors import Refused, TooMany, Unavailable
from broker.core.keys import new_salt
from broker.core.limits import MOST_RECEIPT_DELIVERIES
from broker.core.model import Receipt
from broker.core.records import encode
from broker.core.signing import sign_receipt
from broker.telemetry import logger_of

A_REQUEST = 64

log_line = logger_of("receipts")


class Receipts:
    """Signs and sends receipts.

    Args:
        equipment: What the node works with.
    """

    def __init__(self, equipment: Equipment) -> None:
        self._incoming = equipment.incoming
        self._hub = equipment.hub
        self._identity = equipment.identity
        self._clock = equipment.clock
        self._patience = equipment.patience
        self._alarms = equipment.alarms

    async def run(self) -> None:
        """Work for ever; whatever fails is tried again, later and later."""
        await self._patience.keep_on(self.step, lambda: bool(self._incoming.owed(1)), self._failed)

    def _failed(self, error: Unavailable | Refused, _failures: int) -> None:
        if not isinstance(error, Unavailable | TooMany):
            self._alarms.sound("receipts.blocked", error.code, error.field or "")

    async def step(self) -> bool:
        """Sign what is owed, send what is signed, and say whether there was anything.

        Raises:
            Unavailable: The hub, the store or the key cannot do it now.
            Refused: The hub will not take any of ours now.
        """
        while owed := self._incoming.owed(MOST_RECEIPT_DELIVERIES):
            receipt = Receipt(
                salt=new_salt(),
                member=self._identity.member,
                deliveries=tuple(sorted({each.delivery for each in owed})),
                event=owed[0].event,
                channel=owed[0].channel,
                code=owed[0].code,
                at=self._clock.now(),
            )
            identity = self._identity
            receipted = await identity.signed(
                partial(sign_receipt, receipt, identity.network, identity.signer, identity.countersigner)
            )
            self._incoming.sign(owed, encode(receipted))
        unsent = self._incoming.unsent_receipts(A_REQUEST)
        if not unsent:
            return False
        try:
            await self._hub.receipts([signed for _, signed in unsent])
        except Refused as error:
            if error.code in SEND_AGAIN:
                raise
            # One of them is at fault; it holds up no other.
            for number, signed in unsent:
                await self._send_one(number, signed)
        else:
            self._incoming.settle([number for number, _ in unsent])
            log_line.info("receipts.sent", count=len(unsent))
        return True

    async def _send_one(self, number: int, signed: bytes) -> None:
        try:
            await self._hub.receipts([signed])
        except Refused as error:
            if error.code in SEND_AGAIN:
                raise
            if error.code in SIGN_AGAIN:
                # The key has changed since: the deliveries are still owed a receipt.
                self._incoming.unsign(number)
                raise
            self._incoming.settle([number], code_to_keep(error.code))
            self._alarms.sound("receipt.refused", code_to_keep(error.code), str(number))
        else:
            self._incoming.settle([number])
