"""The hub: its services put together and kept running, in one process or spread over several.

Spread on Kafka, each part takes its share in its own way.  Gateways and inboxes keep nothing and run in any
number; members reach them by several addresses, or by one front that routes by path.  Dispatchers share the
partitions of `notices.*` as a group.  Of the sequencers one leads, and the others stand by
(`broker.services.sequencer`).  Whoever is replaced while it sleeps cannot commit when it wakes up.

Crash-only: stopping is cancelling.  A service that lost the log is started again after a while; whatever
else goes wrong ends the process, loudly, and whoever starts it again finds everything in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from broker.aside import Aside, Stalled
from broker.audit.building import INDEX_FILE
from broker.audit.forgetting import Forgetting
from broker.clock import Clock, SystemClock
from broker.configuration import HubConfig, tls_of
from broker.core.errors import BadConfiguration, KeyLocked, KeyUnavailable, Unavailable
from broker.core.keys import Signer
from broker.core.note import LogKey, LogSigner
from broker.directory.certificates import read_certificate
from broker.directory.repository import Repository
from broker.directory.sources import source_in
from broker.keyring import Elsewhere, KeyPlace, open_signer
from broker.keyring.secret import Ask, from_file, nobody
from broker.log import Log, LogUnavailable, open_log
from broker.log.scratch import Scratch
from broker.log.topics import AUDIT_CHECKPOINTS
from broker.services.cosignatures import Cosignatures
from broker.services.current import CurrentDirectory
from broker.services.dispatcher import Dispatcher
from broker.services.erasure import Eraser
from broker.services.gateway import Gateway
from broker.services.heads import Heads
from broker.services.inbox import Inbox
from broker.services.ledger import Ledger
from broker.services.metrics import Metrics
from broker.services.orders import Orders
from broker.services.rate import Rate
from broker.services.refusals import Refusals
from broker.services.registry import Registry
from broker.services.sequencer import Sequencer
from broker.services.tile_folder import TileFolder
from broker.services.tiles import Tiles
from broker.services.watch import Watch
from broker.telemetry import logger_of
from broker.web.api import Services
from broker.web.console import Console
from broker.web.hub import HealthServer, HubServer, server_context
from broker.web.outside import outside_pushers
from schemas import load_catalogue

PARTS = frozenset({"gateway", "dispatcher", "inbox", "sequencer", "tiles"})
SERVING = frozenset({"gateway", "inbox", "tiles"})
EMBEDDED = "sqlite:"
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
LOOK_SECONDS = 0.05
SIGNING_SECONDS = 30.0
ASK_SECONDS = 2.0
SILENCE_SECONDS = 6.0
"""How long the log may not answer before the process says that it is not ready."""

log_line = logger_of("hub")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the hub listens; `members` is 0 in a process that serves none."""

    members: int
    health: int


@dataclass(slots=True)
class _Readiness:
    """What the process waits for before it says that it is ready."""

    parts: dict[str, bool]
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def reached(self, part: str) -> None:
        """Take note that a part is ready."""
        self.parts[part] = True
        if all(self.parts.values()):
            self.changed.set()


async def run_hub(
    config: HubConfig,
    only: AbstractSet[str] | None = None,
    ready: Callable[[Ports], None] | None = None,
    *,
    clock: Clock | None = None,
    ask: Ask | None = None,
) -> None:
    """Run the hub, or the parts in `only`, until cancelled; call `ready` once members are served.

    `ask` says passphrases and PINs, else the file that the settings name.

    Raises:
        BadConfiguration: The configuration, a key, the directory or the log cannot be used.
        LogUnavailable: The log cannot be opened.
        NotCanonical: A record of the log cannot be read; nothing goes on past it.
    """
    parts = _parts(config, only)
    if ask is None:
        file = config.keys.passphrase_file
        ask = nobody if file is None else from_file(config.path(file))
    async with open_log(config.log_url, tls=tls_of(config)) as log:
        await _Hub(config, parts, log, clock or SystemClock(), ask).run(ready)


def _parts(config: HubConfig, only: AbstractSet[str] | None) -> AbstractSet[str]:
    if only is None:
        return PARTS
    if not only or not only <= PARTS:
        raise BadConfiguration(f"parts are {', '.join(sorted(PARTS))}", field="only")
    if config.log.startswith(EMBEDDED):
        raise BadConfiguration(
            "the embedded log is one file of one process, so its hub is one process, too; "
            'parts run apart on Kafka: log = "kafka://host:port" in hub.toml',
            field="only",
        )
    return only


class _Hub:
    """One process of the hub."""

    def __init__(
        self, config: HubConfig, parts: AbstractSet[str], log: Log, clock: Clock, ask: Ask = nobody
    ) -> None:
        self._config = config
        self._ask = ask
        self._parts = parts
        self._log = log
        self._clock = clock
        self._metrics = Metrics()
        # Beside the configuration: the system's own folder for such things may be in memory.
        self._scratch = Scratch(config.root)
        self._down: set[str] = set()
        self._answered_at = 0.0
        self._ports = {"members": 0, "health": 0}
        self._source = source_in(config.path(config.directory), clock)
        self._directory = CurrentDirectory(
            self._source, log, seconds=config.directory_seconds, ends_at=self._directory_ends_at
        )

    async def run(self, ready: Callable[[Ports], None] | None) -> None:
        """Run until cancelled."""
        registry = await self._registry()
        await registry.begin()
        await self._directory.refresh()
        directory = self._directory.value
        if directory.network != self._config.network:
            raise BadConfiguration(
                f"the directory is that of network {directory.network}", field="hub.toml: network"
            )
        serves = bool(self._parts & SERVING)
        readiness = _Readiness({"health": False, **dict.fromkeys(self._parts, False)})
        if serves:
            readiness.parts["members"] = False
        alone = self._config.log.startswith(EMBEDDED)
        ledger = Ledger(self._log, self._metrics, alone=alone, scratch=self._scratch)
        refused = Refusals(self._log, self._clock)
        services = self._services(ledger, refused, registry)
        # What can be wrong with files is said before anything runs.
        key = await self._key(self._config.keys.log) if "sequencer" in self._parts else None
        signer = None if key is None else self._signer(directory.log_key, key)
        server = self._server(services) if serves else None
        outside = list(outside_pushers(self._config.witnesses, services))
        async with asyncio.TaskGroup() as group:

            def keep(name: str, run: Callable[[], Awaitable[None]]) -> None:
                group.create_task(self._keep_running(name, run), name=name)

            keep("log", self._ask_log)
            keep("watch", self._watch(ledger).run)
            keep("directory", self._directory.run)
            if serves:
                keep("refusals", refused.run)
            if "gateway" in self._parts:
                readiness.reached("gateway")
            if "dispatcher" in self._parts:
                dispatcher = Dispatcher(
                    self._log, self._directory, self._clock, self._metrics, scratch=self._scratch
                )
                keep("dispatcher", dispatcher.run)
                group.create_task(self._when_working(readiness, "dispatcher"))
            if signer is not None:
                aside = Aside("the log's key", SIGNING_SECONDS) if isinstance(key, Elsewhere) else None
                sequencer = Sequencer(self._log, signer, self._clock, self._metrics, aside=aside)
                keep("sequencer", sequencer.run)
                group.create_task(self._when(sequencer.caught_up, readiness, "sequencer"))
            if "inbox" in self._parts:
                keep("ledger", ledger.run)
                keep("eraser", self._eraser(ledger).run)
                keep("index", Forgetting(self._config.root / INDEX_FILE, self._log).run)
                group.create_task(self._when(ledger.caught_up, readiness, "inbox"))
            for name, run in (*_background(services), *outside):
                keep(name, run)
            if services.tiles is not None:
                group.create_task(self._when(services.tiles.caught_up, readiness, "tiles"))
            if server is not None:
                group.create_task(server.run(self._listening(readiness, "members")))
            health = HealthServer(
                self._config.health.port,
                lambda: self._ready(readiness),
                services,
                Console(self._log, self._clock, self._config.root),
            )
            group.create_task(health.run(self._listening(readiness, "health")))
            await readiness.changed.wait()
            log_line.info("hub.ready", port=self._ports["members"], network=directory.network)
            if ready is not None:
                ready(Ports(self._ports["members"], self._ports["health"]))

    def _services(self, ledger: Ledger, refused: Refusals, registry: Registry) -> Services:
        limits = self._config.limits
        gateway = Gateway(
            self._log,
            self._directory,
            load_catalogue(),
            self._clock,
            self._metrics,
            rate=Rate(limits.notices_per_second, limits.notices_burst),
            refused=refused,
        )
        answers = "inbox" in self._parts
        return Services(
            directory=self._directory,
            clock=self._clock,
            metrics=self._metrics,
            limits=limits,
            refusals=refused,
            gateway=gateway if "gateway" in self._parts else None,
            inbox=Inbox(self._log, ledger, self._clock, self._metrics) if answers else None,
            ledger=ledger if answers else None,
            heads=Heads(self._log, ledger, self._directory, self._clock) if answers else None,
            registry=registry,
            cosignatures=self._cosignatures(ledger) if answers else None,
            tiles=self._tiles() if "tiles" in self._parts else None,
        )

    def _tiles(self) -> Tiles:
        return Tiles(self._log, TileFolder(self._config.path(self._config.tiles)), self._metrics)

    def _cosignatures(self, ledger: Ledger) -> Cosignatures:
        return Cosignatures(self._log, ledger, self._directory, self._clock, self._metrics)

    def _eraser(self, ledger: Ledger) -> Eraser:
        orders = Orders(self._config.root, self._config.network)
        return Eraser(self._log, ledger, orders, self._clock, self._metrics)

    async def _registry(self) -> Registry:
        """Return who hands out the directory.

        Raises:
            BadConfiguration: The online key cannot be used.
        """
        place, repository = self._config.keys.online, Repository(self._config.path(self._config.directory))
        here = place.token is not None or self._config.path(place.file).exists()
        # A process without the key hands out what another one signs.
        online = await self._key(place) if here else None
        return Registry(repository, self._source, self._directory, self._clock, online)

    def _directory_ends_at(self) -> int | None:
        newest = self._source.newest
        return None if newest is None else newest.expires_at

    def _watch(self, ledger: Ledger) -> Watch:
        config = self._config
        certificates = {
            path.name: read_certificate(path.read_bytes()).valid_until
            for path in (config.path(config.keys.certificate), config.path(config.keys.authority))
            if path.exists()
        }
        return Watch(
            self._log if "dispatcher" in self._parts else None,
            ledger if "inbox" in self._parts else None,
            self._directory,
            self._clock,
            self._metrics,
            folder=config.root,
            file=config.log_file,
            certificates=certificates,
        )

    def _server(self, services: Services) -> HubServer:
        keys, path = self._config.keys, self._config.path
        tls = server_context(path(keys.certificate), path(keys.tls), path(keys.authority))
        return HubServer(services, tls, self._config.listen.host, self._config.listen.port)

    async def _key(self, place: KeyPlace) -> Signer:
        """Return a key; a token that is not there is waited for.

        Raises:
            BadConfiguration: The key is not there, or cannot be used.
            KeyLocked: The token refuses the PIN.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return open_signer(place, self._config.root, self._ask)
            except KeyUnavailable as error:
                log_line.warning("key.waits", code=error.code)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _signer(self, log_key: str, key: Signer) -> LogSigner:
        """Return the log's signer.

        Raises:
            BadConfiguration: The key is not the one that members have pinned.
        """
        signer = LogSigner(LogKey.parse(log_key).name, key)
        if signer.vkey != log_key:
            raise BadConfiguration("not the log's key of the directory", field=self._config.keys.log.shown)
        return signer

    def _listening(self, readiness: _Readiness, part: str) -> Callable[[int], None]:
        def listening(port: int) -> None:
            self._ports[part] = port
            readiness.reached(part)

        return listening

    def _ready(self, readiness: _Readiness) -> dict[str, bool]:
        """Return, for each part, whether it can do its work now."""
        parts = dict(readiness.parts)
        for name, works in self._log.working().items():
            parts[name] = works and parts.get(name, True)
        ends_at = self._directory.ends_at()
        parts["directory"] = ends_at is None or self._clock.now() < ends_at
        parts["log"] = asyncio.get_running_loop().time() - self._answered_at < SILENCE_SECONDS
        return parts | dict.fromkeys(self._down, False)

    async def _ask_log(self) -> None:
        """Ask the log again and again, so that its silence is noticed when nobody wants anything of it."""
        while True:
            await self._log.ends([AUDIT_CHECKPOINTS], settled=False)
            self._answered_at = asyncio.get_running_loop().time()
            await asyncio.sleep(ASK_SECONDS)

    async def _when_working(self, readiness: _Readiness, part: str) -> None:
        while not self._log.working().get(part):  # noqa: ASYNC110  the log tells, and wakes nobody
            await asyncio.sleep(LOOK_SECONDS)
        readiness.reached(part)

    async def _when(self, event: asyncio.Event, readiness: _Readiness, part: str) -> None:
        await event.wait()
        readiness.reached(part)

    async def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a service; start it again, later and later, while the log or its key is out of reach."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_SECONDS
        task = asyncio.current_task()
        assert task is not None
        while True:
            started = loop.time()
            try:
                await run()
            except (LogUnavailable, KeyUnavailable, KeyLocked, Stalled, asyncio.CancelledError) as error:
                # What a library cancels would end the service without a word, and the rest would go on.
                if task.cancelling():
                    raise
                code = error.code if isinstance(error, Unavailable) else "cancelled"
                log_line.warning("service.restarted", service=name, code=code)
                self._down.add(name)
                self._metrics.restarts.labels(name).inc()
            if loop.time() - started > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            self._down.discard(name)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _background(services: Services) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Yield what runs of the services that members ask, by name."""
    if services.registry is not None and services.registry.takes_changes:
        yield "registry", services.registry.run
    if services.cosignatures is not None:
        yield "cosignatures", services.cosignatures.run
    if services.heads is not None:
        yield "heads", services.heads.run
    if services.tiles is not None:
        yield "tiles", services.tiles.run
