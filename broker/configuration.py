"""The hub's configuration file, `hub.toml`, as a value.

Strict: a key that is not known is an error that names it.  Paths in the file are relative to the
folder in which the file lies.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from msgspec import Struct, field
from msgspec.structs import replace

from broker.keyring.place import KeyPlace
from broker.log import Tls
from broker.settings_file import load_settings

HUB_FILE = "hub.toml"


class Listen(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where members connect.  Port 0 takes a free one."""

    host: str = "0.0.0.0"  # noqa: S104 - a hub is there to be reached; who may speak is decided by keys
    port: int = 8443


class Health(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where `/health`, `/ready` and `/metrics` answer, on the loopback address only."""

    port: int = 8444


class Keys(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Private keys, and certificates as PEM files.

    `log` signs checkpoints (Ed25519), `online` which version of the directory is the newest; each is
    a file or a key on a token.  `passphrase_file` holds their passphrase, or the PIN of a token that names no
    source of its own.  `authority` is the certificate of the authority that members' certificates come from.
    """

    log: KeyPlace = KeyPlace("keys/log.pem")
    online: KeyPlace = KeyPlace("keys/online.pem")
    passphrase_file: Path | None = None
    tls: Path = Path("keys/tls.pem")
    certificate: Path = Path("tls/hub.pem")
    authority: Path = Path("tls/authority.pem")


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one member may ask of the hub, and how long it may take."""

    notices_per_second: float = 500.0
    notices_burst: int = 4096
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 120.0
    handshake_seconds: float = 5.0
    poll_seconds: float = 60.0
    connections: int = 4096
    connections_per_key: int = 64


class Kafka(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to speak to a cluster that asks for certificates, as PEM files: its authority, and our own."""

    authority: Path
    certificate: Path
    key: Path


class OutsideWitness(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A witness that is no member's node, to which checkpoints are shown (c2sp.org/tlog-witness).

    `url` is what stands before `/add-checkpoint`; `key` is its verifier key, `<name>+<id>+<base64>`.
    """

    url: str
    key: str


class HubConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `hub.toml`.

    `network` is signed into every notice and must be the directory's.  `log` is `sqlite:///log.db`
    (relative; `sqlite:////var/lib/halong/log.db` is absolute) or `kafka://host:port`.  `root` is the folder
    of the file, and no key in it.
    """

    network: str
    log: str = "sqlite:///log.db"
    directory: Path = Path("directory")
    tiles: Path = Path("tiles")
    directory_seconds: float = 1.0
    listen: Listen = field(default_factory=Listen)
    health: Health = field(default_factory=Health)
    keys: Keys = field(default_factory=Keys)
    limits: Limits = field(default_factory=Limits)
    kafka: Kafka | None = None
    witnesses: tuple[OutsideWitness, ...] = ()
    root: Path = Path()

    def path(self, relative: Path) -> Path:
        """Return a path of the file as seen from here."""
        return self.root / relative

    def at(self, port: int | None, health_port: int | None) -> HubConfig:
        """Return the same for another process of the hub, which listens at these ports if they are given."""
        listen = self.listen if port is None else replace(self.listen, port=port)
        health = self.health if health_port is None else replace(self.health, port=health_port)
        return replace(self, listen=listen, health=health)

    @property
    def log_url(self) -> str:
        """The log's address as `open_log` takes it: with an absolute path."""
        prefix = "sqlite:///"
        if not self.log.startswith(prefix):
            return self.log
        return "sqlite://" + quote(str((self.root / self.log.removeprefix(prefix)).absolute()))

    @property
    def log_file(self) -> Path | None:
        """The embedded log's file, None on a cluster."""
        prefix = "sqlite:///"
        return self.root / self.log.removeprefix(prefix) if self.log.startswith(prefix) else None


def tls_of(config: HubConfig) -> Tls | None:
    """Return the files with which the hub speaks to its cluster, None where that asks for no certificates."""
    kafka = config.kafka
    if kafka is None:
        return None
    return Tls(config.path(kafka.authority), config.path(kafka.certificate), config.path(kafka.key))


def load_hub_config(folder: Path) -> HubConfig:
    """Return the configuration of the hub in `folder`.

    Raises:
        BadConfiguration: The file cannot be used; names it, and the key.
    """
    return load_settings(folder / HUB_FILE, HubConfig, "halong init hub")
