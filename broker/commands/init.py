"""`halong init hub`, `halong init member`: a folder with keys, certificates and a commented configuration."""

from __future__ import annotations

import re
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.asking import needed
from broker.core.agreement_text import MEMBER
from broker.core.directory import MemberClass
from broker.core.model import Region
from broker.terminal import Command, Group, answer, json_option, note, say, style, yes_option

REGIONS = [region.slug for region in Region]
CLASSES = [each.value for each in MemberClass]
NETWORK = re.compile(r"[a-z0-9][a-z0-9.-]{1,62}")
FOLDER = click.Path(file_okay=False, path_type=Path)

HUB_PORT = 8443
HUB_HEALTH_PORT = 8444
MEMBER_HEALTH_PORT = 8445
MEMBER_API_PORT = 8446


@click.group(
    "init",
    cls=Group,
    examples=[
        "halong init hub hub --network halong-live --listen 0.0.0.0:8443 --name hub.example.org",
        'halong init member vn --id vn --name "Viet Nam Customs" --region asia-pacific --network halong-live',
    ],
)
def init() -> None:
    """Make the folder of a hub or of a member's node: fresh keys, certificates, commented settings."""


@init.command(
    "hub",
    cls=Command,
    examples=[
        "halong init hub hub --network halong-live --listen 0.0.0.0:8443 --name hub.example.org",
        "halong init hub hub --network halong-test --listen 127.0.0.1:8443 --yes",
    ],
)
@click.argument("folder", type=FOLDER)
@click.option("--network", help="The network's name; it is signed into every notice.")
@click.option("--listen", help="Where members connect: HOST:PORT.")
@click.option("--name", help="The name or address by which members reach it; the host of --listen.")
@click.option("--health-port", type=int, default=HUB_HEALTH_PORT, show_default=True, help="On loopback only.")
@click.option("--log", "log_url", default="sqlite:///log.db", show_default=True, help="Or kafka://host:port.")
@yes_option
@json_option
def hub(
    folder: Path, network: str | None, listen: str | None, name: str | None, health_port: int, log_url: str,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a hub in FOLDER: its authority, its certificate, the key of its log, an empty directory."""
    from broker.commands.hub_folder import HubPlan, make_hub

    network = needed(network, "--network", "The network's name", "halong-test", yes=yes)
    if not NETWORK.fullmatch(network):
        raise click.UsageError("--network has small letters, digits, dots and hyphens")
    listen = needed(listen, "--listen", "Where members connect", f"0.0.0.0:{HUB_PORT}", yes=yes)
    host, port = _address(listen)
    name = name or (None if host in ("0.0.0.0", "::") else host)  # noqa: S104 - asked for, not bound here
    name = needed(name, "--name", "The name by which members reach it", None, yes=yes)
    plan = HubPlan(network=network, host=host, port=port, name=name, health_port=health_port, log=log_url)
    log_key = make_hub(folder, plan, SystemClock().now())
    if as_json:
        answer(
            {"folder": str(folder), "network": network, "url": f"https://{name}:{port}", "log_key": log_key}
        )
        return
    say(f"{style('made', fg='green')} the hub of {network} in {folder}")
    say(f"  members reach it at   https://{name}:{port}")
    say(f"  members will pin      {log_key}")
    note(f"next: halong directory init SECRETARIAT --hub {folder / 'hub.json'}, which says who is a member")


@init.command(
    "member",
    cls=Command,
    examples=[
        'halong init member vn --id vn --name "Viet Nam Customs" --region asia-pacific --network halong-live',
        "halong init member jp      # asks what it needs to know",
    ],
)
@click.argument("folder", type=FOLDER)
@click.option("--id", "id_", help="Small letters and digits, such as vn or rilo-ap.")
@click.option("--name", help="The name in full.")
@click.option(
    "--region",
    "regions",
    multiple=True,
    type=click.Choice(REGIONS),
    help="More than once, the leading one first.",
)
@click.option("--class", "class_", type=click.Choice(CLASSES), default="customs", show_default=True)
@click.option(
    "--network", default="halong-live", show_default=True, help="The network that it wants to join."
)
@click.option(
    "--health-port", type=int, default=MEMBER_HEALTH_PORT, show_default=True, help="On loopback only."
)
@click.option("--api", is_flag=True, help="With the local API, for the member's own systems.")
@click.option(
    "--api-port", type=int, default=MEMBER_API_PORT, show_default=True, help="For --api; on loopback only."
)
@yes_option
@json_option
def member(
    folder: Path, id_: str | None, name: str | None, regions: tuple[str, ...], class_: str, network: str,
    health_port: int, api: bool, api_port: int, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a member's node in FOLDER: its keys, which never leave, and its request to join.

    Asks what is missing if somebody is there to answer.
    """
    from adapters.member_folder import REQUEST_FILE, MemberPlan, make_member
    from broker.directory.joining import fingerprint

    id_ = needed(id_, "--id", "The member's id, such as vn", folder.name or None, yes=yes)
    if not MEMBER.holds(id_):
        raise click.UsageError("--id has 2 to 31 small letters, digits and hyphens, a letter first")
    name = needed(name, "--name", "Its name in full", None, yes=yes)
    if not regions:
        possible = ", ".join(REGIONS)
        regions = (needed(None, "--region", f"Its region ({possible})", "asia-pacific", yes=yes),)
        if regions[0] not in REGIONS:
            raise click.UsageError(f"--region is one of {possible}")
    plan = MemberPlan(
        id=id_,
        name=name,
        member_class=MemberClass(class_),
        regions=[Region[region.upper().replace("-", "_")] for region in regions],
        network=network,
        health_port=health_port,
        api_port=api_port if api else None,
    )
    request = make_member(folder, plan, SystemClock().now())
    path = folder / REQUEST_FILE
    if as_json:
        answer(
            {"folder": str(folder), "member": id_, "request": str(path), "fingerprint": fingerprint(request)}
        )
        return
    say(f"{style('made', fg='green')} the node of {id_} in {folder}; its private keys stay there")
    say(f"  request to join   {path}")
    say(f"  fingerprint       {fingerprint(request)}")
    note("next: send the request to the hub's operator, and read the fingerprint to them by telephone")


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.UsageError("--listen is HOST:PORT, such as 0.0.0.0:8443")
    return host, int(port)
