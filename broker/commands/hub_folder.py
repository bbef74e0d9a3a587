"""The folder of a hub: how it is made, and how members and agreements come into its directory.

Keys are made here and stay here: the authority's, the hub's own for TLS, and the log's.  The commands that
people type are `init`, `hub`; the demo and tests use the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from broker.configuration import HUB_FILE, HubConfig, load_hub_config
from broker.core.clauses import Agreement
from broker.core.directory import Member, TransportKey
from broker.core.errors import BadConfiguration, HalongError
from broker.core.keys import Algorithm, PrivateKey
from broker.core.note import LogSigner
from broker.directory.admission import written
from broker.directory.certificates import (
    host_of,
    issue,
    issued_by,
    make_authority,
    make_hub_certificate,
    read_certificate,
)
from broker.directory.folder import FolderDirectory
from broker.directory.handing import hub_card
from broker.directory.history import read_history
from broker.directory.joining import Applicant, Welcome
from broker.directory.sources import is_signed
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
directory = "directory"
archive = "directory-versions"   # past versions: decisions name the one under which they were made

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
    write_whole(folder / "directory/network.toml", f'name = "{plan.network}"\nlog_key = "{verifier}"\n')
    write_whole(folder / CARD_FILE, written(hub_card(plan.network, verifier, online.public)))
    write_hub_config(folder, plan)
    return verifier


def write_hub_config(folder: Path, plan: HubPlan) -> None:
    """Write `hub.toml`."""
    text = HUB_TOML.format(
        network=plan.network, log=plan.log, host=plan.host, port=plan.port, health_port=plan.health_port
    )
    write_whole(folder / HUB_FILE, text)


def directory_of(config: HubConfig) -> FolderDirectory:
    """Return the hub's directory of plain files.

    Raises:
        BadConfiguration: It is signed, and changed by those who sign.
    """
    path = config.path(config.directory)
    if is_signed(path):
        raise BadConfiguration(
            "this hub's directory is signed: the secretariat admits members, and members accede themselves; "
            "`halong hub take` puts into force what they signed",
            field=str(path),
        )
    return FolderDirectory(path, config.path(config.archive))


def admit(folder: Path, applicant: Applicant, now: int) -> None:
    """Issue the applicant's certificate and list it in the directory; admitting it again does no harm.

    A member that is listed may ask for a further transport key, with its key for notices: for a machine
    that carries for it, such as `halong member carrier` makes.

    Raises:
        BadConfiguration: Another member has that name, or the directory would not hold together.
    """
    config = load_hub_config(folder)
    source, member = directory_of(config), applicant.member
    listed = source.load().members.get(member.id)
    (key,) = member.transport_keys
    if listed is not None:
        _check_further(listed, member, now)
    certificate = issue(
        applicant.csr,
        config.network,
        config.path(config.keys.authority).read_bytes(),
        (folder / AUTHORITY_KEY).read_bytes(),
        now,
    )
    write_whole(_issued(folder, member.id, None if _is_first(listed, key) else key.id), certificate)
    if listed is None or key.id not in {each.id for each in listed.transport_keys}:
        _list(source, member if listed is None else _with_key(listed, key), listed)


def _check_further(listed: Member, asking: Member, now: int) -> None:
    """Let a request pass that is of the member that is listed."""
    # 1. It is signed with a key for notices that is the member's, and still counts.
    (signing,) = asking.keys
    if not any(each.id == signing.id and each.valid_at(now) for each in listed.keys):
        raise BadConfiguration(
            "the directory lists a member of this name with other keys", field=f"members/{asking.id}.toml"
        )
    # 2. The transport key was not taken from it meanwhile: an old request does not bring it back.
    (key,) = asking.transport_keys
    if any(each.id == key.id and not each.valid_at(now) for each in listed.transport_keys):
        raise BadConfiguration("the transport key does not count any more", field=f"members/{asking.id}.toml")


def is_further(folder: Path, applicant: Member) -> bool:
    """Say whether the applicant's transport key is a further one of a member that is listed."""
    listed = directory_of(load_hub_config(folder)).load().members.get(applicant.id)
    return not _is_first(listed, applicant.transport_keys[0])


def _is_first(listed: Member | None, key: TransportKey) -> bool:
    return listed is None or key.id == next((each.id for each in listed.transport_keys), key.id)


def _with_key(member: Member, key: TransportKey) -> Member:
    return replace(member, transport_keys=(*member.transport_keys, key))


def _list(source: FolderDirectory, member: Member, before: Member | None) -> None:
    written = source.write_member(member)
    try:
        source.load()
    except HalongError:
        # As it was: a running hub must not find a directory that it cannot use.
        if before is None:
            written.unlink()
        else:
            source.write_member(before)
        raise


def _issued(folder: Path, member: str, key: bytes | None = None) -> Path:
    """Return where a member's certificate is: the first one's, or that of a further transport key."""
    return folder / ISSUED / (f"{member}.pem" if key is None else f"{member}.{key.hex()[:16]}.pem")


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


def parties_of(folder: Path, agreement: Agreement, named: Sequence[str]) -> list[str]:
    """Return which members accede: those named, or all of its parties that are members.

    Raises:
        BadConfiguration: One that is named is no member, or no party.
    """
    members = directory_of(load_hub_config(folder)).load().members
    for party in named:
        if party not in members or party not in agreement.parties:
            possible = ", ".join(sorted(agreement.parties & members.keys())) or "none"
            raise BadConfiguration(
                f"{party} is no party that is a member; possible: {possible}", field="--party"
            )
    return sorted(named or agreement.parties & members.keys())


def agree(folder: Path, text: bytes, parties: Sequence[str]) -> None:
    """Put an agreement into the directory and list it with the parties that acceded.

    Raises:
        BadConfiguration: This version is there with other bytes.
    """
    source = directory_of(load_hub_config(folder))
    agreement = source.write_agreement(text)
    for party in parties:
        source.accede(party, agreement)
    source.load()


def welcome(folder: Path, member: str, key: bytes | None = None) -> Welcome:
    """Return the welcome of a member that was admitted, with the directory of now.

    `key` is the transport key that it is for, if that is a further one of the member's.

    Raises:
        BadConfiguration: It was not, or the directory cannot be used.
    """
    config = load_hub_config(folder)
    further = None if key is None else _issued(folder, member, key)
    issued = further if further is not None and further.exists() else _issued(folder, member)
    if not issued.exists():
        raise BadConfiguration("no certificate was issued to this member: admit it first", field=member)
    source = directory_of(config)
    directory = source.load()
    history = read_history(config.path(config.archive))
    hub_certificate = config.path(config.keys.certificate).read_bytes()
    authority = config.path(config.keys.authority).read_bytes()
    if not issued_by(issued.read_bytes(), authority):
        raise BadConfiguration(
            "the certificate is of another authority: admit the member again", field=str(issued)
        )
    return Welcome(
        network=config.network,
        member=member,
        url=f"https://{host_of(hub_certificate)}:{config.listen.port}",
        pin=read_certificate(hub_certificate).key.hex(),
        log_key=directory.log_key,
        authority=authority.decode(),
        certificate=issued.read_text(encoding="ascii"),
        version=directory.version.hex(),
        snapshots=history.snapshots,
        files=history.files,
    )
