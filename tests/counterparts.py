"""The other sides of channels, all real: an HTTPS server, a mail server, databases, a cluster, a script.

Each can fail, hang, and never take one notice: the one whose place begins with `poison`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import psycopg
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from adapters.channels import Channel
from adapters.configuration import MEMBER_FILE, NodeConfig, load_node_config
from adapters.node import make_channels
from broker.demo.processes import free_port
from deploy.kafka.tls import make_certificates
from deploy.postgres.server import PostgresServer
from tests.nodes import TestNode

POISON = "poison" + "x" * 16_000
"""A place that no other side takes; longer than the topic takes."""

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwCODEwZ7NyhQ="


@dataclass(frozen=True, slots=True)
class Arrived:
    """Something that came over, and what it was."""

    delivery: str
    said: Any


@dataclass
class Counterpart:
    """One other side; `exact` says that each delivery is there once, whatever happens."""

    folder: Path
    settings: str = ""
    exact: bool = False
    poisonous: bool = True
    arrivals: list[Arrived] = field(default_factory=list)

    kind = ""

    async def arrived(self) -> list[Arrived]:
        """All that came, in its order, repeats included."""
        return list(self.arrivals)

    async def fail(self) -> None:
        """Take nothing until mended."""

    async def hang(self, node: TestNode) -> None:
        """Answer nothing until mended."""

    async def mend(self) -> None:
        """Be well again."""

    def config(self, more: str = "") -> NodeConfig:
        """A node's configuration with this one channel, which is called `side`."""
        text = f'member = "jp"\nnetwork = "n"\n[channels.side]\nkind = "{self.kind}"\n{self.settings}{more}'
        (self.folder / MEMBER_FILE).write_text(text)
        return load_node_config(self.folder)

    def channel(self, more: str = "") -> Channel:
        """The channel to here, made from its configuration."""
        (channel,) = make_channels(self.config(more))
        return channel


# --- files and processes -------------------------------------------------------------------------------


@dataclass
class Folder(Counterpart):
    kind = "folder"

    def __post_init__(self) -> None:
        self.settings = f'path = "{self.inbox}"\n'

    @property
    def inbox(self) -> Path:
        return self.folder / "side-inbox"

    async def arrived(self) -> list[Arrived]:
        found = [json.loads(path.read_bytes()) for path in sorted(self.inbox.rglob("*.json"))]
        return [Arrived(each["delivery"], each) for each in found]

    async def fail(self) -> None:
        if self.inbox.exists():
            self.inbox.rename(self.folder / "away")
        self.inbox.write_text("in the way")

    async def hang(self, node: TestNode) -> None:
        """A pipe that nobody reads, where the first file would be written."""
        ((id_, lane, sequence),) = node.store.rows(
            "SELECT id, lane, sequence FROM deliveries ORDER BY place LIMIT 1"
        )
        folder = self.inbox / lane
        folder.mkdir(parents=True, exist_ok=True)
        self.pipe = folder / f".{sequence:010d}-{id_.hex()[:16]}.html.side.part"
        os.mkfifo(self.pipe)

    async def mend(self) -> None:
        if self.inbox.is_file():
            self.inbox.unlink()
            if (self.folder / "away").exists():
                (self.folder / "away").rename(self.inbox)
        else:
            reader = os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK)
            self.pipe.unlink()
            os.close(reader)


SCRIPT = """\
#!/bin/sh
# What a member might write: one line for each notice.
cd "$(dirname "$0")" || exit 75
[ -e fail ] && exit 75
[ -e hang ] && sleep 600
line=$(cat)
# A node that dies leaves its command with half a delivery: the whole one ends with a brace.
case "$line" in *\\}) ;; *) exit 75 ;; esac
case "$line" in *poison*) exit 3 ;; esac
printf '%s\\n' "$line" >>arrived.jsonl
env | grep -v -e '^_=' -e '^PWD=' -e '^OLDPWD=' -e '^SHLVL=' >environment
"""


@dataclass
class Script(Counterpart):
    kind = "exec"

    def __post_init__(self) -> None:
        path = self.folder / "take.sh"
        path.write_text(SCRIPT)
        path.chmod(0o755)
        self.settings = f'command = ["{path}"]\nattempts = 2\n'

    async def arrived(self) -> list[Arrived]:
        path = self.folder / "arrived.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [Arrived(each["delivery"], each) for each in map(json.loads, lines)]

    async def fail(self) -> None:
        (self.folder / "fail").touch()

    async def hang(self, node: TestNode) -> None:
        (self.folder / "hang").touch()

    async def mend(self) -> None:
        for name in ("fail", "hang"):
            (self.folder / name).unlink(missing_ok=True)


# --- servers -------------------------------------------------------------------------------------------


@dataclass
class Posted:
    """A request as it came."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Web(Counterpart):
    """An HTTPS server; `answers` are given before the usual one."""

    kind = "webhook"
    answers: list[web.Response] = field(default_factory=list)
    requests: list[Posted] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    failing: bool = False

    def __post_init__(self) -> None:
        self.hanging.set()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append(Posted(dict(request.headers), body))
        await self.hanging.wait()
        if self.failing:
            return web.Response(status=503)
        if self.answers:
            return self.answers.pop(0)
        said = json.loads(body)
        if b"poison" in body:
            return web.Response(status=422)
        self.arrivals.append(Arrived(said["delivery"], said))
        return web.Response(status=204)

    async def fail(self) -> None:
        self.failing = True

    async def hang(self, node: TestNode) -> None:
        self.hanging.clear()

    async def mend(self) -> None:
        self.failing = False
        self.hanging.set()

    @asynccontextmanager
    async def serving(self, *, mutual: bool = False) -> AsyncIterator[None]:
        tls = self.folder / "tls"
        make_certificates(tls, ["server", "client"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls / "ca.pem")
        context.load_cert_chain(tls / "server.pem", tls / "server.key")
        context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
        app = web.Application()
        app.router.add_post("/notices", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
            secret = self.folder / "webhook.secret"
            secret.write_text(SECRET + "\n")
            secret.chmod(0o600)
            self.url = f"https://localhost:{runner.addresses[0][1]}/notices"
            self.settings = f'url = "{self.url}"\nsecret_file = "{secret}"\nauthority = "{tls / "ca.pem"}"\n'
            yield
        finally:
            self.hanging.set()
            await runner.cleanup()


DROP = "drop"


def _stage(command: str) -> Callable[[SMTP, str], Awaitable[None]]:
    """A command of a mail server that does first what `Mail.faults` says, once each."""
    inherited = getattr(SMTP, f"smtp_{command}")

    async def at(self: SMTP, argument: str) -> None:
        faults = self.event_handler.faults.get(command)
        if not faults:
            await inherited(self, argument)
        elif (fault := faults.pop(0)) == DROP:
            self.transport.abort()
        else:
            await self.push(fault)

    return at


_COMMANDS = ("EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "QUIT")
_FAULTY = type("FaultySmtp", (SMTP,), {f"smtp_{each}": _stage(each) for each in _COMMANDS})


class _FaultyController(Controller):
    def factory(self) -> SMTP:
        faulty: SMTP = _FAULTY(self.handler, **self.SMTP_kwargs)
        return faulty


@dataclass
class Mail(Counterpart):
    """A mail server with STARTTLS and a password.

    `faults` are answers by command, given once each instead of the right one; `DROP` drops the connection.
    Under `TAKEN` it is dropped once a mail was taken, before that is answered; `looks_seconds` is how long
    the server looks at a mail before it answers.
    """

    kind = "mail"
    mails: list[EmailMessage] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    looks_seconds: float = 0.0
    failing: bool = False
    hangs: bool = False

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        if self.hangs:
            await asyncio.Event().wait()
        if self.failing:
            return "451 not now"
        assert isinstance(envelope.content, bytes)
        if b"poison" in envelope.content:
            return "554 never"
        mail = message_from_bytes(envelope.content, policy=default)
        self.mails.append(mail)
        found = re.fullmatch(r"<([0-9a-f]{64})@.*>", mail["Message-ID"].strip())
        assert found is not None
        body = mail.get_body(("plain",))
        assert body is not None
        self.arrivals.append(Arrived(found[1], body.get_content()))
        await asyncio.sleep(self.looks_seconds)
        if self.faults.get("TAKEN"):
            self.faults["TAKEN"].pop(0)
            server.transport.abort()
        return "250 taken"

    async def fail(self) -> None:
        self.failing = True

    async def hang(self, node: TestNode) -> None:
        self.hangs = True

    async def mend(self) -> None:
        self.failing = self.hangs = False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        tls = self.folder / "tls"
        make_certificates(tls, ["server"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls / "server.pem", tls / "server.key")

        def known(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
            right = (data.login, data.password) == (b"halong", b"geheim")
            return AuthResult(success=right, handled=False)

        controller = _FaultyController(
            self,
            hostname="127.0.0.1",
            port=0,
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=known,
        )
        # With port 0 the controller would look for itself in the wrong place: it is told its socket's port.
        controller.port = free_port()
        await asyncio.to_thread(controller.start)
        password = self.folder / "mail.password"
        password.write_text("geheim\n")
        password.chmod(0o600)
        self.settings = (
            f'host = "localhost"\nport = {controller.port}\nauthority = "{tls / "ca.pem"}"\n'
            f'username = "halong"\npassword_file = "{password}"\nsender = "halong@node.example"\n'
            'recipients = ["desk@customs.example", "night@customs.example"]\ntlp = "AMBER"\n'
        )
        try:
            yield
        finally:
            await asyncio.to_thread(controller.stop)


# --- databases and clusters ------------------------------------------------------------------------------


@dataclass
class Sqlite(Counterpart):
    kind = "sql"

    def __post_init__(self) -> None:
        self.exact = True
        self.path = self.folder / "own.db"
        self.settings = f'url = "sqlite:///{self.path}"\n'

    async def prepare(self) -> None:
        await self.channel().create()  # type: ignore[attr-defined]
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.execute(
                "CREATE TRIGGER never BEFORE INSERT ON halong_notice WHEN NEW.notice LIKE '%poison%'"
                " BEGIN SELECT RAISE(ABORT, 'never'); END"
            )
            connection.execute("CREATE TABLE arrivals (delivery TEXT, shown TEXT)")
            connection.execute(
                "CREATE TRIGGER arrived AFTER INSERT ON halong_notice"
                " BEGIN INSERT INTO arrivals VALUES (NEW.delivery, NEW.shown); END"
            )

    async def arrived(self) -> list[Arrived]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT delivery, shown FROM arrivals ORDER BY rowid").fetchall()
        return [Arrived(delivery, json.loads(said)) for delivery, said in rows]

    async def fail(self) -> None:
        self.path.rename(self.folder / "away.db")

    async def hang(self, node: TestNode) -> None:
        self.lock = sqlite3.connect(self.path, isolation_level=None)
        self.lock.execute("BEGIN IMMEDIATE")

    async def mend(self) -> None:
        if (self.folder / "away.db").exists():
            (self.folder / "away.db").rename(self.path)
        else:
            self.lock.close()


@dataclass
class Postgres(Counterpart):
    kind = "sql"
    server: PostgresServer | None = None

    def __post_init__(self) -> None:
        assert self.server is not None
        self.exact = True
        self.table = f"t{os.urandom(6).hex()}"
        password = self.folder / "postgres.password"
        password.write_text(self.server.password)
        password.chmod(0o600)
        self.settings = (
            f'url = "{self.server.url}"\ntable = "{self.table}"\npassword_file = "{password}"\n'
            f'authority = "{self.server.authority}"\n'
        )

    def _connect(self) -> psycopg.Connection[Any]:
        assert self.server is not None
        return psycopg.connect(self.server.url, password=self.server.password, autocommit=True)

    async def prepare(self) -> None:
        await self.channel().create()  # type: ignore[attr-defined]
        with self._connect() as connection:
            connection.execute(
                f"ALTER TABLE {self.table} ADD CONSTRAINT never CHECK (notice::text NOT LIKE '%poison%')"
            )
            connection.execute(
                f"CREATE TABLE {self.table}_arrivals (number serial, delivery text, shown jsonb)"
            )
            connection.execute(
                f"CREATE FUNCTION {self.table}_arrive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" INSERT INTO {self.table}_arrivals (delivery, shown) VALUES (NEW.delivery, NEW.shown);"
                " RETURN NULL; END $$"
            )
            connection.execute(
                f"CREATE TRIGGER arrived AFTER INSERT ON {self.table}"
                f" FOR EACH ROW EXECUTE FUNCTION {self.table}_arrive()"
            )

    async def arrived(self) -> list[Arrived]:
        with self._connect() as connection:
            rows = connection.execute(
                f"SELECT delivery, shown FROM {self.table}_arrivals ORDER BY number"
            ).fetchall()
        return [Arrived(*row) for row in rows]

    async def fail(self) -> None:
        with self._connect() as connection:
            connection.execute(f"ALTER TABLE {self.table} RENAME TO {self.table}_away")

    async def hang(self, node: TestNode) -> None:
        self.lock = self._connect()
        self.lock.execute("BEGIN")
        self.lock.execute(f"LOCK TABLE {self.table} IN ACCESS EXCLUSIVE MODE")

    async def mend(self) -> None:
        if hasattr(self, "lock"):
            self.lock.close()
            return
        with self._connect() as connection:
            connection.execute(f"ALTER TABLE {self.table}_away RENAME TO {self.table}")


@dataclass
class Cluster(Counterpart):
    """A topic that takes records of a few kilobytes; in front of the cluster nothing, or what hangs."""

    kind = "kafka"
    bootstrap: str = ""

    def __post_init__(self) -> None:
        self.exact = True
        self.topic = f"mirror-{os.urandom(6).hex()}"
        self._point_to(self.bootstrap)

    def _point_to(self, bootstrap: str) -> None:
        self.settings = f'bootstrap = {json.dumps(bootstrap.split(","))}\ntopic = "{self.topic}"\n'

    async def prepare(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics(
                [NewTopic(self.topic, 1, 1, topic_configs={"max.message.bytes": "16000"})]
            )
        finally:
            await admin.close()

    async def arrived(self) -> list[Arrived]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level="read_committed", enable_auto_commit=False
        )
        await consumer.start()
        try:
            there = TopicPartition(self.topic, 0)
            consumer.assign([there])
            await consumer.seek_to_beginning(there)
            end = (await consumer.end_offsets([there]))[there]
            found: list[Arrived] = []
            while await consumer.position(there) < end:
                records = (await consumer.getmany(there, timeout_ms=200)).get(there, [])
                found += [Arrived(_delivery(each.headers), json.loads(each.value)) for each in records]
            return found
        finally:
            await consumer.stop()


def _delivery(headers: Sequence[tuple[str, bytes]]) -> str:
    return dict(headers)["halong-delivery"].decode()


KINDS = ("folder", "webhook", "mail", "sql-sqlite", "sql-postgres", "kafka", "exec")


@asynccontextmanager
async def counterpart(kind: str, folder: Path, resource: Callable[[str], Any]) -> AsyncIterator[Counterpart]:
    """The other side of a kind; `resource` returns a fixture by its name."""
    async with AsyncExitStack() as stack:
        match kind:
            case "folder":
                yield Folder(folder, poisonous=False)
            case "exec":
                yield Script(folder)
            case "webhook":
                server = Web(folder)
                await stack.enter_async_context(server.serving())
                yield server
            case "mail":
                mail = Mail(folder)
                await stack.enter_async_context(mail.serving())
                yield mail
            case "sql-sqlite":
                file = Sqlite(folder)
                await file.prepare()
                yield file
            case "sql-postgres":
                database = Postgres(folder, server=resource("postgres"))
                await database.prepare()
                yield database
            case "kafka":
                cluster = Cluster(folder, bootstrap=resource("kafka"))
                await cluster.prepare()
                yield cluster
            case _:
                raise ValueError(kind)
