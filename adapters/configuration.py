"""The node's configuration file, `member.toml`, as a value.

Strict: a key that is not known is an error that names it.  Paths in the file are relative to the
folder in which the file lies.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from adapters.channels.settings import ChannelConfig, FolderSettings
from broker.core.errors import BadConfiguration
from broker.core.model import Region
from broker.keyring.place import KeyPlace
from broker.settings_file import load_settings

MEMBER_FILE = "member.toml"
CHANNEL_NAME = re.compile("[a-z0-9][a-z0-9-]{0,31}")


class HubAddress(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the hub is, and what makes it the hub.

    `url` may be several addresses of a hub that is spread, with spaces between them.  `pin` is the SHA-256
    of the public key in its certificate (hex), `log_key` the verifier key of its log.
    """

    url: str
    pin: str
    log_key: str
    authority: Path = Path("tls/authority.pem")


class NodeKeys(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Private keys, and certificates as PEM files.

    `sign` signs notices and receipts, `countersign` is the ML-DSA-65 key beside it, if there is one;
    `witness` cosigns the hub's log, if there is one; `directory` signs what the member says of itself and
    what it accedes to, and commands alone use it.  Each is a file or a key on a token.  `passphrase_file`
    holds the passphrase of files that are encrypted, and the PIN of a token that names no source of its own.
    """

    sign: KeyPlace = KeyPlace("keys/sign.pem")
    countersign: KeyPlace | None = None
    witness: KeyPlace | None = None
    directory: KeyPlace = KeyPlace("keys/directory.pem")
    passphrase_file: Path | None = None
    tls: Path = Path("keys/tls.pem")
    certificate: Path = Path("tls/member.pem")


class NodeHealth(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where `/health`, `/ready` and `/metrics` answer, on the loopback address only.  0 takes a free port."""

    port: int = 8445


class NodeApi(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the member's own systems reach the node, on the loopback address only.  0 takes a free port."""

    port: int = 8446
    connections: int = 64
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0


class NodeFeedback(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Feedback that is asked of this member: `remind_days` before it is due, the node reminds of it."""

    remind_days: Annotated[float, Meta(ge=0, le=365)] = 1.0


class NodeWitness(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose cosignatures are enough, and where this node's witness can be asked for its own.

    `quorum` is how many members must have cosigned what covers a delivery, more than half of those that have
    a witness key without it; `policy` is a C2SP tlog-policy file instead.  `listen` is an address and a port,
    such as `192.0.2.7:8447`, at which it answers add-checkpoint to whoever asks: hubs and other witnesses.
    """

    quorum: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    policy: Path | None = None
    listen: str | None = None


class NodeConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of `member.toml`.

    `hub` is there once the member has joined, `api` if the member's own systems may ask.  `region` is what
    notices lead in that name none; without it the member's first region in the directory.
    """

    member: str
    network: str
    region: str | None = None
    directory: Path = Path("directory")
    store: Path = Path("node.db")
    hub: HubAddress | None = None
    keys: NodeKeys = field(default_factory=NodeKeys)
    health: NodeHealth = field(default_factory=NodeHealth)
    feedback: NodeFeedback = field(default_factory=NodeFeedback)
    api: NodeApi | None = None
    witness: NodeWitness = field(default_factory=NodeWitness)
    channels: dict[str, ChannelConfig] = field(default_factory=lambda: {"folder": FolderSettings()})
    root: Path = Path()

    def path(self, relative: Path) -> Path:
        """Return a path of the file as seen from here."""
        return self.root / relative

    @property
    def store_path(self) -> Path:
        """Where the node's store is."""
        return self.path(self.store)

    @property
    def leading_region(self) -> Region | None:
        """The region that notices lead in if they name none, where the file says."""
        return None if self.region is None else Region[self.region.upper().replace("-", "_")]

    @property
    def joined(self) -> HubAddress:
        """Where the hub is.

        Raises:
            BadConfiguration: The member has not joined yet.
        """
        if self.hub is None:
            raise BadConfiguration("has no [hub]: `halong member join` writes it", field=MEMBER_FILE)
        return self.hub


def load_node_config(folder: Path) -> NodeConfig:
    """Return the configuration of the node in `folder`.

    Raises:
        BadConfiguration: The file cannot be used; names it, and the key.
    """
    path = folder / MEMBER_FILE
    found = load_settings(path, NodeConfig, "halong member join INVITATION", _complete)
    if found.region is not None and found.region not in {region.slug for region in Region}:
        raise BadConfiguration(
            f"region is one of {', '.join(region.slug for region in Region)}", field=str(path)
        )
    if found.hub is not None and (
        len(found.hub.pin) != 64 or not set(found.hub.pin) <= set("0123456789abcdef")
    ):
        raise BadConfiguration("hub.pin is not 64 hexadecimal digits", field=str(path))
    for name, channel in found.channels.items():
        where = f"{path}: channels.{name}"
        if not CHANNEL_NAME.fullmatch(name):
            raise BadConfiguration("a channel's name is of a-z, 0-9 and -, at most 32", field=where)
        channel.check(where)
    return found


def _complete(values: dict[str, Any]) -> None:
    """Let a channel that names no kind be a folder, as it was before there were others."""
    channels = values.get("channels")
    for channel in channels.values() if isinstance(channels, dict) else ():
        if isinstance(channel, dict):
            channel.setdefault("kind", "folder")
