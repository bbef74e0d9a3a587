"""The demo's setting: five folders, one for each process, each with its own keys, certificate and store.

Made by the same functions as the commands of the ceremonies (`network`); a folder that is there is used
again, with keys and stores as they are.  Ports are free ones, so several demos can run at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.configuration import load_node_config
from adapters.member_folder import MemberPlan
from broker.commands import hub_folder
from broker.commands.hub_folder import HubPlan
from broker.configuration import HUB_FILE, load_hub_config
from broker.core.agreements import parse_agreement
from broker.core.directory import Directory, MemberClass
from broker.core.errors import BadConfiguration
from broker.core.model import Region
from broker.demo.attacks import Door, make_stranger
from broker.demo.network import Network
from broker.demo.processes import Service, free_port, halong

NETWORK = "halong-demo"
HOST = "127.0.0.1"
SCENARIO = Path(__file__).parent / "scenario"


@dataclass(frozen=True, slots=True)
class Role:
    """A member of the demo."""

    id: str
    name: str
    member_class: MemberClass
    regions: Sequence[Region]


CAST = (
    Role("vn", "Viet Nam Customs", MemberClass.CUSTOMS, [Region.ASIA_PACIFIC]),
    Role("jp", "Japan Customs", MemberClass.CUSTOMS, [Region.ASIA_PACIFIC]),
    Role("nl", "Customs Administration of the Netherlands", MemberClass.CUSTOMS, [Region.EUROPE]),
    Role("rilo-ap", "RILO Asia and the Pacific", MemberClass.RILO, [Region.ASIA_PACIFIC]),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """Where everything is."""

    folder: Path

    @property
    def network(self) -> Network:
        """The folders as a network: hub, secretariat and members."""
        return Network(self.folder)

    @property
    def hub(self) -> Path:
        """The hub's folder."""
        return self.folder / "hub"

    def member(self, member: str) -> Path:
        """Return a member's folder."""
        return self.folder / member

    def services(self) -> Iterator[Service]:
        """Yield the five processes, the hub first; none is started."""
        yield Service("hub", halong("hub", "--dir", str(self.hub)), self.hub)
        for role in CAST:
            folder = self.member(role.id)
            yield Service(role.id, halong("member", "--dir", str(folder)), folder)

    def directory(self) -> Directory:
        """Return the directory as it is now."""
        return self.network.directory()

    def door(self, member: str) -> Door:
        """Return how a member comes to the hub."""
        config = load_node_config(self.member(member))
        address = config.joined
        return Door(
            address.url,
            bytes.fromhex(address.pin),
            config.path(config.keys.certificate),
            config.path(config.keys.tls),
        )

    def stranger(self, now: int) -> Door:
        """Return how somebody comes to the hub whose key nobody lists."""
        config, known = load_hub_config(self.hub), self.door(CAST[0].id)
        certificate, key = make_stranger(
            self.folder / "stranger",
            NETWORK,
            config.path(config.keys.authority).read_bytes(),
            (self.hub / hub_folder.AUTHORITY_KEY).read_bytes(),
            now,
        )
        return Door(known.url, known.pin, certificate, key)


def log_address(folder: Path) -> str | None:
    """Return where the log of a setting that was built before is, or None if there is none."""
    hub = folder / "hub"
    return load_hub_config(hub).log if (hub / HUB_FILE).exists() else None


def agreements() -> dict[str, bytes]:
    """Return the demo's agreements by their ids."""
    return {path.stem: path.read_bytes() for path in sorted((SCENARIO / "agreements").glob("*.toml"))}


def build(folder: Path, log: str, without: Sequence[str], now: int) -> Setting:
    """Make the folders, or bring those that are there up to date, under all agreements but `without`.

    Raises:
        BadConfiguration: The folders are of something else, or were played under other agreements.
    """
    setting = Setting(folder)
    network = setting.network
    if (setting.hub / HUB_FILE).exists() and not network.secretariat.exists():
        raise BadConfiguration("this is not a folder of the demo", field=str(setting.hub / HUB_FILE))
    network.make(
        HubPlan(network=NETWORK, host=HOST, port=free_port(), name=HOST, health_port=0, log=log), now
    )
    network.admit(
        (
            MemberPlan(role.id, role.name, role.member_class, role.regions, NETWORK, health_port=0)
            for role in CAST
        ),
        now,
    )
    _accede(setting, without, now)
    network.welcome(role.id for role in CAST)
    return setting


def _accede(setting: Setting, without: Sequence[str], now: int) -> None:
    """Let every party accede to every agreement of the day, but `without`, to which it has not yet."""
    directory = setting.directory()
    listed = {agreement.id for agreement in directory.agreements}
    wanted: dict[str, list[bytes]] = {}
    for name, text in agreements().items():
        if name in without:
            if name in listed:
                raise BadConfiguration(
                    "this folder was played with that agreement", field=f"--without {name}"
                )
            continue
        agreement = parse_agreement(text, name)
        for party in sorted(agreement.parties & directory.members.keys()):
            if not directory.acceded(party, agreement):
                wanted.setdefault(party, []).append(text)
    if wanted:
        setting.network.accede(wanted, now)
