"""The member's node: everything on the member's side put together and kept running, in one process.

Crash-only: stopping is cancelling; whatever was under way is found again in the store.  A part that the hub
or the disk keeps from working waits and tries again by itself; anything else ends the process, loudly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from adapters.api.server import run_api
from adapters.channels import Channel
from adapters.channels.making import make_channel
from adapters.channels.terms import Terms
from adapters.channels.worker import Worker
from adapters.configuration import NodeConfig
from adapters.directories import Directories, Source, first_region
from adapters.directory.copy import Copy
from adapters.directory.refreshing import Refresher
from adapters.equipment import Equipment
from adapters.feedback.reminders import SOON_DAYS, Reminders
from adapters.health import HealthPage
from adapters.http_hub import HttpHub, pinned_context
from adapters.hub import DirectoryHub, Hub
from adapters.identity import Identity
from adapters.metrics import surroundings
from adapters.patience import Patience
from adapters.receiving.heads import Heads
from adapters.receiving.incoming import Incoming
from adapters.receiving.opening import Opening
from adapters.receiving.receipts import Receipts
from adapters.receiving.runner import Runner
from adapters.sending.outbox import Outbox
from adapters.sending.progress import Following
from adapters.status import snapshot
from adapters.store import Store
from adapters.witness.parts import Witnessing, load_witnessing
from broker.clock import Clock, SystemClock
from broker.core.catalogue import Catalogue
from broker.core.errors import KeyUnavailable, Refused, Unavailable
from broker.core.model import Region
from broker.core.note import LogKey
from broker.directory.signed import SignedDirectory
from broker.directory.sources import source_in
from broker.keyring import open_signer
from broker.keyring.secret import Ask, from_file, nobody
from broker.telemetry import logger_of
from schemas import load_catalogue

FIRST_REFRESH_SECONDS = 10.0

log_line = logger_of("node")


class Node:
    """The parts of a node; tests make one on a hub in their own process.

    Args:
        store: The node's store, opened as its one node.
        hub: The hub.
        source: Where directories come from.
        catalogue: The notice types.
        channels: Where deliveries go.
        identity: Who we are.
        log_key: The pinned verifier key of the hub's log.
        clock: Tells the time.
        patience: How long to wait after what.
        terms: What channels are allowed, by their names.
        remind_days: How long before feedback is due the node reminds of it.
        refresher: Keeps the source up to date, if it is a copy of the hub's.
        witnessing: What the node does about the hub's log, besides taking deliveries under it.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        source: Source,
        catalogue: Catalogue,
        channels: Sequence[Channel],
        identity: Identity,
        log_key: str,
        clock: Clock,
        patience: Patience | None = None,
        terms: Mapping[str, Terms] | None = None,
        *,
        remind_days: float = SOON_DAYS,
        refresher: Refresher | None = None,
        witnessing: Witnessing | None = None,
    ) -> None:
        patience = patience or Patience()
        key = LogKey.parse(log_key)
        self.store = store
        self.refresher = refresher
        self.directories = Directories(source, identity.network, log_key, clock, refresher)
        equipment = Equipment(store, hub, self.directories, catalogue, identity, key, clock, patience)
        self.equipment = equipment
        self.outbox = Outbox(equipment)
        self.opening = Opening(equipment)
        self.runner = Runner(equipment, channels, self.opening)
        self.workers = [
            Worker(equipment, channel, self.opening, (terms or {}).get(channel.name)) for channel in channels
        ]
        self.receipts = Receipts(equipment)
        self.heads = Heads(equipment)
        self.following = Following(equipment)
        self.reminders = Reminders(equipment, remind_days)
        self.witnessing = None if witnessing is None else witnessing.made(equipment)

    async def look(self) -> None:
        """Look at the directory before anything runs.

        Raises:
            BadConfiguration: No refresher brings a better one, and it cannot be used.
        """
        if self.refresher is None:
            # What is wrong with it is found now, not when the first notice comes.
            await self.directories.newest()
            return
        # The hub may be out of reach, or wrong: then nothing goes on until a refresh is right, and says so.
        with suppress(Unavailable, Refused, TimeoutError):
            async with asyncio.timeout(FIRST_REFRESH_SECONDS):
                await self.refresher.refresh()

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.outbox.run(), name="outbox")
            group.create_task(self.runner.run(), name="runner")
            group.create_task(self.receipts.run(), name="receipts")
            group.create_task(self.heads.run(), name="heads")
            group.create_task(self.following.run(), name="following")
            group.create_task(self.reminders.run(), name="reminders")
            if self.refresher is not None:
                group.create_task(self.refresher.run(), name="directory")
            if self.witnessing is not None:
                group.create_task(self.witnessing.run(), name="witness")
            for worker in self.workers:
                group.create_task(worker.run(), name=f"channel {worker.name}")


async def run_node(
    config: NodeConfig,
    ready: Callable[[int], None] | None = None,
    *,
    clock: Clock | None = None,
    api: Callable[[int], None] | None = None,
    ask: Ask | None = None,
) -> None:
    """Run the node until cancelled; call `ready` with the port of its health page once it works.

    Before that, `api` is called with the port of the local API, if there is one.  `ask` says passphrases and
    PINs, else the file that the settings name.  A token that is not there is waited for.

    Raises:
        BadConfiguration: The configuration, a key or the directory cannot be used, or another node runs.
        StoreUnavailable: The store cannot be opened.
    """
    clock = clock or SystemClock()
    address = config.joined
    identity = await _identity(config, ask)
    context = pinned_context(
        bytes.fromhex(address.pin),
        config.path(config.keys.certificate),
        config.path(config.keys.tls),
        config.path(address.authority),
    )
    catalogue = load_catalogue()
    with Store.open(config.store_path, sole=True) as store:
        async with HttpHub(address.url, context, seen=Incoming(store).largest_seen()) as hub:
            source = directory_source(config, clock)
            refresher = refresher_of(config, hub, store, clock)
            node = Node(
                store,
                hub,
                source,
                catalogue,
                make_channels(config, clock),
                identity,
                address.log_key,
                clock,
                terms={name: each.terms for name, each in config.channels.items()},
                remind_days=config.feedback.remind_days,
                refresher=refresher,
                witnessing=load_witnessing(config, hub, asked(config, ask)),
            )
            await node.look()
            health = HealthPage(
                config.health.port, partial(snapshot, store), clock, partial(surroundings, config)
            )

            def listening(port: int) -> None:
                log_line.info("node.ready", member=config.member, network=config.network, port=port)
                if ready is not None:
                    ready(port)

            async with asyncio.TaskGroup() as group:
                if config.api is not None:
                    answers = asyncio.get_running_loop().create_future()
                    group.create_task(run_api(config, node.equipment, answers.set_result), name="api")
                    port = await answers
                    log_line.info("api.ready", port=port)
                    if api is not None:
                        api(port)
                group.create_task(node.run(), name="node")
                group.create_task(health.run(listening), name="health")


def directory_source(config: NodeConfig, clock: Clock | None = None) -> SignedDirectory:
    """Return where the node's directories come from.

    Raises:
        BadConfiguration: The node has no root to trust.
    """
    return source_in(config.path(config.directory), clock or SystemClock(), reader=config.member)


def refresher_of(
    config: NodeConfig, hub: DirectoryHub, store: Store, clock: Clock, *, grace: int = 0
) -> Refresher:
    """Return what keeps the node's copy of the directory up to date; `grace` is that of `Copy`."""
    copy = Copy(config.path(config.directory), config.member, clock, grace=grace)
    return Refresher(hub, copy, store, clock)


def load_identity(config: NodeConfig, ask: Ask | None = None) -> Identity:
    """Return who this node is, with its keys; `ask` says passphrases, else the settings' file.

    Raises:
        BadConfiguration: A key cannot be read.
        KeyUnavailable: The token with a key is not there.
        KeyLocked: It refuses the PIN.
    """
    keys, ask = config.keys, asked(config, ask)
    return Identity(
        member=config.member,
        network=config.network,
        signer=open_signer(keys.sign, config.root, ask),
        countersigner=None if keys.countersign is None else open_signer(keys.countersign, config.root, ask),
    )


def asked(config: NodeConfig, ask: Ask | None = None) -> Ask:
    """Return who says passphrases: whoever was given, else the file of the settings, if one is named."""
    if ask is not None:
        return ask
    file = config.keys.passphrase_file
    return nobody if file is None else from_file(config.path(file))


async def _identity(config: NodeConfig, ask: Ask | None) -> Identity:
    patience, failures = Patience(), 0
    while True:
        try:
            return load_identity(config, ask)
        except KeyUnavailable as error:
            failures += 1
            log_line.warning("key.waits", code=error.code, attempt=failures)
        await patience.after_failure(failures)


def leading_region(config: NodeConfig) -> Region:
    """Return the region that the member's notices lead in if they name none.

    Raises:
        BadConfiguration: The directory cannot be used.
        BadHeader: Neither the configuration nor the directory tells.
    """
    if config.leading_region is not None:
        return config.leading_region
    return first_region(directory_source(config).load(), config.member)


def make_channels(config: NodeConfig, clock: Clock | None = None) -> list[Channel]:
    """Return the configured channels.

    Raises:
        BadConfiguration: A file that one of them names cannot be used, or an extra is missing.
    """
    return [
        make_channel(name, each, config.member, config.root, clock) for name, each in config.channels.items()
    ]
