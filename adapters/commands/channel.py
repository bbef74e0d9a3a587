"""`halong channel`: how the ways into the member's own systems are, and what a person does to them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from adapters.channels import MakesTables
from adapters.channels.control import Control, Letter
from adapters.channels.places import Places
from adapters.channels.settings import ChannelConfig, SqlSettings
from adapters.commands.options import dir_option
from adapters.configuration import MEMBER_FILE, NodeConfig, load_node_config
from adapters.member_folder import NodeFolder, open_folder
from adapters.status import ChannelState, snapshot
from broker.clock import SystemClock
from broker.core.errors import BadConfiguration, Refused, Unavailable
from broker.core.notice_json import time_or_none, time_to_json
from broker.moments import local, moment
from broker.terminal import (
    Command,
    Exit,
    Group,
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

MOST_SHOWN = 50
CHECK_SECONDS = 60.0


@click.group(
    "channel",
    cls=Group,
    examples=["halong channel list --dir jp", "halong channel test registry --dir jp"],
)
def channel() -> None:
    """Look after the channels: the ways by which deliveries get into the member's own systems.

    A running node hears of what is changed here within two seconds.
    """


@channel.command(
    "list",
    cls=Command,
    short_help="How every channel is.",
    examples=[
        "halong channel list --dir jp",
        "halong channel list --dir jp --json | jq '.channels[].behind'",
    ],
)
@dir_option
@json_option
def list_(folder: Path, as_json: bool) -> int:
    """Show every channel: what waits for it, what it will not take, how it is."""
    with open_folder(folder) as node:
        states = {each.name: each for each in snapshot(node.store).channels}
    settings = node.config.channels
    rows = [_object(name, settings.get(name), states.get(name)) for name in sorted({*settings, *states})]
    if as_json:
        answer({"member": node.config.member, "channels": rows})
        return Exit.HELD
    for line in table([("", "kind", "waiting", "dead", "handed on", "last", "state"), *map(_line, rows)]):
        say(line)
    return Exit.HELD


def _object(name: str, settings: ChannelConfig | None, found: ChannelState | None) -> dict[str, Any]:
    state = found or ChannelState(name)
    return {
        "name": name,
        "kind": None if settings is None else kind_of(settings),
        "statuses": [] if settings is None else list(settings.statuses),
        "state": _state(settings, found),
        "behind": state.behind,
        "dead": state.dead_letters,
        "handed_on": state.handed_on,
        "handed_on_at": time_or_none(state.handed_on_at),
        "failures": state.failures,
        "code": state.code,
        "retry_at": time_or_none(state.retry_at),
    }


def kind_of(settings: ChannelConfig) -> str:
    """Return the kind by which the configuration names it."""
    return str(settings.__struct_config__.tag)


def _state(settings: ChannelConfig | None, found: ChannelState | None) -> str:
    if settings is None:
        return "not-configured"
    if found is None:
        return "not-started"
    if found.paused:
        return "paused"
    if found.failures:
        return "open" if settings.terms.open(found.failures) else "failing"
    return "well"


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    words = {
        "well": style("well", fg="green"),
        "paused": style("paused", fg="yellow"),
        "failing": style(f"failing: {row['code']}", fg="yellow"),
        "open": style(f"left alone: {row['code']}, {row['failures']} failures in a row", fg="red"),
        "not-started": "not started yet",
        "not-configured": f"no longer in {MEMBER_FILE}",
    }
    dead = str(row["dead"])
    return (
        style(row["name"], bold=True),
        row["kind"] or "-",
        f"{row['behind']:,}",
        style(dead, fg="red") if row["dead"] else dead,
        f"{row['handed_on']:,}",
        row["handed_on_at"] or "-",
        words[row["state"]],
    )


@channel.command(
    "test",
    cls=Command,
    short_help="Can the other side be reached?",
    examples=["halong channel test desk --dir jp", "halong channel test registry --create --dir jp"],
)
@click.argument("name")
@click.option("--create", is_flag=True, help="Make the tables of a sql channel, if they are not there.")
@click.option("--ddl", is_flag=True, help="Print the statements that would make them, and do nothing.")
@dir_option
@json_option
def test(name: str, create: bool, ddl: bool, folder: Path, as_json: bool) -> int:
    """Say whether the other side of channel NAME can be reached; no notice is sent by that."""
    from adapters.node import make_channels

    config = load_node_config(folder)
    settings = _settings(config, name)
    if ddl or create:
        if not isinstance(settings, SqlSettings):
            raise BadConfiguration("is no sql channel, so it has no tables", field=f"channels.{name}")
        if ddl:
            say(";\n\n".join(_schema(settings)) + ";")
            return Exit.HELD
    (made,) = (each for each in make_channels(config) if each.name == name)
    try:

        async def look() -> str:
            async with asyncio.timeout(CHECK_SECONDS):
                if create and isinstance(made, MakesTables):
                    await made.create()
                return await made.check()

        found = asyncio.run(look())
    except TimeoutError:
        raise Unavailable(f"it did not answer in {CHECK_SECONDS:.0f} s", field=f"channels.{name}") from None
    if as_json:
        answer({"name": name, "kind": kind_of(settings), "found": found})
    else:
        say(f"{style('✓', fg='green')} {name}   {found}")
    return Exit.HELD


def _schema(settings: SqlSettings) -> list[str]:
    if settings.is_sqlite:
        from adapters.channels.sql_sqlite import schema
    else:
        from adapters.channels.sql_postgres import schema
    return schema(settings.table)


def _settings(config: NodeConfig, name: str) -> ChannelConfig:
    if name not in config.channels:
        known = ", ".join(sorted(config.channels)) or "none"
        raise BadConfiguration(f"there is no channel {name}; there are: {known}", field=MEMBER_FILE)
    return config.channels[name]


@contextmanager
def _opened(folder: Path, name: str, *, offers: bool = False) -> Iterator[tuple[NodeFolder, Control]]:
    """Open a channel that has run: one that is configured, or was; to offer it something it must be."""
    with open_folder(folder) as node:
        if offers or Places(node.store).at(name) is None:
            _settings(node.config, name)
        if Places(node.store).at(name) is None:
            raise Unavailable(
                "the channel has not run yet: it begins when the node first runs with it", field=name
            )
        yield node, Control(node.store, name)


@channel.command(
    "pause",
    cls=Command,
    short_help="Offer nothing more for now.",
    examples=["halong channel pause registry --dir jp", "halong channel pause registry --dir jp --json"],
)
@click.argument("name")
@dir_option
@json_option
def pause(name: str, folder: Path, as_json: bool) -> None:
    """Offer channel NAME nothing more until `resume`: deliveries wait in the node's store."""
    with _opened(folder, name) as (_, control):
        control.pause()
    _done(name, "paused", as_json=as_json)


@channel.command(
    "resume",
    cls=Command,
    short_help="Go on, and at once.",
    examples=["halong channel resume registry --dir jp", "halong channel resume registry --dir jp --json"],
)
@click.argument("name")
@dir_option
@json_option
def resume(name: str, folder: Path, as_json: bool) -> None:
    """Go on with channel NAME, and at once: also when it is left alone after failures."""
    with _opened(folder, name) as (_, control):
        control.resume()
    _done(name, "resumed", as_json=as_json)


def _done(name: str, state: str, *, as_json: bool) -> None:
    if as_json:
        answer({"name": name, "state": state})
    else:
        say(f"{style(state, fg='green')} {name}")


@channel.command(
    "replay",
    cls=Command,
    short_help="Offer again what it had.",
    examples=[
        "halong channel replay registry --since 2d --dir jp",
        "halong channel replay desk --delivery vn/asia-pacific/main/17 --dir jp --yes",
    ],
)
@click.argument("name")
@click.option("--since", help="What came since: a time (2026-11-25T08:00:00Z), or 30m, 12h, 2d ago.")
@click.option("--delivery", help="One delivery: its id or the beginning of it, or the notice's reference.")
@dir_option
@yes_option
@json_option
def replay(
    name: str, since: str | None, delivery: str | None, folder: Path, yes: bool, as_json: bool
) -> None:
    """Offer channel NAME again what it had before; it comes after what waits already, which is not doubled.

    How a repeat looks is the channel's: a folder writes the same files again, sql brings back rows that are
    gone, webhook, mail, kafka and exec get it once more, with the same delivery id.
    """
    if (since is None) == (delivery is None):
        raise click.UsageError("give either --since or --delivery")
    with _opened(folder, name, offers=True) as (node, control):
        after = 0 if since is None else moment(since, SystemClock().now())
        one = None if delivery is None else _delivery(node, delivery)
        count = control.count_again(after, one)
        if count:
            note(f"{count:,} deliveries go to {name} once more")
            confirm("Replay them?", yes=yes)
            control.again(after, one)
    if as_json:
        answer({"name": name, "replayed": count})
    else:
        say(f"{style('replayed', fg='green')} {count:,} to {name}" if count else "nothing to replay")


def _delivery(node: NodeFolder, named: str) -> bytes:
    """Return the id of a delivery that is named by an id, its beginning, or the notice's reference."""
    row = None
    if re.fullmatch(r"(?:[0-9a-f]{2}){4,32}", named):
        found = node.incoming.delivery(bytes.fromhex(named))
        row = None if found is None else (found.id,)
    elif named.isascii():
        reference = f"halong:{named.removeprefix('halong:')}"
        row = node.store.row("SELECT id FROM deliveries WHERE reference = ? ORDER BY place DESC", reference)
    if row is None:
        raise Refused("no such delivery is at this node", field=clean(named))
    return bytes(row[0])


@channel.command(
    "dead",
    cls=Command,
    short_help="What it would not take; retry or drop it.",
    examples=[
        "halong channel dead registry --dir jp",
        "halong channel dead registry --retry --dir jp",
        "halong channel dead registry --drop --delivery 5a3f9c0d --dir jp",
    ],
)
@click.argument("name")
@click.option("--retry", is_flag=True, help="Offer them again.")
@click.option("--drop", is_flag=True, help="Give them up; the deliveries stay in the node's store.")
@click.option("--delivery", help="Only this one: its id or the beginning of it, or the notice's reference.")
@dir_option
@yes_option
@json_option
def dead(
    name: str, retry: bool, drop: bool, delivery: str | None, folder: Path, yes: bool, as_json: bool
) -> None:
    """Show what channel NAME would not take, with the other side's answer; offer it again, or give it up."""
    if retry and drop:
        raise click.UsageError("give either --retry or --drop")
    with _opened(folder, name, offers=retry) as (node, control):
        letters = control.letters()
        if delivery is not None:
            one = _delivery(node, delivery)
            letters = [letter for letter in letters if letter.delivery == one]
        if not as_json:
            _show(letters)
        if letters and retry:
            letters = control.retry(letters)
        elif letters and drop:
            confirm(f"Give up {len(letters):,} for {name}?", yes=yes)
            control.drop(letters)
    done = "retried" if retry else "dropped" if drop else None
    if as_json:
        answer({"name": name, "done": done, "letters": [_letter(each) for each in letters]})
    elif done is not None:
        say(f"{style(done, fg='green')} {len(letters):,} of {name}")


@channel.command(
    "forget",
    cls=Command,
    short_help="Give up a channel that was taken out.",
    examples=["halong channel forget fax --dir jp", "halong channel forget fax --dir jp --yes --json"],
)
@click.argument("name")
@dir_option
@yes_option
@json_option
def forget(name: str, folder: Path, yes: bool, as_json: bool) -> None:
    """Give channel NAME up, which is no longer configured: its place, what waits for it, its dead letters.

    The deliveries stay in the node's store; `replay` of another channel hands them on.
    """
    with _opened(folder, name) as (node, control):
        if name in node.config.channels:
            raise BadConfiguration(f"the channel is in {MEMBER_FILE}: take it out first", field=name)
        confirm(f"Give up {name}, and what waits for it?", yes=yes)
        count = control.forget()
    if as_json:
        answer({"name": name, "given_up": count})
    else:
        say(f"{style('forgotten', fg='green')} {name}; {count:,} had waited for it")


def _show(letters: list[Letter]) -> None:
    if not letters:
        say("no dead letters")
    for line in table(
        (
            local(each.at),
            style(clean((each.reference or each.delivery.hex()[:12]).removeprefix("halong:")), bold=True),
            clean(each.notice_type or ""),
            style(clean(each.code), fg="red"),
            f"{each.attempts} tr{'y' if each.attempts == 1 else 'ies'}",
            style(each.delivery.hex()[:12], dim=True),
        )
        for each in letters[:MOST_SHOWN]
    ):
        say(line)
    if len(letters) > MOST_SHOWN:
        note(f"and {len(letters) - MOST_SHOWN:,} more; --json has all")


def _letter(letter: Letter) -> dict[str, Any]:
    return {
        "delivery": letter.delivery.hex(),
        "reference": letter.reference,
        "type": letter.notice_type,
        "code": letter.code,
        "attempts": letter.attempts,
        "at": time_to_json(letter.at),
    }
