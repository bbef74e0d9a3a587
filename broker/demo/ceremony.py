"""The first act: who is a member, and who says so, read back from the signed directory that was just made.

Decides nothing: what is shown stands in the files that a node took over, and every signature in it was
verified again from the root that the node was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from adapters.configuration import load_node_config
from adapters.directory.own import read_own
from broker.configuration import load_hub_config
from broker.demo.acts import Findings
from broker.demo.screen import Screen
from broker.demo.setting import CAST, Setting
from broker.directory.joining import grouped
from broker.directory.layout import Layout
from broker.directory.loading import load_newest
from broker.directory.roles import ROOT, SNAPSHOT, TARGETS, metadata_name, role_of_member
from broker.directory.shapes import encoded, file_of
from broker.directory.sources import trusted_root
from broker.directory.versions import Newest

GROUPS = 9
"""As much of a fingerprint as two groups of four."""


def who_says_so(setting: Setting, seconds: float, screen: Screen, findings: Findings, *, again: bool) -> None:
    """Show what of the directory was signed by whom, and compare the fingerprints that people compare."""
    files = Layout(_copy(setting, CAST[0].id))
    newest = load_newest(files, trusted_root(files.path), reader=CAST[0].id)
    version, terms = newest.version, newest.version.terms
    numbers = {role: line.number for role, line in version.lines.items()} | {SNAPSHOT: version.number}
    signed = {role: _signers(files, newest, role, number) for role, number in numbers.items()}
    names = {id_: terms.holders.get(id_, "") for keys in signed.values() for id_ in keys}
    rows = []
    for role, head, says in (
        (ROOT, "root", "who the secretariat is"),
        (TARGETS, "members", " ".join(version.listings)),
    ):
        must = terms.roles[role]
        by = " ".join(names[id_] for id_ in signed[role])
        rows.append([f"{head} ({must.threshold} of {len(must.keys)})", by, says])
    for id_, listing in version.listings.items():
        by = ", ".join(grouped(bytes.fromhex(each))[:GROUPS] for each in signed[role_of_member(id_)])
        count = len(listing.accessions)
        says = f"{len(listing.member.keys)} keys, {count} agreement{'' if count == 1 else 's'}"
        rows.append([id_, f"its own key {by}", says])
    rows.append(["version", names[signed[SNAPSHOT][0]], "which files it is"])
    screen.columns(("", "signed by", "what that says"), rows)
    until = datetime.fromtimestamp(newest.expires_at / 1000, UTC)
    made = f"looked through and vouched for anew in {seconds:.1f} s" if again else f"made in {seconds:.1f} s"
    screen.line(
        f"version {version.number} {version.directory.version.hex()[:12]}, {made},"
        f" counts until {until:%d %B %H:%M} UTC"
    )
    compared = _fingerprints(setting)
    first = next(iter(compared.values()))
    screen.line(f"fingerprint of the root  {first}")
    findings.facts["directory"] = {
        "version": version.directory.version.hex(),
        "number": version.number,
        "root_signatures": len(signed[ROOT]),
        "secretariat_signatures": len(signed[TARGETS]),
        "members": {id_: len(listing.accessions) for id_, listing in version.listings.items()},
        "fingerprint": first,
        "seconds": round(seconds, 2),
    }
    members = [role.id for role in CAST]
    findings.expect(
        len(signed[ROOT]) >= terms.roles[ROOT].threshold
        and len(signed[TARGETS]) >= terms.roles[TARGETS].threshold
        and set(compared.values()) == {first}
        and all(_is_own(setting, newest, id_) for id_ in members),
        f"{len(version.listings)} members compared: the root is one, the keys named for each its own",
    )


def _signers(files: Mapping[str, bytes], newest: Newest, role: str, number: int) -> list[str]:
    """Return the ids of the keys that signed a role's file, in the order of their names."""
    file = file_of(role, files[metadata_name(role, number)])
    holders = newest.version.terms.holders
    return sorted((each.keyid for each in file.signatures), key=lambda id_: holders.get(id_, id_))


def _fingerprints(setting: Setting) -> dict[str, str]:
    """Return what each reads of the first root, as people read it to each other."""
    hub = load_hub_config(setting.hub)
    places = {"hub": hub.path(hub.directory), **{role.id: _copy(setting, role.id) for role in CAST}}
    return {
        name: grouped(sha256(encoded(file_of(ROOT, trusted_root(path)).signed)).digest())
        for name, path in places.items()
    }


def _copy(setting: Setting, member: str) -> Path:
    config = load_node_config(setting.member(member))
    return config.path(config.directory)


def _is_own(setting: Setting, newest: Newest, member: str) -> bool:
    """Tell whether exactly the keys sign for a member that it made at its own place."""
    return read_own(_copy(setting, member)).keys == set(newest.version.delegations[member].keys)
