"""A member's entry in the directory, as a TOML file: read strictly, and written in one form.

Decides what a well-formed entry is; that no two members hold one key is decided in `core.directory`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from broker.core.agreement_text import MEMBER, NAME
from broker.core.directory import Member, MemberClass, MemberKey, Revocation, TransportKey, Use
from broker.core.errors import WeakKey
from broker.core.keys import Algorithm, PublicKey, check_registrable
from broker.core.model import Region
from broker.core.strict_toml import Table

CLASSES = {value.value: value for value in MemberClass}
REGIONS = {region.slug: region for region in Region}
REASONS = {value.value: value for value in Revocation}
ALGORITHMS = {
    Use.SIGN: (Algorithm.ED25519, Algorithm.ESP256, Algorithm.ML_DSA_65),
    Use.DIRECTORY: (Algorithm.ED25519, Algorithm.ESP256),
    Use.SEAL: (Algorithm.MLKEM768_X25519,),
    Use.WITNESS: (Algorithm.ED25519,),
}
USES = {value.value: value for value in Use}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_member(text: bytes, file: str) -> Member:
    """Return the member of this file; `file` is named in messages.

    Raises:
        BadConfiguration: Naming file and entry, what is wrong and what is possible.
        WeakKey: A key must not be registered.
    """
    table = Table.parse(text, file)
    keys: list[MemberKey] = []
    transport_keys: list[TransportKey] = []
    for entry in table.tables("key"):
        use = entry.choice("use", USES)
        if use is Use.TRANSPORT:
            transport_keys.append(_transport_key(entry))
        else:
            keys.append(_key(entry, use))
        entry.finish()
    member = Member(
        id=table.text("id", MEMBER),
        name=table.text("name"),
        member_class=table.choice("class", CLASSES),
        regions=table.choices("regions", REGIONS),
        keys=tuple(keys),
        transport_keys=tuple(transport_keys),
        accessions=_accessions(table.table("accessions")) if table.has("accessions") else {},
    )
    table.finish()
    return member


def member_text(member: Member) -> str:
    """Return the member's file; `parse_member` reads the same member from it."""
    lines = [
        f"id = {_quoted(member.id)}",
        f"name = {_quoted(member.name)}",
        f"class = {_quoted(member.member_class.value)}",
        f"regions = [{', '.join(_quoted(region.slug) for region in member.regions)}]",
    ]
    if member.accessions:
        lines += ["", "[accessions]"]
        lines += [
            f'"{id_}/{version}" = "{digest.hex()}"'
            for (id_, version), digest in sorted(member.accessions.items())
        ]
    for key in member.keys:
        lines += ["", "[[key]]", f"use = {_quoted(key.use.value)}"]
        lines += [
            f"algorithm = {_quoted(key.public.algorithm.value)}",
            f'public = "{key.public.raw.hex()}"',
        ]
        lines += _life(key)
        if key.pq_required_from is not None:
            lines.append(f"pq_required_from = {_moment(key.pq_required_from)}")
    for transport in member.transport_keys:
        lines += ["", "[[key]]", 'use = "transport"', f'spki_sha256 = "{transport.id.hex()}"']
        lines += _life(transport)
    return "\n".join(lines) + "\n"


def _key(table: Table, use: Use) -> MemberKey:
    algorithm = table.choice("algorithm", {each.value: each for each in ALGORITHMS[use]})
    public = PublicKey(algorithm, table.hexadecimal("public", algorithm.public_bytes))
    try:
        check_registrable(public)
    except WeakKey as error:
        where = table.place("public")
        raise WeakKey(f"{where}: {error}", field=where) from None
    valid_from, valid_until, revoked_at, reason = _read_life(table)
    pq_required_from = None
    if table.has("pq_required_from"):
        pq_required_from = table.moment("pq_required_from")
        if use is not Use.SIGN:
            table.fail("pq_required_from", "only keys for signing are countersigned")
    return MemberKey(public.id, use, public, valid_from, valid_until, revoked_at, reason, pq_required_from)


def _transport_key(table: Table) -> TransportKey:
    return TransportKey(table.hexadecimal("spki_sha256", 32), *_read_life(table))


def _read_life(table: Table) -> tuple[int, int | None, int | None, Revocation | None]:
    valid_from = table.moment("valid_from")
    valid_until = table.moment("valid_until") if table.has("valid_until") else None
    if valid_until is not None and valid_until <= valid_from:
        table.fail("valid_until", "must be later than valid_from")
    revoked_at = table.moment("revoked_at") if table.has("revoked_at") else None
    reason = table.choice("reason", REASONS) if revoked_at is not None or table.has("reason") else None
    if reason is not None and revoked_at is None:
        table.fail("revoked_at", "is missing: a reason says why the key was revoked, this says since when")
    return valid_from, valid_until, revoked_at, reason


def _accessions(table: Table) -> Mapping[tuple[str, int], bytes]:
    accessions: dict[tuple[str, int], bytes] = {}
    for key in table.names():
        id_, _, version = key.partition("/")
        if not NAME.holds(id_) or not re.fullmatch("[1-9][0-9]{0,6}", version):
            table.fail(key, 'must be an agreement and its version, such as "jp-vn-2026/3"')
        accessions[id_, int(version)] = table.hexadecimal(key, 32)
    return accessions


def _life(key: MemberKey | TransportKey) -> list[str]:
    times = {"valid_from": key.valid_from, "valid_until": key.valid_until, "revoked_at": key.revoked_at}
    lines = [f"{name} = {_moment(time)}" for name, time in times.items() if time is not None]
    return lines if key.reason is None else [*lines, f"reason = {_quoted(key.reason.value)}"]


def _moment(time: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=time)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(text: str) -> str:
    # JSON's strings are TOML's, but for DEL, which no name contains.
    return json.dumps(text, ensure_ascii=False)
