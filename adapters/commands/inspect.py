"""`halong inspect`: a notice in a file, checked by a key that is passed; needs no hub, node or network.

The checks are those of `broker.core`, by way of `adapters.inspecting`; here they are told to a person or a
program.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from adapters.commands.inspected import as_lines, as_object
from adapters.configuration import load_node_config
from adapters.inspecting import MOST_FILE_BYTES, Found, Inspection, Keys, inspect_found, read_file
from adapters.receiving.doubts import Doubts
from broker.core.errors import BadConfiguration, Refused, WeakKey
from broker.core.keys import Algorithm, PublicKey, check_registrable
from broker.core.signing import to_be_signed
from broker.files import write_whole
from broker.terminal import (
    FOLDER,
    READABLE,
    Command,
    Exit,
    answer,
    complain,
    from_error,
    json_option,
    note,
    say,
)
from schemas import load_catalogue

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _key_option(name: str, algorithms: Sequence[Algorithm], text: str) -> Decorator:
    """Return an option for a raw public key in hex, whose length tells its algorithm."""

    def parsed(_: click.Context, __: click.Parameter, value: str | None) -> PublicKey | None:
        if value is None:
            return None
        possible = " or ".join(f"{one.public_bytes} bytes ({one.value})" for one in algorithms)
        try:
            key = PublicKey.of_raw(bytes.fromhex(value))
            check_registrable(key)
        except (ValueError, WeakKey) as error:
            raise click.BadParameter(f"not a public key, {error}; possible are {possible}") from None
        if key.algorithm not in algorithms:
            raise click.BadParameter(f"a key of {key.algorithm.value}; possible are {possible}")
        return key

    return click.option(name, metavar="HEX", callback=parsed, help=text)


@click.command(
    "inspect",
    cls=Command,
    examples=[
        "halong inspect 17.envelope",
        "halong inspect 17.envelope --public-key eb230ded…cd --network halong-live",
        "halong inspect 17.envelope --tbs 17.tbs    # then: openssl pkeyutl -verify -rawin -in 17.tbs …",
    ],
)
@click.argument("file", type=READABLE)
@_key_option(
    "--public-key",
    (Algorithm.ED25519, Algorithm.ESP256),
    "The originator's raw public key: 32 bytes are Ed25519, 65 are ESP256.",
)
@_key_option(
    "--pq-public-key",
    (Algorithm.ML_DSA_65,),
    "Its raw ML-DSA-65 key: then the countersignature must be there and hold.",
)
@click.option("--network", help="The network that the notice was signed for; needed with a key.")
@click.option("--schema", "schema_path", type=READABLE, help="The schema of a type outside of the catalogue.")
@click.option("--gateway", is_flag=True, help="Nothing may be missing, as when the notice is published.")
@click.option(
    "--tbs",
    "tbs_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Write the bytes that the signature covers, for other programs to verify.",
)
@click.option(
    "--dir",
    "folder",
    type=FOLDER,
    help="The node whose directory says whether the key was stolen; of a delivery, which bears its time.",
)
@json_option
def inspect(
    file: Path, public_key: PublicKey | None, pq_public_key: PublicKey | None, network: str | None,
    schema_path: Path | None, gateway: bool, tbs_path: Path | None, folder: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Check a notice in a file: an envelope or a delivery, raw or as Kafka has it.

    Without a key its signature is not checked, nor what hangs on it: the exit code is 3.  No clock is asked.
    Of a delivery the notice is checked, and that its content is what the head names; the head is the hub's.
    """
    keys = None
    if public_key is not None:
        if network is None:
            raise click.UsageError("--public-key needs --network: a notice is signed for one network")
        keys = Keys.passed(network, public_key, pq_public_key)
    elif pq_public_key is not None:
        raise click.UsageError("--pq-public-key needs --public-key: it countersigns another signature")
    catalogue = load_catalogue() if schema_path is None else load_catalogue(_schema(schema_path))

    with file.open("rb") as opened:
        data = opened.read(MOST_FILE_BYTES + 1)
    try:
        found = read_file(data)
        if tbs_path is not None:
            _write_tbs(found, tbs_path)
    except Refused as refused:
        inspection = Inspection(Found(None), refused=refused)
    else:
        inspection = inspect_found(found, keys, catalogue, gateway=gateway)

    doubts = None if folder is None else Doubts(load_node_config(folder))
    delivery = inspection.found.delivery
    # Of what does not hold, nothing is relied on, the time of its decision neither.
    since = None
    if doubts is not None and delivery is not None and inspection.refused is None:
        since = doubts.since(delivery)
    if as_json:
        answer(as_object(inspection, since))
    else:
        for line in as_lines(inspection, keys, since):
            say(line)
        if inspection.refused is not None:
            complain(
                from_error(inspection.refused, where=f"{file}: {inspection.refused.field or 'its form'}")
            )
    click.get_current_context().exit(_exit(inspection))


def _schema(path: Path) -> Mapping[str, Any]:
    try:
        schema = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise BadConfiguration("not JSON, or nested too deeply", field=str(path)) from None
    if not isinstance(schema, dict):
        raise BadConfiguration("not the schema of a record", field=str(path))
    return schema


def _write_tbs(found: Found, path: Path) -> None:
    if found.arrived is None:
        note("no bytes to write: the content is erased")
        return
    envelope = found.arrived.envelope
    data = to_be_signed(envelope.header, envelope.signature)
    write_whole(path, data)
    note(f"wrote the {len(data)} bytes that the signature covers to {path}")


def _exit(inspection: Inspection) -> Exit:
    if inspection.refused is not None:
        return Exit.FAILED
    return Exit.HELD if inspection.notice is not None else Exit.NOT_CHECKED
