"""`halong feed`: what arrived at this node, as its own store tells it; needs no hub and no running node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec

from adapters.commands import carried
from adapters.commands.options import dir_option
from adapters.member_folder import NodeFolder, open_folder
from adapters.receiving.doubts import Doubts
from adapters.receiving.incoming import Received
from adapters.status import snapshot
from broker.core.model import Delivery, DeliveryHead
from broker.core.notice_json import time_or_none, time_to_json
from broker.core.records import decode
from broker.moments import local
from broker.terminal import Exit, Group, answer, clean, json_option, note, say, style, table
from schemas.obligations import in_words

LOOK_SECONDS = 0.3
PAGE = 500

_COLOURS = {
    "checked": "yellow",
    "delivered": "green",
    "accepted": "cyan",
    "erased": "white",
    "quarantined": "red",
}


@click.group(
    "feed",
    cls=Group,
    invoke_without_command=True,
    examples=[
        "halong feed --dir jp",
        "halong feed --dir jp --follow",
        "halong feed --dir jp --after 120 -n 1000 --json | jq '.items[].reference'",
    ],
)
@click.option("-n", "count", default=20, show_default=True, help="How many at most; the latest ones.")
@click.option("--after", type=int, help="Begin after this place instead of at the latest.")
@click.option("--follow", is_flag=True, help="Go on with what arrives, until stopped.")
@dir_option
@json_option
@click.pass_context
def feed(
    context: click.Context, count: int, after: int | None, follow: bool, folder: Path, as_json: bool
) -> int:
    """Show what arrived at this node: reference, type, which slots, under which agreement, what is asked.

    With --follow and --json each delivery is one line.
    """
    if context.invoked_subcommand is not None:
        return Exit.HELD
    with open_folder(folder, to_read=True) as node:
        start = max(node.incoming.place() - count, 0) if after is None else after
        received = node.incoming.received(after=start, limit=count)
        doubts = Doubts(node.config)
        if as_json and not follow:
            answer(
                {
                    "member": node.config.member,
                    "items": [_object(each, doubts) for each in received],
                    "place": _last(received, start),
                }
            )
            return Exit.HELD
        _print(received, doubts, as_json=as_json)
        if follow:
            # Ctrl-C is how one stops to follow: a good end.
            with suppress(KeyboardInterrupt):
                for fresh in _follow(node, _last(received, start)):
                    _print(fresh, Doubts(node.config), as_json=as_json)
        elif not received:
            _say_why_nothing(node)
    return Exit.HELD


feed.add_command(carried.export)
feed.add_command(carried.import_)


def _follow(node: NodeFolder, place: int) -> Iterator[list[Received]]:
    while True:
        received = node.incoming.received(after=place, limit=PAGE)
        if received:
            place = received[-1].place
            yield received
        elif not node.store.changed_by_others():
            time.sleep(LOOK_SECONDS)


def _last(received: list[Received], start: int) -> int:
    return received[-1].place if received else start


def _head(received: Received) -> DeliveryHead:
    return decode(DeliveryHead, decode(Delivery, received.content).head)


def _object(received: Received, doubts: Doubts) -> dict[str, Any]:
    head = _head(received)
    due = head.obligations.feedback_due
    return {
        "place": received.place,
        "delivery": received.id.hex(),
        "statement": received.statement.hex(),
        "reference": received.reference,
        "type": received.notice_type,
        "state": received.state,
        "code": received.code,
        "lane": received.lane,
        "sequence": received.sequence,
        "slots": [slot.label for slot in head.slots],
        "agreements": [f"{ground.agreement}/{ground.version}" for ground in head.grounds],
        "decided_at": time_to_json(head.decided_at),
        "doubtful_since": time_or_none(doubts.since(decode(Delivery, received.content))),
        "taken_at": time_to_json(received.taken_at),
        "feedback_due": time_or_none(due),
        "retain_until": time_or_none(head.obligations.retain_until),
        "owed": in_words(head.obligations, None),
        "leaf": received.leaf,
    }


def _print(received: list[Received], doubts: Doubts, *, as_json: bool) -> None:
    if as_json:
        for each in received:
            click.echo(msgspec.json.encode(_object(each, doubts)))
        return
    for line in table([_line(each, doubts) for each in received]):
        say(line)


def _line(received: Received, doubts: Doubts) -> tuple[str, ...]:
    head = _head(received)
    since = doubts.since(decode(Delivery, received.content))
    doubt = "" if since is None else f"in doubt: its key was stolen by {local(since)}"
    state = received.state if received.code is None else f"{received.state}: {received.code}"
    due, keep = head.obligations.feedback_due, head.obligations.retain_until
    return (
        style(str(received.place).rjust(5), dim=True),
        local(received.taken_at),
        style(
            clean((received.reference or received.statement.hex()[:12]).removeprefix("halong:")), bold=True
        ),
        clean(received.notice_type or ""),
        style(state, fg=_COLOURS.get(received.state, "white")),
        style(doubt, fg="red", bold=True),
        " ".join(slot.label for slot in head.slots),
        style("by " + " ".join(f"{each.agreement}/{each.version}" for each in head.grounds), dim=True),
        "" if due is None else f"feedback by {local(due)}",
        "" if keep is None else f"keep until {time_to_json(keep)[:10]}",
    )


def _say_why_nothing(node: NodeFolder) -> None:
    now = snapshot(node.store)
    if now.held is not None:
        note(f"nothing arrived yet; the feed stands still: {now.held_code}")
    elif now.reached_at is None:
        note("nothing arrived yet, and the hub was never reached: does `halong member` run?")
    else:
        note("nothing arrived yet")
