"""The folder of a hub: how it is made, and how its certificate is made again.

Keys are made here and stay here: the authority's, the hub's own for TLS, the log's, and the one that vouches
for the directory.  What comes into the directory is `hub_take`'s.  The commands that people type are `init`,
`hub`; the demo and tests use the same functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from broker.configuration import HUB_FILE, load_hub_config
from broker.core.errors import BadConfiguration
from broker.core.keys import Algorithm, PrivateKey
from broker.core.note import LogSigner
from broker.directory.admission import written
from broker.directory.certificates import host_of, make_authority, make_hub_certificate
from broker.directory.handing import hub_card
from broker.files import make_private_folder, write_key, write_whole

AUTHORITY_KEY = Path("keys/authority.pem")
ISSUED = Path("tls/issued")
CARD_FILE = "hub.json"
"""What the secretariat needs to know of a hub before there is a directory."""

HUB_TOML = """\
# The hub of the network {network}.  Paths are relative to this file.  `halong doctor` checks it.

network = "{network}"            # signed into every notice: what is signed for one network passes at no other
log = "{log}"   # or kafka://host:port; see docs/operate.md

# Members, keys and agreements; looked at every two seconds while the hub runs.
directory = "directory"          # with all past versions: decisions name the one under which they were made

[listen]                         # where members connect: TLS 1.3, certificates of this authority
host = "{host}"
port = {port}

[health]                         # /health, /ready and /metrics, on the loopback address only
port = {health_port}

[keys]
log = "keys/log.pem"             # signs checkpoints; whoever has it can fork the log; or pkcs11:…
online = "keys/online.pem"       # signs which version of the directory is the newest, and nothing else
tls = "keys/tls.pem"
certificate = "tls/hub.pem"
authority = "tls/authority.pem"

# [limits]                       # what one member may ask
# notices_per_second = 500.0
# notices_burst = 4096
"""


@dataclass(frozen=True, slots=True)
class HubPlan:
    """What `halong init hub` was told.  `name` is the host name or address by which members reach the hub."""

    network: str
    host: str
    port: int
    name: str
    health_port: int
    log: str = "sqlite:///log.db"


def make_hub(folder: Path, plan: HubPlan, now: int) -> str:
    """Make a hub's folder with fresh keys, and return the log's verifier key.

    Raises:
        BadConfiguration: There is a hub already; nothing was changed.
    """
    if (folder / HUB_FILE).exists() or (folder / "keys").exists():
        raise BadConfiguration("there is a hub here already", field=str(folder))
    log_key, online, tls, authority = (
        PrivateKey.generate(algorithm)
        for algorithm in (Algorithm.ED25519, Algorithm.ED25519, Algorithm.ESP256, Algorithm.ESP256)
    )
    verifier = LogSigner(f"{plan.network}/log", log_key).vkey
    authority_certificate = make_authority(plan.network, authority.to_pem(), now)
    certificate = make_hub_certificate(
        plan.network, plan.name, tls.to_pem(), authority_certificate, authority.to_pem(), now
    )
    make_private_folder(folder / "keys")
    write_key(folder / "keys/log.pem", log_key.to_pem())
    write_key(folder / "keys/online.pem", online.to_pem())
    write_key(folder / "keys/tls.pem", tls.to_pem())
    write_key(folder / AUTHORITY_KEY, authority.to_pem())
    write_whole(folder / "tls/authority.pem", authority_certificate)
    write_whole(folder / "tls/hub.pem", certificate)
    write_whole(folder / CARD_FILE, written(hub_card(plan.network, verifier, online.public)))
    write_hub_config(folder, plan)
    return verifier


def write_hub_config(folder: Path, plan: HubPlan) -> None:
    """Write `hub.toml`."""
    text = HUB_TOML.format(
        network=plan.network, log=plan.log, host=plan.host, port=plan.port, health_port=plan.health_port
    )
    write_whole(folder / HUB_FILE, text)


def renew(folder: Path, now: int) -> bytes:
    """Make the hub's certificate again, for the same name and the same key, which members have pinned.

    Raises:
        BadConfiguration: The certificate that is there cannot be read.
    """
    config = load_hub_config(folder)
    path = config.path(config.keys.certificate)
    certificate = make_hub_certificate(
        config.network,
        host_of(path.read_bytes()),
        config.path(config.keys.tls).read_bytes(),
        config.path(config.keys.authority).read_bytes(),
        (folder / AUTHORITY_KEY).read_bytes(),
        now,
    )
    write_whole(path, certificate)
    return certificate
