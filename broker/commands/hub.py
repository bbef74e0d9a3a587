"""`halong hub`: run it; `take`, `welcome`, `renew`: put into force what was signed, and certify keys."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.hub_erase import erase
from broker.commands.hub_taking import take
from broker.passphrases import asker, passphrase_option
from broker.terminal import (
    FOLDER,
    Command,
    Group,
    answer,
    json_option,
    note,
    say,
    style,
)

dir_option = click.option(
    "--dir",
    "folder",
    type=FOLDER,
    default=Path(),
    envvar="HALONG_DIR",
    help="The hub's folder; this one, or $HALONG_DIR.",
)


@click.group(
    "hub",
    cls=Group,
    invoke_without_command=True,
    examples=[
        "halong hub --dir hub",
        "halong hub --dir hub --only gateway --only inbox --port 8450 --health-port 8451   # on Kafka",
        "halong hub take vn/join-request.json secretariat/targets-2.json --dir hub",
    ],
)
@dir_option
@click.option(
    "--only",
    multiple=True,
    help="Run this part, and no other that is not named: gateway, dispatcher, inbox, sequencer, tiles.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Where members connect, instead of hub.toml's.")
@click.option(
    "--health-port", type=click.IntRange(0, 65535), help="Where /ready answers; 0 takes a free one."
)
@passphrase_option
@click.pass_context
def hub(
    context: click.Context, folder: Path, only: tuple[str, ...], port: int | None, health_port: int | None,
    passphrase_fd: int | None,
) -> None:  # fmt: skip
    """Run the hub in a folder that `halong init hub` made, until it is stopped.

    One line on stdout says that members are served; the lines on stderr are its log, JSON unless a
    terminal reads them.  On Kafka its parts may run apart, each as often as is wanted: dispatchers share
    the work, one sequencer leads while others stand by.
    """
    if context.invoked_subcommand is not None:
        return
    from broker.configuration import load_hub_config
    from broker.hub import Ports, run_hub
    from broker.running import READY, run_until_stopped, tell_manager
    from broker.telemetry import configure

    config = load_hub_config(folder).at(port, health_port)
    configure(as_json=not sys.stderr.isatty())

    def ready(ports: Ports) -> None:
        members = f"{config.listen.host}:{ports.members}"
        say(f"ready  {config.network}  members {members}  health 127.0.0.1:{ports.health}")
        tell_manager(READY)

    file = config.keys.passphrase_file
    ask = asker(passphrase_fd, file and config.path(file))
    run_until_stopped(run_hub(config, set(only) or None, ready, ask=ask))


@hub.command(
    "welcome",
    cls=Command,
    examples=[
        "halong hub welcome vn --dir hub",
        "halong hub welcome vn --dir hub -o vn-welcome.json",
    ],
)
@click.argument("member")
@dir_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where the welcome goes."
)
@json_option
def welcome(member: str, folder: Path, output: Path | None, as_json: bool) -> None:
    """Write MEMBER's welcome again, with the directory of today: new members, keys and agreements."""
    from broker.commands.hub_take import make_welcome
    from broker.directory.admission import written
    from broker.directory.joining import fingerprint
    from broker.files import write_whole

    data = written(make_welcome(folder, member))
    output = output or folder / "welcomes" / f"{member}.json"
    write_whole(output, data)
    if as_json:
        answer({"member": member, "welcome": str(output), "fingerprint": fingerprint(data)})
        return
    say(f"{output}   {fingerprint(data)}")


@hub.command(
    "renew", cls=Command, examples=["halong hub renew --dir hub", "halong hub renew --dir hub --json"]
)
@dir_option
@json_option
def renew(folder: Path, as_json: bool) -> None:
    """Make the hub's own certificate again before it ends; its key stays, so members notice nothing.

    A hub that runs takes it up when it is started again.
    """
    from broker.commands import hub_folder
    from broker.directory.certificates import read_certificate

    now = SystemClock().now()
    certificate = read_certificate(hub_folder.renew(folder, now))
    days = (certificate.valid_until - now) // 86_400_000
    if as_json:
        answer({"key": certificate.key.hex(), "valid_until": certificate.valid_until, "days": days})
        return
    say(f"{style('renewed', fg='green')} the hub's certificate, for {days} days, with the same key")
    note("next: start the hub again, and it is in use")


hub.add_command(take)
hub.add_command(erase)
