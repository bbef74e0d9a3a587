"""The folder of a node without network, and of its carrier, as commands use them.

The node's folder has its keys and is worked on by commands alone; it is held like a running node's, so that
nothing else signs meanwhile.  The carrier's has a transport key of its own and no other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.channels import Closes
from adapters.configuration import MEMBER_FILE, NodeConfig
from adapters.directory.own import read_own, write_own
from adapters.http_hub import HttpHub, pinned_context
from adapters.key_changes import hand_over, request_to_certify, standing_of, with_transport_key
from adapters.member_folder import REQUEST_FILE
from adapters.node import Node, asked, directory_source, load_identity, make_channels, refresher_of
from adapters.stick.carrier import Carrier
from adapters.stick.hub import StickHub
from adapters.stick.node import StickNode
from adapters.store import Store
from broker.clock import Clock, SystemClock
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PrivateKey
from broker.directory.certificates import key_digest
from broker.directory.layout import Layout
from broker.directory.roles import ROOT, metadata_name
from broker.files import make_private_folder, write_key, write_whole
from broker.keyring import open_signer
from broker.keyring.secret import Ask
from schemas import load_catalogue

CARRIER_TOML = """\
# A carrier for member {member} of the network {network}: it takes sticks to the hub and back, signs
# nothing and runs no node.
# Paths are relative to this file.  `halong member join` writes the [hub] part and the directory.

member = "{member}"
network = "{network}"

[keys]                           # made for this carrier alone; the key for notices stays at the node
tls = "keys/tls.pem"             # opens the connection to the hub
certificate = "tls/member.pem"
"""

STICK_FOLDER = Path("stick")
ANSWER_SECONDS = 60.0
GRACE_MS = 30 * 86_400_000
"""For how long a directory counts after its timestamp is over, at a node without network: sticks travel."""


class Late:
    """A clock that is late by the time that sticks may travel: it judges what they bring.

    Args:
        clock: Tells the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> int:
        """Return the time."""
        return self._clock.now() - GRACE_MS


@asynccontextmanager
async def open_offline(
    config: NodeConfig, clock: Clock | None = None, ask: Ask | None = None
) -> AsyncIterator[StickNode]:
    """Open a node without network, as the one process that may hold it; `ask` says passphrases and PINs.

    Raises:
        BadConfiguration: Configuration, keys or directory cannot be used, or the node runs.
        StoreUnavailable: Its store cannot be opened.
        KeyUnavailable: The token with the key is not there.
        KeyLocked: It refuses the PIN.
    """
    address = config.joined
    identity = load_identity(config, ask)
    clock = clock or SystemClock()
    with Store.open(config.store_path, sole=True) as store:
        hub = StickHub(store)
        channels = make_channels(config, clock)
        source = directory_source(config, Late(clock))
        refresher = refresher_of(config, hub, store, clock, grace=GRACE_MS)
        node = Node(
            store,
            hub,
            source,
            load_catalogue(),
            channels,
            identity,
            address.log_key,
            clock,
            terms={name: each.terms for name, each in config.channels.items()},
            refresher=refresher,
        )
        await node.look()
        try:
            yield StickNode(node, hub, config.member, config.network)
        finally:
            for channel in channels:
                if isinstance(channel, Closes):
                    await channel.close()


@asynccontextmanager
async def open_carrier(config: NodeConfig) -> AsyncIterator[Carrier]:
    """Open a carrier: whoever has the member's transport identity and reaches the hub.

    Raises:
        BadConfiguration: The configuration or a file of the transport identity cannot be used.
    """
    address = config.joined
    context = pinned_context(
        bytes.fromhex(address.pin),
        config.path(config.keys.certificate),
        config.path(config.keys.tls),
        config.path(address.authority),
    )
    async with HttpHub(address.url, context, seconds=ANSWER_SECONDS) as hub:
        yield Carrier(hub, config.path(STICK_FOLDER), config.member, config.network, hub)


def make_carrier(folder: Path, node: NodeConfig, now: int, ask: Ask | None = None) -> bytes:
    """Make a carrier's folder for a node: a transport key, and the member's signed request to admit it.

    The hub's operator takes it; nobody else need sign.

    Raises:
        BadConfiguration: There is something already, or the node's folder cannot be used.
    """
    if (folder / MEMBER_FILE).exists() or (folder / "keys").exists():
        raise BadConfiguration("there is a member or a carrier here already", field=str(folder))
    tls = PrivateKey.generate(Algorithm.ESP256)
    request = _ask_for_carrier(folder, node, tls, now, ask)
    make_private_folder(folder / "keys")
    write_key(folder / "keys/tls.pem", tls.to_pem())
    write_whole(folder / REQUEST_FILE, request)
    write_whole(folder / MEMBER_FILE, CARRIER_TOML.format(member=node.member, network=node.network))
    return request


def _ask_for_carrier(folder: Path, node: NodeConfig, tls: PrivateKey, now: int, ask: Ask | None) -> bytes:
    """Let the member's entry list the carrier's key, signed with the member's key for the directory."""
    standing = standing_of(node, SystemClock())
    signer = open_signer(node.keys.directory, node.root, asked(node, ask))
    change = standing.change(
        with_transport_key(standing.member, key_digest(tls.to_pem()), now), now, [signer]
    )
    hand_over(standing, change, None)
    # The carrier believes what the node believes, and has none of its keys.
    copy = folder / "directory"
    Layout(copy).add({metadata_name(ROOT, standing.trusted[0]): standing.trusted[1]})
    write_own(copy, read_own(standing.copy))
    return request_to_certify(standing, change, tls.to_pem(), [])
