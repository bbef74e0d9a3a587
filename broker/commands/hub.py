"""`halong hub`: run it; `admit`, `welcome`, `agree`: who takes part, and under which agreements."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.hub_erase import erase
from broker.commands.hub_taking import take
from broker.core.errors import BadConfiguration
from broker.passphrases import asker, passphrase_option
from broker.terminal import (
    FOLDER,
    READABLE,
    Command,
    Group,
    answer,
    confirm,
    json_option,
    note,
    say,
    style,
    table,
    yes_option,
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
    "admit",
    cls=Command,
    examples=[
        "halong hub admit vn/join-request.json --dir hub",
        "halong hub admit vn/join-request.json --dir hub -o welcome.json --yes",
    ],
)
@click.argument("request", type=READABLE)
@dir_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where the welcome goes."
)
@yes_option
@json_option
def admit(request: Path, folder: Path, output: Path | None, yes: bool, as_json: bool) -> None:
    """Admit the member that wrote REQUEST: list its keys, issue its certificate, write its welcome.

    Compare the request's fingerprint with the member by telephone first: the request proves that its sender
    holds the keys, not who the sender is.
    """
    from broker.commands import hub_folder
    from broker.configuration import load_hub_config
    from broker.directory.joining import MOST_BYTES, fingerprint, read_join_request, write_welcome
    from broker.files import read_sent, write_whole

    config = load_hub_config(folder)
    data = read_sent(request, MOST_BYTES)
    applicant = read_join_request(data, config.network)
    member = applicant.member
    note(f"{style(member.id, bold=True)} asks to join {config.network}")
    for line in table(
        [
            ("name", member.name),
            ("class", member.member_class.value),
            ("regions", ", ".join(region.slug for region in member.regions)),
            ("signs with", f"{member.keys[0].public.algorithm.value} {member.keys[0].id.hex()[:16]}"),
            ("connects with", f"P-256 {member.transport_keys[0].id.hex()[:16]}"),
            ("request", fingerprint(data)),
        ]
    ):
        note(line)
    confirm(f"Admit {member.id}?", yes=yes)
    hub_folder.admit(folder, applicant, SystemClock().now())
    made = hub_folder.welcome(folder, member.id, member.transport_keys[0].id)
    carrier = hub_folder.is_further(folder, member)
    output = output or folder / "welcomes" / f"{member.id}{'-carrier' if carrier else ''}.json"
    welcome = write_welcome(made)
    write_whole(output, welcome)
    if as_json:
        answer({"member": member.id, "welcome": str(output), "fingerprint": fingerprint(welcome)})
        return
    say(f"{style('admitted', fg='green')} {member.id}; its welcome is {output}   {fingerprint(welcome)}")
    note("next: send it the file; it runs `halong member join`")


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
    from broker.commands import hub_folder, hub_taking
    from broker.directory.joining import fingerprint, write_welcome
    from broker.files import write_whole

    written = hub_taking.welcome_again(folder, member) or write_welcome(hub_folder.welcome(folder, member))
    output = output or folder / "welcomes" / f"{member}.json"
    write_whole(output, written)
    if as_json:
        answer({"member": member, "welcome": str(output), "fingerprint": fingerprint(written)})
        return
    say(f"{output}   {fingerprint(written)}")


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


@hub.command(
    "agree",
    cls=Command,
    examples=[
        "halong hub agree jp-vn-2026.toml --dir hub",
        "halong hub agree jp-vn-2026.toml --dir hub --party vn --yes",
    ],
)
@click.argument("agreement", type=READABLE)
@dir_option
@click.option(
    "--party", "parties", multiple=True, help="Who accedes; all parties that are members if none is named."
)
@yes_option
@json_option
def agree(agreement: Path, folder: Path, parties: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Put the AGREEMENT into the directory, and list it with the parties that have acceded to it.

    A grant counts only between members that both list these very bytes.
    """
    from broker.commands import hub_folder
    from broker.core.agreements import parse_agreement, warnings_of
    from broker.core.strict_toml import MOST_FILE_BYTES
    from broker.files import read_sent

    text = read_sent(agreement, MOST_FILE_BYTES)
    parsed = parse_agreement(text, str(agreement))
    acceding = hub_folder.parties_of(folder, parsed, parties)
    if not acceding:
        raise BadConfiguration("none of its parties is a member of this network", field=str(agreement))
    note(f"{style(f'{parsed.id}/{parsed.version}', bold=True)}  {parsed.title}")
    rows = [
        (
            f"{grant.giver} → {grant.receiver}",
            ", ".join(sorted(grant.types)),
            ", ".join(slot.label for slot in sorted(grant.slots)),
        )
        for grant in parsed.grants
    ]
    for line in table(rows):
        note(line)
    for warning in warnings_of(parsed):
        note(f"  {style('!', fg='yellow')} {warning}")
    confirm(f"List it with {', '.join(acceding)}?", yes=yes)
    hub_folder.agree(folder, text, acceding)
    if as_json:
        answer(
            {
                "agreement": parsed.id,
                "version": parsed.version,
                "digest": parsed.digest.hex(),
                "parties": acceding,
            }
        )
        return
    say(f"{style('in the directory', fg='green')} {parsed.id}/{parsed.version} for {', '.join(acceding)}")
    note("next: `halong hub welcome MEMBER` for every member, so that their copies hold it, too")


hub.add_command(take)
hub.add_command(erase)
