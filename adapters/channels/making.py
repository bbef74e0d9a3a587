"""Channels from their settings.  A kind's library is loaded only when such a channel is configured.

Decides how secrets and TLS files become what channels use, and what an error says when an extra is missing.
"""

from __future__ import annotations

import ssl
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, assert_never

from adapters.channels import Channel
from adapters.channels.folder import FolderChannel
from adapters.channels.settings import (
    ChannelConfig,
    ExecSettings,
    FolderSettings,
    KafkaSettings,
    MailSettings,
    SqlSettings,
    WebhookSettings,
    is_loopback,
)
from broker.clock import Clock, SystemClock
from broker.core.errors import BadConfiguration

EXTRAS = {"aiosmtplib": "mail", "psycopg": "sql", "aiokafka": "kafka", "aiohttp": "member"}
MOST_SECRET_BYTES = 4096


def make_channel(
    name: str, settings: ChannelConfig, member: str, root: Path, clock: Clock | None = None
) -> Channel:
    """Return the channel that is configured under `name` at the node of `member` in the folder `root`.

    Raises:
        BadConfiguration: A file that it names cannot be used, or the extra that it needs is not installed.
    """
    common: dict[str, Any] = {"statuses": settings.taken, "name": name}
    match settings:
        case FolderSettings():
            path, language = root / settings.path, settings.language
            return FolderChannel(path, language=language, pages=settings.pages, mode=settings.mode, **common)
        case ExecSettings():
            module = import_module("adapters.channels.exec")
            return _typed(module.ExecChannel(settings.command, root, attempts=settings.attempts, **common))
        case WebhookSettings():
            return _webhook(settings, root, clock or SystemClock(), common)
        case MailSettings():
            return _mail(settings, root, common)
        case SqlSettings():
            return _sql(settings, f"{member}/{name}", root, common)
        case KafkaSettings():
            module = _load("adapters.channels.kafka")
            context = None
            if settings.authority is not None:
                context = _context(root, settings.authority, settings.certificate, settings.key)
            place = f"{member}/{name}"
            return _typed(
                module.KafkaChannel(
                    settings.bootstrap, settings.topic, place=place, context=context, **common
                )
            )
        case _:
            assert_never(settings)


def _webhook(settings: WebhookSettings, root: Path, clock: Clock, common: dict[str, Any]) -> Channel:
    module = _load("adapters.channels.webhook")
    secrets = (
        () if settings.secret_file is None else module.load_secrets(_private(root / settings.secret_file))
    )
    context = _context(root, settings.authority, settings.certificate, settings.key)
    return _typed(module.WebhookChannel(settings.url, clock, secrets=secrets, context=context, **common))


def _mail(settings: MailSettings, root: Path, common: dict[str, Any]) -> Channel:
    module = _load("adapters.channels.mail")
    server = module.MailServer(
        settings.host,
        settings.port,
        _context(root, settings.authority, None, None),
        implicit=settings.tls == "implicit",
        username=settings.username,
        password=None if settings.password_file is None else _secret(root / settings.password_file),
    )
    return _typed(
        module.MailChannel(
            server,
            settings.sender,
            settings.recipients,
            ceiling=settings.ceiling,
            language=settings.language,
            **common,
        )
    )


def _sql(settings: SqlSettings, place: str, root: Path, common: dict[str, Any]) -> Channel:
    common |= {"place": place, "table": settings.table}
    if settings.is_sqlite:
        module = import_module("adapters.channels.sql_sqlite")
        return _typed(module.SqliteChannel(root / settings.url.removeprefix("sqlite:///"), **common))
    module = _load("adapters.channels.sql_postgres")
    options = {}
    if settings.password_file is not None:
        options["password"] = _secret(root / settings.password_file)
    if settings.authority is not None:
        options |= {"sslmode": "verify-full", "sslrootcert": str(root / settings.authority)}
    elif not all(map(_is_local, module.hosts_of(settings.url))):
        options |= {"sslmode": "verify-full", "sslrootcert": "system"}
    return _typed(module.PostgresChannel(settings.url, options, **common))


def _is_local(host: str) -> bool:
    """Say whether a host of libpq's is this machine: by name, or a socket in the file system."""
    return not host or host.startswith(("/", "@")) or is_loopback(host)


def _typed(channel: Any) -> Channel:
    """Return a channel of a module that was loaded by its name."""
    made: Channel = channel
    return made


def _load(module: str) -> ModuleType:
    """Import a channel's module, or say which extra it needs."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise BadConfiguration(
            f"needs {error.name}: pip install 'halong[{extra}]'", field=module.rpartition(".")[2]
        ) from None


def _context(
    root: Path, authority: Path | None, certificate: Path | None, key: Path | None
) -> ssl.SSLContext:
    """Return the context that checks a server by this CA, or by the system's."""
    try:
        context = ssl.create_default_context(cafile=None if authority is None else root / authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None and key is not None:
            context.load_cert_chain(root / certificate, root / key)
    except OSError as error:  # of which SSLError is one
        named = ", ".join(str(each) for each in (authority, certificate, key) if each is not None)
        raise BadConfiguration(
            f"the TLS files cannot be used: {error.strerror or type(error).__name__}", field=named
        ) from None
    return context


def _secret(path: Path) -> str:
    """Return a password that is alone in its file."""
    try:
        secret = _private(path).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(
            f"the password cannot be read: {type(error).__name__}", field=str(path)
        ) from None
    if not secret or "\n" in secret or len(secret) > MOST_SECRET_BYTES:
        raise BadConfiguration("is not one line with the password", field=str(path))
    return secret


def _private(path: Path) -> Path:
    """Let a file with a secret pass that others of the machine cannot read."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise BadConfiguration(f"cannot be read: {error.strerror}", field=str(path)) from None
    if mode & 0o007:
        raise BadConfiguration("others may read this secret: chmod 640 or 600", field=str(path))
    return path
