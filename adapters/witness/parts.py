"""What a node has of the witness: made of its settings, and run together."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from adapters.configuration import MEMBER_FILE, NodeConfig
from adapters.equipment import Equipment
from adapters.hub import LogHub
from adapters.witness.rhythm import Rhythm
from adapters.witness.server import WitnessServer
from adapters.witness.state import Witness
from broker.core.errors import BadConfiguration
from broker.core.keys import Signer
from broker.core.policy import Policy
from broker.keyring import open_signer
from broker.keyring.secret import Ask

ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Witnessing:
    """What the settings say.

    Args:
        hub: The hub.
        signer: The member's witness key, if it has one.
        quorum: How many members must have cosigned; more than half without it.
        policy: The member's own policy, instead of the network's.
        listen: Host and port at which others ask for cosignatures, if they may.
    """

    hub: LogHub
    signer: Signer | None = None
    quorum: int | None = None
    policy: Policy | None = None
    listen: tuple[str, int] | None = None

    def made(self, equipment: Equipment) -> WitnessParts:
        """Return the working parts."""
        witness = server = None
        if self.signer is not None:
            witness = Witness(equipment, self.signer)
            server = None if self.listen is None else WitnessServer(witness, *self.listen)
        rhythm = Rhythm(equipment, self.hub, witness, quorum=self.quorum, policy=self.policy)
        return WitnessParts(rhythm, server)


@dataclass(frozen=True, slots=True)
class WitnessParts:
    """The rhythm, and the listener if there is one."""

    rhythm: Rhythm
    server: WitnessServer | None

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            BadConfiguration: The listener's address cannot be had.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self.rhythm.run(), name="rhythm")
            if self.server is not None:
                group.create_task(self.server.run(), name="listener")


def load_witnessing(config: NodeConfig, hub: LogHub, ask: Ask) -> Witnessing:
    """Return what a node's settings say.

    Raises:
        BadConfiguration: A key, the policy or the address cannot be used.
        KeyUnavailable: The token with the key is not there.
        KeyLocked: It refuses the PIN.
    """
    settings, place = config.witness, config.keys.witness
    return Witnessing(
        hub,
        signer=None if place is None else open_signer(place, config.root, ask),
        quorum=settings.quorum,
        policy=None if settings.policy is None else _policy(config),
        listen=None if settings.listen is None else _address(settings.listen, place is not None),
    )


def _policy(config: NodeConfig) -> Policy:
    assert config.witness.policy is not None
    if config.witness.quorum is not None:
        raise BadConfiguration(
            "a policy says itself how many are enough", field=f"{MEMBER_FILE}: witness.quorum"
        )
    path = config.path(config.witness.policy)
    try:
        return Policy.parse(path.read_bytes())
    except OSError:
        raise BadConfiguration("cannot be read", field=str(path)) from None


def _address(listen: str, has_key: bool) -> tuple[str, int]:
    where = f"{MEMBER_FILE}: witness.listen"
    found = ADDRESS.fullmatch(listen)
    if found is None or int(found[2]) > 65_535:
        raise BadConfiguration("an address and a port, such as 192.0.2.7:8447", field=where)
    if not has_key:
        raise BadConfiguration("a witness that is asked has a key: keys.witness", field=where)
    return found[1].strip("[]"), int(found[2])
