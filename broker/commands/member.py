"""`halong member`: the commands of a node, and those with which the secretariat lets members in and out.

The node's are in `adapters.commands.member`; here are `invite`, `approve` and `suspend`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from adapters.commands.member import member
from broker.clock import SystemClock
from broker.commands.directory.finishing import finish
from broker.commands.directory.options import dir_option, key_option
from broker.core.directory import MemberClass
from broker.core.header import is_member_id
from broker.core.model import Region
from broker.directory.admission import Applicant
from broker.directory.versions import Listing
from broker.passphrases import passphrase_option
from broker.terminal import (
    READABLE,
    Command,
    answer,
    clean,
    confirm,
    json_option,
    note,
    say,
    style,
    table,
    yes_option,
)

__all__ = ["member"]

REGIONS = [region.slug for region in Region]
CLASSES = [each.value for each in MemberClass]


@member.command(
    "invite",
    cls=Command,
    short_help="Write an invitation for a member.",
    examples=[
        'halong member invite vn --name "Viet Nam Customs" --region asia-pacific --dir secretariat',
        "halong member invite vn --dir secretariat     # vn is a member and has lost its keys",
    ],
)
@click.argument("id_", metavar="MEMBER")
@click.option("--name", default="", help="The name in full; the member may correct it.")
@click.option("--class", "class_", type=click.Choice(CLASSES), default="customs", show_default=True)
@click.option("--region", "regions", multiple=True, type=click.Choice(REGIONS), help="The leading one first.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where it goes.")
@dir_option
@yes_option
@json_option
def invite_(
    id_: str, name: str, class_: str, regions: Sequence[str], output: Path | None, folder: Path, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Write an invitation for MEMBER: the network's root, which its node will trust, and the directory.

    The member runs `halong member join` with it, makes its keys, and sends a request back.  Read the
    fingerprint of the invitation to the member by telephone: whoever could change it on the way could be the
    network.
    """
    from broker.commands.secretariat import invite, load_secretariat, newest_of
    from broker.directory.admission import written
    from broker.directory.joining import fingerprint
    from broker.files import write_whole

    if not is_member_id(id_):
        raise click.UsageError("MEMBER has 2 to 31 small letters, digits and hyphens, a letter first")
    secretariat = load_secretariat(folder)
    version = newest_of(secretariat).version
    if id_ in version.known:
        if id_ in version.left:
            note(f"{style(id_, bold=True)} was a member, and comes back under its name of then")
        else:
            note(f"{style(id_, bold=True)} is a member: this is for one that has lost all of its keys")
        note(
            "  it will make fresh keys, and give up all that are listed; two of the secretariat must sign it"
        )
        note("  what was sealed to the lost keys stays sealed, in every archive")
        confirm("Invite it anew?", yes=yes)
    elif not name or not regions:
        raise click.UsageError("a member that is not listed yet needs --name and --region")
    data = written(invite(secretariat, id_, name, class_, list(regions)))
    output = output or folder / f"invitation-{id_}.json"
    write_whole(output, data)
    if as_json:
        answer({"member": id_, "invitation": str(output), "fingerprint": fingerprint(data)})
        return
    say(f"{style('invited', fg='green')} {id_}; its invitation is {output}")
    say(f"  fingerprint   {fingerprint(data)}")
    note("next: send it the file, read it the fingerprint; it runs `halong member join`")


@member.command(
    "approve",
    cls=Command,
    short_help="Let members in that asked to join.",
    examples=[
        "halong member approve vn/join-request.json --dir secretariat --key file:/media/a/secretariat-1.pem",
        "halong member approve vn.json jp.json --dir secretariat --key a.pem --key b.pem",
    ],
)
@click.argument("requests", type=READABLE, nargs=-1, required=True)
@key_option
@dir_option
@passphrase_option
@yes_option
@json_option
def approve_(
    requests: Sequence[Path], keys: Sequence[str], folder: Path, passphrase_fd: int | None, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Let the members that wrote REQUESTS in: the next list of members names their keys, signed with --key.

    Compare each request's fingerprint with the member by telephone first: a request proves that its sender
    holds the keys, not who the sender is.  The next of the secretariat runs `halong directory sign`.
    """
    from broker.commands.secretariat import approve, load_secretariat, newest_of
    from broker.directory.admission import read_join_request
    from broker.directory.building import directory_keys
    from broker.directory.joining import MOST_BYTES, fingerprint, grouped
    from broker.files import read_sent

    secretariat = load_secretariat(folder)
    newest = newest_of(secretariat)
    applicants = []
    for path in requests:
        data = read_sent(path, MOST_BYTES)
        applicant = read_join_request(data, secretariat.network, newest.version.directory.known)
        entry = applicant.member
        before = newest.version.known.get(entry.id)
        again = entry.id in newest.version.left
        note(f"{style(entry.id, bold=True)} {_asks(applicant, before, again=again)}")
        rows = [
            ("name", clean(entry.name)),
            ("class", entry.member_class.value),
            ("regions", ", ".join(region.slug for region in entry.regions)),
            *(("directory key", grouped(key.id)) for key in directory_keys(entry)),
            ("request", style(fingerprint(data), bold=True)),
        ]
        if before is not None:
            rows += [("until now", grouped(key.id)) for key in before.delegation.keys]
        for line in table(rows):
            note(line)
        applicants.append(applicant)
    change = approve(newest, applicants, SystemClock().now())
    confirm(
        f"Have the members read the same {'fingerprint' if len(requests) == 1 else 'fingerprints'} to you?",
        yes=yes,
    )
    said = finish(change, folder, keys, passphrase_fd, as_json=as_json)
    if not as_json:
        names = " ".join(map(str, requests))
        note(f"{said}, together with {names}")


def _asks(applicant: Applicant, before: Listing | None, *, again: bool) -> str:
    if before is None:
        return "asks to join"
    if again:
        return style("was a member, and asks to be one again", fg="yellow")
    if applicant.csr:
        return style("is a member, gives up all of its keys, and asks to be listed anew", fg="yellow")
    return "is a member, and asks to change its keys for the directory"


@member.command(
    "suspend",
    cls=Command,
    short_help="Take a member off the list.",
    examples=[
        "halong member suspend vn --dir secretariat --key file:/media/stick/secretariat-1.pem",
        "halong member suspend vn --dir secretariat --key a.pem --key b.pem --yes",
    ],
)
@click.argument("id_", metavar="MEMBER")
@key_option
@dir_option
@passphrase_option
@yes_option
@json_option
def suspend_(
    id_: str, keys: Sequence[str], folder: Path, passphrase_fd: int | None, yes: bool, as_json: bool
) -> None:
    """Take MEMBER off the list of members: nothing goes to it and nothing comes from it any more.

    What it signed before stays what it was.  It comes back by an invitation.
    """
    from broker.commands.secretariat import load_secretariat, newest_of, suspend

    newest = newest_of(load_secretariat(folder))
    change = suspend(newest, id_, SystemClock().now())
    bound = sorted(
        agreement.name
        for agreement in newest.version.directory.agreements
        if newest.version.directory.acceded(id_, agreement)
    )
    note(f"{style(id_, bold=True)} will be no member any more")
    note(f"  agreements that it acceded to: {', '.join(bound) or 'none'}")
    confirm(f"Suspend {id_}?", yes=yes)
    said = finish(change, folder, keys, passphrase_fd, as_json=as_json)
    if not as_json:
        note(said)
