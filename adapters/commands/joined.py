"""What `halong member join` does with each file: make keys for an invitation, install a welcome."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from adapters.configuration import load_node_config
from adapters.joining import Places, check_welcome, install, invited, make_invited
from adapters.member_folder import REQUEST_FILE, MemberPlan
from broker.clock import SystemClock
from broker.core.directory import MemberClass
from broker.core.errors import BadConfiguration
from broker.core.model import Region
from broker.directory.joining import fingerprint, grouped
from broker.keyring.secret import Ask
from broker.terminal import answer, clean, confirm, note, say, style, table

REGIONS = {region.slug: region for region in Region}
CLASSES = {each.value: each for each in MemberClass}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What whoever joins wants otherwise than the invitation proposes."""

    name: str | None
    health_port: int
    api_port: int | None
    places: Places
    encrypted: bool


def join_by_invitation(
    data: bytes, folder: Path, wishes: Wishes, ask: Ask, *, yes: bool, as_json: bool
) -> None:
    """Make the member's node with fresh keys, and its request to join.

    Raises:
        BadConfiguration: The invitation is none, or there is a member already.
        UnfitDirectory: The directory in it is not genuine.
    """
    found = invited(data)
    invitation, listed = found.invitation, found.listed
    plan = MemberPlan(
        id=invitation.member,
        name=wishes.name or (invitation.name if listed is None else listed.name),
        member_class=_class(invitation.member_class) if listed is None else listed.member_class,
        regions=[_region(each) for each in invitation.regions] if listed is None else list(listed.regions),
        network=invitation.network,
        health_port=wishes.health_port,
        api_port=wishes.api_port,
    )
    if not plan.name or not plan.regions:
        raise BadConfiguration("the invitation names no name or no region", field="invitation")
    note(f"{style(plan.id, bold=True)} is invited to {clean(plan.network)}")
    rows = [
        ("name", clean(plan.name)),
        ("class", plan.member_class.value),
        ("regions", ", ".join(region.slug for region in plan.regions)),
        ("members", str(len(found.newest.version.listings))),
        ("invitation", style(fingerprint(data), bold=True)),
    ]
    if listed is not None:
        rows.append(("gives up", f"{len(listed.keys) + len(listed.transport_keys)} keys that are listed"))
    for line in table(rows):
        note(line)
    confirm("Has the secretariat read the same fingerprint to you?", yes=yes)
    request = make_invited(
        folder, found, plan, SystemClock().now(), wishes.places, ask, encrypted=wishes.encrypted
    )
    path = folder / REQUEST_FILE
    if as_json:
        told = {"folder": str(folder), "member": plan.id, "request": str(path)}
        answer({**told, "fingerprint": fingerprint(request)})
        return
    say(f"{style('made', fg='green')} the node of {plan.id} in {folder}; its private keys stay there")
    say(f"  request to join   {path}")
    say(f"  fingerprint       {fingerprint(request)}")
    note("next: send the request to the secretariat, and read the fingerprint to it by telephone")
    if wishes.places.spare.token is None:
        note(f"then: take {folder / wishes.places.spare.file} to a safe, and delete it here")
        note("      it speaks for you when the other key for the directory is lost")


def join_by_welcome(data: bytes, folder: Path, *, yes: bool, as_json: bool) -> None:
    """Install a welcome: certificate, pins, and the directory of the day.

    Raises:
        BadConfiguration: It is not for this member, or does not fit.
        UnfitDirectory: The directory in it is not genuine, or not true to this member.
    """
    config = load_node_config(folder)
    welcome, newest = check_welcome(config, data)
    first = config.hub is None
    pins = config.hub is None or config.hub.pin != welcome.pin
    terms = newest.version.terms
    note(f"{style(welcome.member, bold=True)} is welcome in {clean(welcome.network)}")
    rows = [
        ("hub", clean(welcome.url)),
        ("its key", grouped(bytes.fromhex(welcome.pin))),
        ("log key", clean(terms.log_key)),
        (
            "root",
            f"number {terms.number}, {terms.roles['root'].threshold} of {len(terms.roles['root'].keys)}",
        ),
        ("members", str(len(newest.version.listings))),
        ("welcome", fingerprint(data)),
    ]
    for line in table(rows):
        note(line)
    if pins:
        confirm("Pin this hub?", yes=yes)
    install(config, welcome, newest, SystemClock())
    if as_json:
        answer({"member": welcome.member, "network": welcome.network, "hub": welcome.url, "first": first})
        return
    done = style("joined" if first else "brought up to date", fg="green")
    say(f"{done} {welcome.member} of {welcome.network}")
    if first:
        note(f"next: halong doctor --dir {folder}, then halong member --dir {folder}")


def _class(value: str) -> MemberClass:
    if value not in CLASSES:
        raise click.UsageError("the invitation names a class that is not known")
    return CLASSES[value]


def _region(value: str) -> Region:
    if value not in REGIONS:
        raise click.UsageError("the invitation names a region that is not known")
    return REGIONS[value]
