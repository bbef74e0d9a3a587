"""`halong init hub`: a folder with keys, certificates and a commented configuration."""

from __future__ import annotations

import re
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.asking import needed
from broker.terminal import Command, Group, answer, json_option, note, say, style, yes_option

NETWORK = re.compile(r"[a-z0-9][a-z0-9.-]{1,62}")
FOLDER = click.Path(file_okay=False, path_type=Path)

HUB_PORT = 8443
HUB_HEALTH_PORT = 8444


@click.group(
    "init",
    cls=Group,
    examples=[
        "halong init hub hub --network halong-live --listen 0.0.0.0:8443 --name hub.example.org",
        "halong init hub hub --network halong-test --listen 127.0.0.1:8443 --yes",
    ],
)
def init() -> None:
    """Make the folder of a hub: fresh keys, certificates, commented settings.

    That of the secretariat is made by `halong directory init`, a member's by `halong member join`.
    """


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
    """Make a hub in FOLDER: its authority, its certificate, the keys of its log and of its directory."""
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


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.UsageError("--listen is HOST:PORT, such as 0.0.0.0:8443")
    return host, int(port)
