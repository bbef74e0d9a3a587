"""`halong member`: run a member's node; `member join`: take the hub's welcome."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from adapters.commands.options import ask_for, dir_option
from broker.passphrases import passphrase_option
from broker.terminal import (
    READABLE,
    Command,
    Group,
    answer,
    json_option,
    note,
    say,
    style,
    yes_option,
)

SIGN, DIRECTORY, SPARE = "keys/sign.pem", "keys/directory.pem", "spare/directory.pem"


@click.group(
    "member",
    cls=Group,
    invoke_without_command=True,
    examples=["halong member --dir vn", "halong member join vn-welcome.json --dir vn"],
)
@dir_option
@passphrase_option
@click.pass_context
def member(context: click.Context, folder: Path, passphrase_fd: int | None) -> None:
    """Run the node in a folder that `halong member join` made, until it is stopped.

    It signs and sends what is queued, takes what arrives, checks all of it again and hands it on.  One line
    on stdout says that it works; the lines on stderr are its log, JSON unless a terminal reads them.
    """
    if context.invoked_subcommand is not None:
        return
    from adapters.configuration import load_node_config
    from adapters.node import run_node
    from broker.local_token import TOKEN_FILE
    from broker.running import READY, run_until_stopped, tell_manager
    from broker.telemetry import configure

    config = load_node_config(folder)
    configure(as_json=not sys.stderr.isatty())

    api: list[str] = []

    def ready(port: int) -> None:
        say(f"ready  {config.member} of {config.network}  health 127.0.0.1:{port}{''.join(api)}")
        tell_manager(READY)

    def answers(port: int) -> None:
        api.append(f"  api 127.0.0.1:{port} with the token in {config.root / TOKEN_FILE}")

    ask = ask_for(config, passphrase_fd)
    run_until_stopped(run_node(config, ready, api=answers, ask=ask))


@member.command(
    "join",
    cls=Command,
    short_help="Follow an invitation; take the hub's welcome.",
    examples=[
        "halong member join invitation-vn.json --dir vn     # makes the node and its keys",
        "halong member join welcome.json --dir vn           # completes it",
    ],
)
@click.argument("file", type=READABLE)
@dir_option
@click.option("--name", help="The name in full, if the invitation has it wrong.")
@click.option("--sign-key", default=SIGN, show_default=True, help="Where the key for notices is made.")
@click.option("--directory-key", default=DIRECTORY, show_default=True, help="The key for the directory.")
@click.option("--spare-key", default=SPARE, show_default=True, help="The one that goes to a safe.")
@click.option("--encrypted", is_flag=True, help="Key files under a passphrase; that for TLS cannot be.")
@click.option("--health-port", type=int, default=8445, show_default=True, help="On loopback only.")
@click.option("--api", is_flag=True, help="With the local API, for the member's own systems.")
@click.option("--api-port", type=int, default=8446, show_default=True, help="For --api; on loopback only.")
@passphrase_option
@yes_option
@json_option
def join(
    file: Path, folder: Path, name: str | None, sign_key: str, directory_key: str, spare_key: str,
    encrypted: bool, health_port: int, api: bool, api_port: int, passphrase_fd: int | None, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Follow the secretariat's invitation in FILE, or take the hub's welcome in it.

    An invitation: make the node's keys in the folder, pin the network's root, write the request to join.  A
    welcome: install the certificate, pin hub and log, take the directory over.  Compare the fingerprint of
    either by telephone: what is pinned is what this node will believe.
    """
    from adapters.commands.joined import Wishes, join_by_invitation, join_by_welcome
    from adapters.joining import Places
    from broker.core.errors import BadConfiguration
    from broker.directory.admission import kind_of_file
    from broker.directory.joining import MOST_BYTES
    from broker.files import read_sent
    from broker.keyring import KeyPlace
    from broker.passphrases import asker

    data = read_sent(file, MOST_BYTES)
    match kind_of_file(data):
        case "invitation/1":
            places = Places(KeyPlace(sign_key), KeyPlace(directory_key), KeyPlace(spare_key))
            wishes = Wishes(name, health_port, api_port if api else None, places, encrypted)
            join_by_invitation(data, folder, wishes, asker(passphrase_fd), yes=yes, as_json=as_json)
        case "welcome/2":
            join_by_welcome(data, folder, yes=yes, as_json=as_json)
        case _:
            raise BadConfiguration("is neither an invitation nor a welcome", field=str(file))


@member.command(
    "seen",
    cls=Command,
    short_help="Write down how much of the hub's log this node has seen.",
    examples=["halong member seen --dir vn", "halong member seen -o vn-seen.json --dir vn"],
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where it goes.")
@dir_option
@json_option
def seen_(output: Path | None, folder: Path, as_json: bool) -> None:
    """Write the largest checkpoints of the hub's log that this node has seen, as the log signed them.

    After the hub was set back they prove how the log had gone on (docs/operate.md).  Whoever brings those of
    all members together can show how it ended; they hold nothing of any notice.
    """
    from adapters.log_seen import seen_of_log, written
    from adapters.member_folder import open_folder
    from broker.core.note import LogKey
    from broker.files import write_whole

    with open_folder(folder, to_read=True) as node:
        seen = seen_of_log(node.store, LogKey.parse(node.config.joined.log_key))
    if output is not None:
        write_whole(output, written(node.config.member, seen))
    if as_json:
        heads = [{"size": head.size, "root": head.root.hex()} for head in seen.heads]
        answer({"member": node.config.member, "log": seen.log.name, "seen": heads})
        return
    for head in seen.heads:
        say(f"{seen.log.name}  {head.size:,} leaves  root {head.root.hex()}")
    if output is not None:
        note(f"wrote {output}")


@member.command(
    "carrier",
    cls=Command,
    short_help="Make the folder that carries sticks to the hub.",
    examples=[
        "halong member carrier carrier --dir vn",
        "halong member carrier /media/stick/carrier --dir vn",
    ],
)
@click.argument("carrier", type=click.Path(file_okay=False, path_type=Path))
@dir_option
@passphrase_option
@json_option
def carrier(carrier: Path, folder: Path, passphrase_fd: int | None, as_json: bool) -> None:
    """Make a CARRIER for a node without network: a folder with a transport key of its own, and no other.

    It goes to a machine with network, and takes the node's sticks to the hub (docs/offline.md).  Whoever has
    it can carry, and lose, but sign nothing; the member lists its key as that of a further machine.
    """
    from adapters.configuration import load_node_config
    from adapters.member_folder import REQUEST_FILE
    from adapters.stick.offline import make_carrier
    from broker.clock import SystemClock
    from broker.directory.joining import fingerprint

    config = load_node_config(folder)
    request = make_carrier(carrier, config, SystemClock().now(), ask_for(config, passphrase_fd))
    path = carrier / REQUEST_FILE
    if as_json:
        answer({"member": config.member, "request": str(path), "fingerprint": fingerprint(request)})
        return
    say(f"{style('made', fg='green')} a carrier for {config.member} in {carrier}")
    say(f"  request to admit   {path}")
    say(f"  fingerprint        {fingerprint(request)}")
    note("next: the hub's operator runs `halong hub take`; then, here and there: halong member join WELCOME")
