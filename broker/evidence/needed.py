"""Which files of a directory go into a bundle: a version whole, but for agreements that are not named.

Decides that an agreement between others is nobody's business in a bundle about something else.  Where the
files come from is the caller's: the hub's folder, or a node's copy of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256

from broker.core.errors import BadEvidence
from broker.core.model import Ground
from broker.directory.loading import load_version
from broker.directory.roles import ROOT, SNAPSHOT, file_name, metadata_name
from broker.directory.versions import Memory, Version
from broker.evidence.versions import NOBODY


def signed_files(
    files: Mapping[str, bytes], root_number: int, numbers: Collection[int], grounds: Collection[Ground]
) -> dict[str, bytes]:
    """Return the files of versions of a signed directory, from the root that is trusted on.

    Args:
        files: All files of the directory by name.
        root_number: The number of the root that is trusted without asking.
        numbers: Those of the versions' snapshots.
        grounds: The agreements that the case names.

    Raises:
        UnfitDirectory: A version is not one that a reader would take.
    """
    memory, found = Memory(), dict[str, bytes]()
    root = files[metadata_name(ROOT, root_number)]
    for number in numbers:
        version = load_version(files, number, root, reader=NOBODY, memory=memory)
        others = _agreements(version) - {file_name(each.digest.hex()) for each in grounds}
        found |= {name: files[name] for name in version.names - others if name in files}
        for each in range(root_number, version.terms.number + 1):
            found[metadata_name(ROOT, each)] = files[metadata_name(ROOT, each)]
    return found


def number_of(files: Mapping[str, bytes], numbers: Collection[int], version: bytes) -> int:
    """Return the number of the snapshot with this digest.

    Raises:
        BadEvidence: It is not here.
    """
    for number in numbers:
        data = files.get(metadata_name(SNAPSHOT, number))
        if data is not None and sha256(data).digest() == version:
            return number
    raise BadEvidence("the version of the directory that the decision names is not here", field="directory")


def _agreements(version: Version) -> set[str]:
    return {
        file_name(digest.hex())
        for listing in version.listings.values()
        for digest in listing.accessions.values()
    }
