"""`halong hub erase`: the operator orders that the contents of a notice are erased."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from broker.clock import SystemClock
from broker.commands.audit.reading import stored_log
from broker.commands.due import StoredHeaders, erased_statements
from broker.configuration import HubConfig, load_hub_config
from broker.core.model import ErasureGround, Header
from broker.core.notice_json import time_to_json
from broker.services.orders import Orders
from broker.terminal import (
    FOLDER,
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

PREFIX = "halong:"


@click.command(
    "erase",
    cls=Command,
    examples=[
        'halong hub erase vn/asia-pacific/main/17 --dir hub --because "court order 12/2026"',
        "halong hub erase halong:vn/asia-pacific/main/17 --ground termination --because ended --yes --json",
    ],
)
@click.argument("reference")
@click.option(
    "--dir", "folder", type=FOLDER, default=Path(), envvar="HALONG_DIR",
    help="The hub's folder; this one, or $HALONG_DIR.",
)  # fmt: skip
@click.option(
    "--ground",
    type=click.Choice([each.name.lower() for each in ErasureGround]),
    default=ErasureGround.ORDER.name.lower(),
    show_default=True,
    help="Why it is erased.",
)
@click.option("--because", required=True, help="What a reader of the order must know; never the content.")
@yes_option
@json_option
def erase(reference: str, folder: Path, ground: str, because: str, yes: bool, as_json: bool) -> None:
    """Order that the contents of the notice with this REFERENCE are erased from the hub, for good.

    Values and salts go from the notice and from every delivery; header, signature, decision, proofs and
    leaves stay, and the log verifies as before.  A hub that runs carries the order out within seconds.
    """
    config = load_hub_config(folder)
    name = reference if reference.startswith(PREFIX) else PREFIX + reference
    statement, header, gone = asyncio.run(_looked_up(config, name))
    note(f"{style(name.removeprefix(PREFIX), bold=True)}  {clean(header.notice_type)}")
    for line in table(
        [
            ("issued", time_to_json(header.issued_at)),
            ("erased", "already" if gone else "values and salts of the notice and of every delivery"),
            ("stays", "header, signature, decision, receipts, proofs, leaves"),
            ("ground", ground),
            ("because", clean(because)),
        ]
    ):
        note(line)
    if not gone:
        confirm("Erase it?", yes=yes)
        orders = Orders(config.root, config.network)
        orders.write(statement, name, ErasureGround[ground.upper()], because, SystemClock().now())
    if as_json:
        answer({"statement": statement.hex(), "reference": name, "ground": ground, "erased": gone})
    elif gone:
        say("it was erased before; nothing is ordered")
    else:
        say(f"{style('ordered', fg='green')} {name.removeprefix(PREFIX)}")
        note(f"next: `halong audit due {folder}` lists it until the hub has erased it")


async def _looked_up(config: HubConfig, reference: str) -> tuple[bytes, Header, bool]:
    async with stored_log(config) as log:
        statement, header = await StoredHeaders(log).named(reference)
        return statement, header, statement in await erased_statements(log)
