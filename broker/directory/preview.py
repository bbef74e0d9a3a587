"""What a change of the directory would change, and who must still sign it, as lines for people.

Decides nothing: it compares what is signed with the version in force.  Whoever signs reads these lines, so
each difference has one, and what nobody will take is said to be so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256

from broker.core.directory import Member, MemberKey, TransportKey
from broker.core.errors import BadConfiguration, WeakKey
from broker.core.keys import PublicKey
from broker.directory.change import Change
from broker.directory.member_file import parse_member
from broker.directory.roles import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    agreement_of,
    delegated_paths,
    entry_path,
    file_name,
    member_of_role,
)
from broker.directory.roots import succession_of
from broker.directory.shapes import RootShape
from broker.directory.signers import Need
from broker.directory.verifying import delegation_of
from broker.directory.versions import Terms, Version

ROLES = {
    ROOT: "root keys",
    TARGETS: "keys of the secretariat",
    SNAPSHOT: "keys of the hub",
    TIMESTAMP: "keys of the hub for timestamps",
}


def describe(
    change: Change, before: Version | None, files: Mapping[str, bytes] | None = None
) -> tuple[str, ...]:
    """Return what the change changes, one sentence each; it has at least one line.

    Args:
        change: The change.
        before: The version in force; None for a network that has none yet.
        files: Where entries are that do not travel with the change, by name as in `layout`.
    """
    match change.role:
        case "root":
            lines = list(_root(change, before))
        case "targets":
            lines = list(_targets(change, before))
        case _:
            lines = list(_member(change, before, {} if files is None else files))
    line = None if before is None else before.lines.get(change.role)
    wanted = 1 if line is None else line.number + 1
    if change.number != wanted:
        lines.append(f"its number is not {wanted}, the next, and nobody will take this")
    until = f"{change.role} {change.number}: valid until {change.shape.expires[:10]}"
    return (until, *(lines or ["nothing else changes"]))


def say_needs(needs: Sequence[Need], holders: Mapping[str, str]) -> tuple[str, ...]:
    """Return who has signed and who must still sign, one sentence for each group of keys.

    Args:
        needs: From `signers.needs_of`.
        holders: Who holds a key, by its id in hexadecimal.
    """
    return tuple(_need(need, holders) for need in needs)


def key_name(key: PublicKey, holders: Mapping[str, str]) -> str:
    """Return how people call a key: its holder if one is named, and the beginning of its id."""
    short = short_id(key.id)
    return f"{holders[key.id.hex()]} ({short})" if key.id.hex() in holders else f"key {short}"


def short_id(id_: bytes) -> str:
    """Return the beginning of a key's id, in groups that people can read to each other."""
    text = id_.hex()[:16]
    return " ".join(text[start : start + 4] for start in range(0, 16, 4))


def _need(need: Need, holders: Mapping[str, str]) -> str:
    signed = ", ".join(key_name(key, holders) for key in need.signed) or "nobody"
    said = f"of {need.whose}, {need.threshold} of {len(need.keys)} must sign; signed by {signed}"
    if not need.missing:
        return f"{said}: enough"
    waiting = ", ".join(key_name(key, holders) for key in need.waiting)
    return f"{said}; {need.missing} more of {waiting}"


def _root(change: Change, before: Version | None) -> Iterator[str]:
    shape = change.shape
    terms = None if before is None else before.terms
    if terms is None or shape.network != terms.network:
        yield f"the network is {shape.network}"
    if terms is None or shape.log_key != terms.log_key:
        yield f"the log's key is {shape.log_key}"
    yield from _logs_ended(shape, terms)
    delegations = {role: delegation_of(change.delegator, role) for role in ROLES}
    for role, words in ROLES.items():
        now = delegations[role]
        held = () if terms is None else terms.roles[role].keys
        # The hub's two roles are spoken of as one while they have the same keys.
        if (
            role == TIMESTAMP
            and now == delegations[SNAPSHOT]
            and (terms is None or terms.roles[TIMESTAMP] == terms.roles[SNAPSHOT])
        ):
            continue
        holders = {**({} if terms is None else terms.holders), **shape.holders}
        yield from _keys_changed(words, held, now.keys, holders)
        if terms is None or now.threshold != terms.roles[role].threshold:
            yield f"{words}: {now.threshold} of {len(now.keys)} must sign"
    for id_ in sorted(set() if terms is None else set(shape.keys) & set(terms.signed.keys)):
        name = shape.holders.get(id_, "nobody who is named")
        if terms is not None and name != terms.holders.get(id_, "nobody who is named"):
            yield f"key {id_[:16]} is now held by {name}"


def _logs_ended(shape: RootShape, terms: Terms | None) -> Iterator[str]:
    try:
        succession = succession_of(shape)
        if terms is not None:
            succession.check_follows(terms.succession)
    except BadConfiguration as error:
        yield f"{error}, and nobody will take this"
        return
    known = {} if terms is None else {each.log: each for each in terms.succession.ended}
    for each in succession.ended:
        if each.heads != (known[each.log].heads if each.log in known else ()):
            first, last = each.heads[0], each.heads[-1]
            yield f"the log {each.log.name} ends with {last.size} leaves, root {last.root.hex()}"
            yield f"of these the hub still has the first {first.size}, and lacks {len(each.missing)}"
            shown = ", ".join(str(head.size) for head in each.heads)
            yield f"its end is shown by checkpoints of {shown} leaves"


def _targets(change: Change, before: Version | None) -> Iterator[str]:
    delegator = change.delegator
    known = {} if before is None else before.known
    found = {each.name: each for each in change.shape.delegations.roles}
    now = {member_of_role(name): delegation_of(delegator, name).keys for name in found}
    held = {} if before is None else {id_: each.keys for id_, each in before.delegations.items()}
    for id_ in sorted(set(known) - set(now)):
        yield f"what {id_} said of its keys would be forgotten, and nobody will take this"
    for name in sorted(found):
        id_ = member_of_role(name) or ""
        if not id_:
            yield f"{name} is no member's role, and nobody will take this"
        elif not found[name].paths:
            if id_ in held:
                yield f"{id_} is no longer a member; what it said of its keys stays known"
            if id_ not in known:
                yield f"{id_} would have left without having been a member, and nobody will take this"
            elif set(now[id_]) != set(known[id_].delegation.keys):
                yield f"{id_} would have left with other keys than its own, and nobody will take this"
        elif id_ in known and id_ not in held:
            keys = ", ".join(short_id(key.id) for key in now[id_])
            yield f"{id_} becomes a member again; its files may be signed with {keys}"
        elif id_ not in held:
            keys = ", ".join(short_id(key.id) for key in now[id_])
            yield f"{id_} becomes a member; its files may be signed with {keys}"
        else:
            yield from _keys_changed(f"{id_} signs its files", held[id_], now[id_], {})
        each = found[name]
        paths = delegated_paths(id_) if each.paths else []
        if id_ and (each.paths, each.threshold, each.terminating) != (paths, 1, True):
            yield f"{id_} would sign other than its own files alone, and nobody will take this"
    if set(change.shape.delegations.keys) != {key for each in found.values() for key in each.keyids}:
        yield "a key is listed that signs for nobody, and nobody will take this"


def _member(change: Change, before: Version | None, files: Mapping[str, bytes]) -> Iterator[str]:
    listing = None if before is None else before.listings.get(change.member)
    digest = change.entry_digest or ""
    text = change.files.get(digest) or files.get(file_name(digest))
    if text is None or sha256(text).hexdigest() != digest:
        yield "its entry is not here, so what changes in it cannot be said"
    else:
        try:
            entry = parse_member(text, entry_path(change.member))
        except (BadConfiguration, WeakKey) as error:
            yield f"its entry cannot be used, and nobody will take this: {error}"
        else:
            known = None if before is None else before.known.get(change.member)
            yield from _entry(None if known is None else known.member, entry)
    own = entry_path(change.member)
    listed = {path: each.hashes.sha256 for path, each in change.shape.targets.items() if path != own}
    had = {} if listing is None else {p: e.hashes.sha256 for p, e in listing.listed.items() if p != own}
    for path in sorted(set(had) - set(listed)):
        yield f"leaves {_agreement(path)}"
    for path, text_digest in sorted(listed.items()):
        if agreement_of(change.member, path) is None:
            yield f"lists {path!a}, which is not its own, and nobody will take this"
        elif path not in had:
            yield f"accedes to {_agreement(path)}, whose text has SHA-256 {text_digest}"
        elif had[path] != text_digest:
            yield f"accedes to another text of {_agreement(path)}, with SHA-256 {text_digest}"


def _entry(before: Member | None, after: Member) -> Iterator[str]:
    if before is None:
        regions = ", ".join(region.slug for region in after.regions)
        yield f"{after.id} is {after.name}, {after.member_class.value}, in {regions}"
    else:
        if before.name != after.name:
            yield f"{after.id} is now called {after.name}"
        if before.member_class != after.member_class:
            yield f"{after.id} is now of class {after.member_class.value}"
        if before.regions != after.regions:
            yield f"{after.id} is now in {', '.join(region.slug for region in after.regions)}"
    held = {} if before is None else {key.id: key for key in _all_keys(before)}
    for key in _all_keys(after):
        yield from _key(held.pop(key.id, None), key)
    for key in held.values():
        yield f"{_called(key)} is no longer listed, and nobody will take this"


def _key(before: MemberKey | TransportKey | None, after: MemberKey | TransportKey) -> Iterator[str]:
    called = _called(after)
    if before is None:
        yield f"{called} counts from {_moment(after.valid_from)}"
    if after.valid_until is not None and (before is None or before.valid_until != after.valid_until):
        yield f"{called} counts until {_moment(after.valid_until)}"
    revoked = after.revoked_at, after.reason
    if after.revoked_at is not None and (before is None or (before.revoked_at, before.reason) != revoked):
        reason = "without a reason" if after.reason is None else f"as {after.reason.value}"
        yield f"{called} is revoked {reason} since {_moment(after.revoked_at)}"
    if isinstance(after, MemberKey) and after.pq_required_from is not None:
        asked = before.pq_required_from if isinstance(before, MemberKey) else None
        if asked != after.pq_required_from:
            yield f"every notice must be countersigned from {_moment(after.pq_required_from)}"


def _all_keys(member: Member) -> list[MemberKey | TransportKey]:
    return [*member.keys, *member.transport_keys]


def _called(key: MemberKey | TransportKey) -> str:
    use = key.use.value if isinstance(key, MemberKey) else "transport"
    return f"the {use} key {short_id(key.id)}"


def _keys_changed(
    words: str, before: Collection[PublicKey], after: Collection[PublicKey], holders: Mapping[str, str]
) -> Iterator[str]:
    added = [key_name(key, holders) for key in after if key not in before]
    gone = [key_name(key, holders) for key in before if key not in after]
    if added:
        yield f"{words}: from now on also {', '.join(added)}"
    if gone:
        yield f"{words}: no longer {', '.join(gone)}"


def _agreement(path: str) -> str:
    return path.split("/agreements/", 1)[-1].removesuffix(".toml")


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
