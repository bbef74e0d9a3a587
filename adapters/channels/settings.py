"""The settings of channels, as `member.toml` has them under `[channels.<name>]`; `kind` tells which.

Strict: an unknown key is an error that names it.  A secret is never in the file: it is in a file of its own,
named here, that only the node's user may read.  Paths are relative to the node's folder.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from adapters.channels.terms import Terms
from broker.core.errors import BadConfiguration
from broker.core.model import Status, Tlp

Seconds = Annotated[float, Meta(gt=0, le=3_600)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Text = Annotated[str, Meta(min_length=1, max_length=1_000)]
TLP_NAMES = Literal["CLEAR", "GREEN", "AMBER", "AMBER_STRICT", "RED"]

_TABLE = re.compile(r"[a-z_][a-z0-9_]{0,49}(\.[a-z_][a-z0-9_]{0,49})?")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}")


class Settings(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="kind"
):
    """What every channel can be told: which statuses it takes, and what follows from failures (`Terms`)."""

    statuses: tuple[Literal["ACTUAL", "EXERCISE", "TEST"], ...] = ("ACTUAL",)
    timeout_seconds: Seconds = 60.0
    give_up_attempts: Annotated[int, Meta(ge=0)] = 0
    give_up_hours: Annotated[float, Meta(ge=0)] = 24.0
    circuit_failures: Annotated[int, Meta(ge=1)] = 5
    circuit_seconds: Seconds = 60.0

    @property
    def taken(self) -> frozenset[Status]:
        """The statuses that the channel takes."""
        return frozenset(Status[each] for each in self.statuses)

    @property
    def terms(self) -> Terms:
        """What the channel is allowed."""
        return Terms(
            self.timeout_seconds,
            self.give_up_attempts,
            self.give_up_hours,
            self.circuit_failures,
            self.circuit_seconds,
        )

    def check(self, where: str) -> None:
        """Let settings pass that can be meant; `where` is what an error names.

        Raises:
            BadConfiguration: They contradict each other, or would send in clear.
        """


class FolderSettings(Settings, frozen=True, kw_only=True, tag="folder"):
    """Files in a folder.  `language` is what pages show first; `mode` is that of the files."""

    path: Path = Path("inbox")
    language: Literal["en", "vi"] = "en"
    pages: bool = True
    mode: Annotated[int, Meta(ge=0o400, le=0o777)] = 0o640


class WebhookSettings(Settings, frozen=True, kw_only=True, tag="webhook"):
    """An HTTPS address that takes each notice as JSON.

    `secret_file` has the shared secret (Standard Webhooks: `whsec_…`); `certificate` and `key` are for mutual
    TLS; at least one of both ways.  `authority` is the CA of the server, instead of the system's.
    """

    url: Text
    secret_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    def check(self, where: str) -> None:
        """See `Settings.check`."""
        address = urlsplit(self.url)
        if address.username is not None or address.password is not None:
            raise BadConfiguration("url has a password in it; use secret_file", field=where)
        if not address.hostname or address.scheme not in {"http", "https"}:
            raise BadConfiguration("url is no https address", field=where)
        if address.scheme == "http" and not is_loopback(address.hostname):
            raise BadConfiguration("url is http, which is for this machine alone", field=where)
        if (self.certificate is None) != (self.key is None):
            raise BadConfiguration("certificate and key go together", field=where)
        if self.secret_file is None and self.certificate is None:
            raise BadConfiguration(
                "needs secret_file, or certificate and key: or anybody could post", field=where
            )


class MailSettings(Settings, frozen=True, kw_only=True, tag="mail"):
    """A mail for each notice, by SMTP with TLS.

    `tlp` is the highest mark whose content may be mailed; of a notice above it the mail says only that it
    waits at the node.
    """

    host: Text
    port: Port = 587
    tls: Literal["starttls", "implicit"] = "starttls"
    authority: Path | None = None
    username: Text | None = None
    password_file: Path | None = None
    sender: Text
    recipients: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=50)]
    tlp: TLP_NAMES = "GREEN"
    language: Literal["en", "vi"] = "en"

    @property
    def ceiling(self) -> Tlp:
        """The highest mark whose content may be mailed."""
        return Tlp[self.tlp]

    def check(self, where: str) -> None:
        """See `Settings.check`."""
        for address in (self.sender, *self.recipients):
            if not re.fullmatch(r"[^@\s<>,;\x00-\x1f]+@[A-Za-z0-9.-]+", address):
                raise BadConfiguration("sender or recipients has something that is no address", field=where)
        if (self.username is None) != (self.password_file is None):
            raise BadConfiguration("username and password_file go together", field=where)


class SqlSettings(Settings, frozen=True, kw_only=True, tag="sql"):
    """A table of the member's own, in PostgreSQL or SQLite.

    `url` is `postgresql://user@host:port/database` or `sqlite:///path`; a password is in `password_file`.
    """

    url: Text
    table: Text = "halong_notice"
    password_file: Path | None = None
    authority: Path | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether the table is in a file."""
        return self.url.startswith("sqlite:///")

    def check(self, where: str) -> None:
        """See `Settings.check`."""
        address = urlsplit(self.url)
        if not self.is_sqlite and address.scheme not in {"postgresql", "postgres"}:
            raise BadConfiguration("url is neither postgresql:// nor sqlite:///", field=where)
        if address.password is not None or "password=" in address.query:
            raise BadConfiguration("url has a password in it; use password_file", field=where)
        if not _TABLE.fullmatch(self.table) or (self.is_sqlite and "." in self.table):
            raise BadConfiguration("table is no plain name", field=where)


class KafkaSettings(Settings, frozen=True, kw_only=True, tag="kafka"):
    """A topic of the member's own cluster.  TLS by `authority`, mutual with `certificate` and `key`."""

    bootstrap: Annotated[tuple[Text, ...], Meta(min_length=1)]
    topic: Text
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def check(self, where: str) -> None:
        """See `Settings.check`."""
        if not _TOPIC.fullmatch(self.topic):
            raise BadConfiguration("topic is no name of a topic", field=where)
        if (self.certificate is None) != (self.key is None):
            raise BadConfiguration("certificate and key go together", field=where)
        hosts = [each.rpartition(":")[0] for each in self.bootstrap]
        if self.authority is None and self.certificate is not None:
            raise BadConfiguration("certificate needs authority, or nothing would be encrypted", field=where)
        if self.authority is None and not all(map(is_loopback, hosts)):
            raise BadConfiguration("needs authority: without TLS only this machine is reached", field=where)


class ExecSettings(Settings, frozen=True, kw_only=True, tag="exec"):
    """A command for each notice: program and arguments, without a shell.

    `attempts` is how often it may fail with one notice before that is a dead letter; exit code 75 does not
    count.
    """

    command: Annotated[tuple[Text, ...], Meta(min_length=1)]
    attempts: Annotated[int, Meta(ge=1)] = 3


ChannelConfig = FolderSettings | WebhookSettings | MailSettings | SqlSettings | KafkaSettings | ExecSettings


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine by its name, without asking anybody."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
