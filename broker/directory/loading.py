"""One whole version of the signed directory, from bytes that anybody may have written to a `Version`.

Decides what is a version: which root stands behind it, that each role is signed by whom it must, that a file
is the one that the snapshot names, that roles list what they may and nothing else.  Knows no time: a past
version is loaded like the one of the day.

Who left is part of a version, by its last role and entry: the snapshot names them as ever, and the
secretariat goes on naming the keys that signed them, without a path.  So whoever comes new learns of its keys
what all others know, and neither the hub, which signs snapshots, nor whoever has the id next can say anything
else of them.  It takes no file of another kind.

That a version follows the one before is decided in `continuity`; what keys and agreements mean, in
`core.directory` and `core.agreements`.

`files` are found under the names of `roles`: `metadata/<n>.<role>.json` and `files/<sha256>`.

Source: the TUF specification 1.0.31, section 5.3 to 5.6, without expiry; python-tuf verifies signatures,
thresholds, lengths and digests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from typing import cast

from tuf.api.metadata import Targets

from broker.core.agreements import Agreement, parse_agreement
from broker.core.directory import Directory, Member, Use
from broker.core.errors import (
    BadConfiguration,
    DirectoryMalformed,
    DirectoryMixed,
    WeakKey,
)
from broker.core.keys import spki_digest
from broker.directory.member_file import parse_member
from broker.directory.roles import (
    MEMBER,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    TIMESTAMP_NAME,
    agreement_of,
    agreement_path,
    delegated_paths,
    entry_path,
    file_name,
    member_of_role,
    metadata_name,
    role_of_member,
)
from broker.directory.roots import root_terms
from broker.directory.shapes import (
    MOST_LISTED_BYTES,
    MemberShape,
    SnapshotShape,
    TargetsShape,
    TimestampShape,
    file_of,
)
from broker.directory.verifying import (
    check_file,
    check_named,
    check_number,
    check_signed,
    delegation_of,
    expiry_of,
    file_there,
    line_of,
    metadata_of,
)
from broker.directory.versions import Delegation, Line, Listing, Memory, Newest, Terms, Version


def load_newest(
    files: Mapping[str, bytes],
    root: bytes,
    *,
    reader: str | None = None,
    memory: Memory | None = None,
    before: Newest | None = None,
) -> Newest:
    """Return the version that the timestamp names, and until when the hub vouches for it.

    Args:
        files: All that is there, by name.
        root: A root that is trusted without asking, as its bytes.
        reader: The member that reads, which has all files that its own role lists; None has all files.
        memory: What was verified before.
        before: What was loaded last; its version is the answer again if it is still the newest.

    Raises:
        UnfitDirectory: With the code of what is wrong.
    """
    memory = Memory() if memory is None else memory
    data = file_there(files, TIMESTAMP_NAME, TIMESTAMP)
    shape: TimestampShape = file_of(TIMESTAMP, data).signed
    named = line_of(shape.meta.snapshot)
    if before is not None and before.version.directory.version.hex() == named.digest:
        version = before.version
    else:
        # 1. The snapshot that it names is there, is the very one, and is a version.
        check_named(files, SNAPSHOT, named)
        version = load_version(files, named.number, root, reader=reader, memory=memory)
    # 2. The hub signed it, with its key under the root of that version.
    stamp = metadata_of(TIMESTAMP, data)
    check_signed(TIMESTAMP, stamp, version.terms.signed, version.terms.roles[TIMESTAMP].keys)
    return Newest(version, shape.version, data, expiry_of(stamp.signed))


def load_version(
    files: Mapping[str, bytes],
    number: int,
    root: bytes,
    *,
    reader: str | None = None,
    memory: Memory | None = None,
) -> Version:
    """Return the version of this number, if all of it is genuine and fits together.

    Args:
        files: All that is there, by name.
        number: That of the version's snapshot.
        root: A root that is trusted without asking, as its bytes.
        reader: The member that reads, which has all files that its own role lists; None has all files.
        memory: What was verified before.

    Raises:
        UnfitDirectory: With the code of what is wrong.
    """
    memory = Memory() if memory is None else memory
    # 1. The snapshot has its form, and names roles of ours alone.
    data = file_there(files, metadata_name(SNAPSHOT, number), SNAPSHOT)
    shape: SnapshotShape = file_of(SNAPSHOT, data).signed
    lines = _lines(shape)
    # 2. The root that it names follows from the trusted one, root by root.
    terms = root_terms(files, root, lines[ROOT], memory)
    # 3. The hub signed the snapshot, under that root and under this number.
    snapshot = metadata_of(SNAPSHOT, data)
    check_signed(SNAPSHOT, snapshot, terms.signed, terms.roles[SNAPSHOT].keys)
    if shape.version != number:
        raise DirectoryMixed("the snapshot says another number than its name", field=SNAPSHOT)
    # 4. The secretariat signed who the members are, and delegates to each its own paths and keys alone.
    targets, delegations, gone = memory.once(
        (TARGETS, lines[TARGETS], terms.digest), partial(_targets, files, lines[TARGETS], terms)
    )
    # 5. Each member signed its role, which lists its own files alone; its entry is there and its own.  So did
    #    who left.
    known: dict[str, Listing] = {}
    for id_, delegation in (*delegations.items(), *gone.items()):
        role = role_of_member(id_)
        if role not in lines:
            raise DirectoryMixed(f"{role}: the snapshot does not name it", field=role)
        known[id_] = memory.once(
            (role, lines[role], delegation), partial(_listing, files, role, lines[role], delegation, targets)
        )
    listings = {id_: known[id_] for id_ in delegations}
    left = {id_: known[id_] for id_ in gone}
    # 6. An agreement is what its path says; who must have its file has it.
    agreements = _agreements(files, listings, reader, memory)
    # 7. No key of the network's own is a member's, or was.
    _check_apart(terms, known)
    directory = _directory(sha256(data).digest(), terms, listings, left, agreements)
    digests = dict(_digests(lines, Line(number, directory.version.hex(), len(data)), listings, left))
    expires_at = min(terms.expires_at, expiry_of(targets), expiry_of(snapshot.signed))
    return Version(directory, number, lines, terms, delegations, listings, left, expires_at, digests)


def _targets(
    files: Mapping[str, bytes], line: Line, terms: Terms
) -> tuple[Targets, Mapping[str, Delegation], Mapping[str, Delegation]]:
    # 1. The very file that the snapshot names, signed by the secretariat.
    data = check_named(files, TARGETS, line)
    shape: TargetsShape = file_of(TARGETS, data).signed
    metadata = metadata_of(TARGETS, data)
    check_number(TARGETS, metadata.signed, line)
    check_signed(TARGETS, metadata, terms.signed, terms.roles[TARGETS].keys)
    targets = cast("Targets", metadata.signed)
    # 2. Each delegation is one member's, to its own paths, or to none if it left, and ends the search.
    delegations: dict[str, Delegation] = {}
    gone: dict[str, Delegation] = {}
    for each in shape.delegations.roles:
        id_ = member_of_role(each.name)
        if id_ is None:
            raise DirectoryMalformed("targets: delegates to no member", field=TARGETS)
        if each.paths not in (delegated_paths(id_), []) or not each.terminating:
            raise DirectoryMalformed(f"targets: {each.name}: not the paths of a member", field=TARGETS)
        if each.threshold != 1:
            raise DirectoryMalformed(f"targets: {each.name}: a member's role has threshold 1", field=TARGETS)
        (delegations if each.paths else gone)[id_] = delegation_of(targets, each.name)
    # 3. No key is there for nothing; that none is in two delegations follows from what entries list.
    used = {key.id.hex() for each in (*delegations.values(), *gone.values()) for key in each.keys}
    if used != set(shape.delegations.keys):
        raise DirectoryMalformed("targets: a key is in no delegation", field=TARGETS)
    return targets, delegations, gone


def _listing(
    files: Mapping[str, bytes], role: str, line: Line, delegation: Delegation, targets: Targets
) -> Listing:
    id_ = role.removeprefix(MEMBER)
    # 1. The very file that the snapshot names.
    data = check_named(files, role, line)
    shape: MemberShape = file_of(role, data).signed
    metadata = metadata_of(role, data)
    check_number(role, metadata.signed, line)
    # 2. It lists the member's entry, and otherwise its agreements, not more than others can be made to hold.
    if sum(each.length for each in shape.targets.values()) > MOST_LISTED_BYTES:
        raise DirectoryMalformed(f"{role}: lists more than {MOST_LISTED_BYTES} bytes", field=role)
    accessions: dict[tuple[str, int], bytes] = {}
    for path, listed in shape.targets.items():
        if path == entry_path(id_):
            continue
        key = agreement_of(id_, path)
        if key is None:
            raise DirectoryMalformed(f"{role}: lists what is not the member's own", field=role)
        accessions[key] = bytes.fromhex(listed.hashes.sha256)
    wanted = shape.targets.get(entry_path(id_))
    if wanted is None:
        raise DirectoryMalformed(f"{role}: lists no entry", field=role)
    # 3. The entry is there and is the one that the member signed; that it is its own is seen by `Directory`.
    text = check_file(files, wanted.hashes.sha256, wanted.length, entry_path(id_))
    member = _entry(text, entry_path(id_))
    if member.accessions:
        raise DirectoryMalformed(f"{entry_path(id_)}: accedes to agreements by itself", field=role)
    # 4. The keys that may sign the role are the member's own keys for the directory.
    own = tuple(key.public for key in member.keys if key.use is Use.DIRECTORY)
    if not set(delegation.keys) <= set(own):
        raise DirectoryMalformed(f"{role}: may be signed by a key that its entry does not list", field=role)
    # 5. The member signed it, and nobody else.
    check_signed(role, metadata, targets, own)
    return Listing(member, text, accessions, shape.targets, delegation, expiry_of(metadata.signed))


def _entry(text: bytes, name: str) -> Member:
    try:
        return parse_member(text, name)
    except (BadConfiguration, WeakKey) as error:
        raise DirectoryMalformed(str(error), field=error.field) from None


def _agreements(
    files: Mapping[str, bytes], listings: Mapping[str, Listing], reader: str | None, memory: Memory
) -> tuple[Agreement, ...]:
    found: dict[str, Agreement] = {}
    for id_, listing in listings.items():
        for key, digest in listing.accessions.items():
            path = agreement_path(id_, *key)
            name, length = digest.hex(), listing.listed[path].length
            if name not in found:
                kept = file_name(name), length
                # Others' agreements are not handed out; one's own must be there, or something is held back.
                if reader not in (None, id_) and not memory.holds(kept) and file_name(name) not in files:
                    continue
                found[name] = memory.once(kept, partial(_agreement, files, name, length, path))
            if (found[name].id, found[name].version) != key or id_ not in found[name].parties:
                raise DirectoryMalformed(f"{path}: is another agreement, or not the member's", field=path)
    return tuple(sorted(found.values(), key=lambda each: (each.id, each.version, each.digest)))


def _agreement(files: Mapping[str, bytes], digest: str, length: int, path: str) -> Agreement:
    text = check_file(files, digest, length, path)
    try:
        return parse_agreement(text, path)
    except BadConfiguration as error:
        raise DirectoryMalformed(str(error), field=error.field) from None


def _check_apart(terms: Terms, listings: Mapping[str, Listing]) -> None:
    logs = {log.public for log in terms.succession.logs}
    own = {key for each in terms.roles.values() for key in each.keys} | logs
    ids = {key.id for key in own} | {spki_digest(key) for key in own}
    for id_, listing in listings.items():
        keys, transport = listing.member.keys, listing.member.transport_keys
        if not ids.isdisjoint([*(each.id for each in keys), *(each.id for each in transport)]):
            raise DirectoryMalformed(f"{entry_path(id_)}: lists a key of the network's own", field=id_)


def _directory(
    version: bytes, terms: Terms, listings: Mapping[str, Listing], left: Mapping[str, Listing],
    agreements: tuple[Agreement, ...],
) -> Directory:  # fmt: skip
    former = {id_: listing.member for id_, listing in sorted(left.items())}
    members = {id_: listing.member_with_accessions for id_, listing in sorted(listings.items())}
    try:
        return Directory(version, terms.network, terms.log_key, members, agreements, former)
    except (BadConfiguration, WeakKey) as error:
        raise DirectoryMalformed(str(error), field=error.field) from None


def _lines(shape: SnapshotShape) -> Mapping[str, Line]:
    lines: dict[str, Line] = {}
    for file, named in shape.meta.items():
        role = file.removesuffix(".json")
        if role not in (ROOT, TARGETS) and member_of_role(role) is None:
            raise DirectoryMalformed("snapshot: names a file that is no role's", field=SNAPSHOT)
        lines[role] = line_of(named)
    if ROOT not in lines or TARGETS not in lines:
        raise DirectoryMalformed("snapshot: does not name root and targets", field=SNAPSHOT)
    return lines


def _digests(
    lines: Mapping[str, Line], snapshot: Line, listings: Mapping[str, Listing], left: Mapping[str, Listing]
) -> Iterator[tuple[str, str]]:
    yield metadata_name(SNAPSHOT, snapshot.number), snapshot.digest
    for role in (ROOT, TARGETS, *map(role_of_member, (*listings, *left))):
        yield metadata_name(role, lines[role].number), lines[role].digest
    for listing in listings.values():
        for listed in listing.listed.values():
            yield file_name(listed.hashes.sha256), listed.hashes.sha256
    for listing in left.values():
        digest = sha256(listing.entry).hexdigest()
        yield file_name(digest), digest
