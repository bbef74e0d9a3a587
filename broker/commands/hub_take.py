"""What the hub's operator puts into force: signed changes of the directory, and members that they admit.

Decides nothing that a reader of the directory would not decide again.  A certificate is issued to a key that
the directory lists, and to no other; a welcome carries what a member must pin and the directory of the day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.commands.hub_folder import AUTHORITY_KEY, ISSUED
from broker.configuration import HubConfig, load_hub_config
from broker.core.errors import BadConfiguration
from broker.core.note import LogKey, LogSigner
from broker.directory.admission import Applicant, Welcome, as_text, written
from broker.directory.certificates import host_of, issue, issued_by, read_certificate, read_request
from broker.directory.change import Change
from broker.directory.handing import handed_to
from broker.directory.repository import Repository
from broker.directory.roles import ROOT
from broker.directory.versions import Newest
from broker.files import write_whole
from broker.keyring import open_signer
from broker.keyring.secret import Ask, nobody


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of it: the version, and the welcome of each member that asked to join."""

    newest: Newest
    welcomes: Sequence[tuple[str, Path]]


def changes_of(
    newest: Newest | None, changes: Sequence[Change], applicants: Sequence[Applicant]
) -> list[Change]:
    """Return what is to come into force: the changes, and the roles of applicants that are not yet."""
    in_force = {} if newest is None else newest.version.lines
    roles = {each.role for each in changes}
    found = [*changes]
    for each in applicants:
        line = in_force.get(each.change.role)
        if each.change.role not in roles and (line is None or line.number < each.change.number):
            found.append(each.change)
    return found


def take(
    folder: Path, changes: Sequence[Change], applicants: Sequence[Applicant], now: int, ask: Ask = nobody
) -> Taken:
    """Put changes into force, all or none, and welcome the applicants.

    Raises:
        BadConfiguration: A change is not the next of its role, or the hub's folder cannot be used.
        UnfitDirectory: What they make is no version that a reader would take.
    """
    config = load_hub_config(folder)
    repository = Repository(config.path(config.directory))
    online = open_signer(config.keys.online, config.root, ask)
    if repository.first_root() is None:
        _check_first(config, changes, ask)
    newest = repository.newest()
    if newest is not None:
        _check_same_log(newest, changes)
    coming = changes_of(newest, changes, applicants)
    if coming:
        newest = repository.take(coming, online, now)
    if newest is None:
        raise BadConfiguration("there is no directory yet: take its first root", field="directory")
    welcomes = []
    for each in applicants:
        if not each.csr:
            continue
        key = read_request(each.csr).key
        welcome = folder / "welcomes" / f"{each.member.id}.json"
        _issue(config, newest, each, now)
        write_whole(welcome, written(make_welcome(folder, each.member.id, newest, key)))
        welcomes.append((each.member.id, welcome))
    return Taken(newest, welcomes)


def make_welcome(
    folder: Path, member: str, newest: Newest | None = None, key: bytes | None = None
) -> Welcome:
    """Return the welcome of a member, with the directory of the day.

    Args:
        folder: The hub's folder.
        member: Whose.
        newest: The version in force, if it is at hand.
        key: The transport key that it is for; the one that was certified last if it is not said.

    Raises:
        BadConfiguration: No certificate was issued to it, or the folder cannot be used.
    """
    config = load_hub_config(folder)
    repository = Repository(config.path(config.directory))
    newest = newest or repository.newest()
    issued = sorted((folder / ISSUED).glob(f"{member}.*pem"), key=lambda path: path.stat().st_mtime_ns)
    fitting = [each for each in issued if key is None or read_certificate(each.read_bytes()).key == key]
    if newest is None or not fitting:
        raise BadConfiguration("no certificate was issued to this member", field=member)
    certificate, authority = fitting[-1].read_bytes(), config.path(config.keys.authority).read_bytes()
    if not issued_by(certificate, authority):
        raise BadConfiguration("the certificate is of another authority", field=str(fitting[-1]))
    hub_certificate = config.path(config.keys.certificate).read_bytes()
    return Welcome(
        network=config.network,
        member=member,
        url=f"https://{host_of(hub_certificate)}:{config.listen.port}",
        pin=read_certificate(hub_certificate).key.hex(),
        authority=authority.decode(),
        certificate=certificate.decode(),
        files=as_text(handed_to(member, newest, repository.files)),
    )


def _check_first(config: HubConfig, changes: Sequence[Change], ask: Ask) -> None:
    """Let the first root of a network pass, if it names this hub."""
    roots = [each for each in changes if each.role == ROOT]
    if len(roots) != 1:
        raise BadConfiguration("there is no directory yet: take its first root", field="directory")
    # 1. It is the root of this hub's network.
    shape = roots[0].shape
    if shape.network != config.network:
        raise BadConfiguration("the root is of another network than this hub", field="network")
    # 2. It names this hub's log, which every member will pin.
    signer = open_signer(config.keys.log, config.root, ask)
    if LogSigner(LogKey.parse(shape.log_key).name, signer).vkey != shape.log_key:
        raise BadConfiguration("the root names another log key than this hub's", field="log_key")


def _check_same_log(newest: Newest, changes: Sequence[Change]) -> None:
    """Refuse a root under which neither this hub nor any node would go on: they have one log each."""
    log_key = newest.version.terms.log_key
    if any(each.role == ROOT and each.shape.log_key != log_key for each in changes):
        raise BadConfiguration("the root names another log key than this hub's", field="log_key")


def _issue(config: HubConfig, newest: Newest, applicant: Applicant, now: int) -> None:
    """Issue a certificate to the transport key that an applicant proved."""
    id_, key = applicant.member.id, read_request(applicant.csr).key
    listed = newest.version.directory.members.get(id_)
    # 1. The directory lists the key as the member's, and it counts.
    if listed is None or not any(
        each.id == key and each.revoked_at is None for each in listed.transport_keys
    ):
        raise BadConfiguration(
            f"the directory does not list the transport key of {id_}: bring the secretariat's approval, too",
            field=id_,
        )
    certificate = issue(
        applicant.csr,
        config.network,
        config.path(config.keys.authority).read_bytes(),
        (config.root / AUTHORITY_KEY).read_bytes(),
        now,
    )
    write_whole(config.root / ISSUED / f"{id_}.{key.hex()[:16]}.pem", certificate)
