"""The roots of the signed directory: from the one that is trusted without asking to the one of a version.

Decides that each root follows the one before, also in its log, and that its keys are apart from each other.

Source: the TUF specification 1.0.31, sections 4.3 and 5.3; `network`, `log_key`, `ended`,
`holders` are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from typing import cast

from msgspec import UnsetType
from tuf.api.metadata import Root

from broker.core.errors import (
    BadConfiguration,
    BadSuccession,
    DirectoryMalformed,
    DirectoryMixed,
    DirectoryRolledBack,
)
from broker.core.note import LogKey
from broker.core.succession import EndedLog, Succession
from broker.directory.roles import ONLINE, ROOT, TARGETS, TOP, metadata_name
from broker.directory.shapes import RootShape, file_of
from broker.directory.verifying import check_signed, delegation_of, expiry_of, file_there, metadata_of
from broker.directory.versions import Delegation, Line, Memory, Terms

MOST_ROOTS = 256
"""So many roots TUF's client walks through at most; a network changes its root once in years."""


def root_terms(files: Mapping[str, bytes], root: bytes, line: Line | None, memory: Memory) -> Terms:
    """Return the terms of the root that `line` names, or of the trusted one, after the whole way to it.

    Raises:
        UnfitDirectory: With the code of what is wrong.
    """
    terms = memory.once((ROOT, root), partial(_terms, root, None))
    if line is None:
        return terms
    if line.number < terms.number:
        raise DirectoryRolledBack("root: older than the one that is trusted", field=ROOT)
    for number in range(terms.number + 1, line.number + 1):
        data = file_there(files, metadata_name(ROOT, number), ROOT)
        terms = memory.once((ROOT, terms.digest, data), partial(_terms, data, terms))
    if Line(terms.number, terms.digest, terms.length) != line:
        raise DirectoryMixed("root: not the one that the snapshot names", field=ROOT)
    return terms


def _terms(data: bytes, before: Terms | None) -> Terms:
    shape: RootShape = file_of(ROOT, data).signed
    metadata = metadata_of(ROOT, data)
    root = cast("Root", metadata.signed)
    # 1. Each role has keys of its own, strong ones, each under its own id; the hub's two may be one.
    roles = {role: delegation_of(root, role) for role in TOP}
    _check_root_keys(root, roles)
    # 2. It follows the root before, in its number and in the network that it is the root of.
    trusted = root if before is None else before.signed
    known = roles[ROOT].keys
    if before is not None:
        if root.version != before.number + 1:
            raise DirectoryMixed("root: another number than its name says", field=ROOT)
        if shape.network != before.network:
            raise DirectoryMalformed("root: of another network than the one before", field=ROOT)
        known += before.roles[ROOT].keys
    # 3. As many as must have signed it: of its own keys, and of those of the root before.
    check_signed(ROOT, metadata, root, known)
    check_signed(ROOT, metadata, trusted, known)
    # 4. The log's key is one, and its log is that of the root before, or follows from the end of that.
    succession = succession_of(shape)
    if before is not None:
        succession.check_follows(before.succession)
    return Terms(
        number=root.version,
        digest=sha256(data).hexdigest(),
        length=len(data),
        network=shape.network,
        log_key=shape.log_key,
        succession=succession,
        holders=shape.holders,
        roles=roles,
        expires_at=expiry_of(root),
        signed=root,
    )


def succession_of(shape: RootShape) -> Succession:
    """Return the log that a root names, and those before it with their ends.

    Raises:
        DirectoryMalformed: A log's key is none.
        BadSuccession: The logs do not follow from each other.
    """
    try:
        ended = () if isinstance(shape.ended, UnsetType) else shape.ended
        return Succession(
            LogKey.parse(shape.log_key),
            tuple(
                EndedLog(LogKey.parse(each.log_key), tuple(note.encode() for note in each.ends))
                for each in ended
            ),
        )
    except BadSuccession:
        raise
    except BadConfiguration as error:
        raise DirectoryMalformed(f"root: {error}", field=ROOT) from None


def _check_root_keys(root: Root, roles: Mapping[str, Delegation]) -> None:
    offline = [key for role in (ROOT, TARGETS) for key in roles[role].keys]
    online = {key for role in ONLINE for key in roles[role].keys}
    if len(set(offline)) != len(offline) or online & set(offline):
        raise DirectoryMalformed("root: a key is in two roles", field=ROOT)
    if {key.id.hex() for key in (*offline, *online)} != set(root.keys):
        raise DirectoryMalformed("root: a key is in no role", field=ROOT)
