"""The directory in a bundle: which version it is, and on whose word.

It is judged as a node judges it (`broker.directory.loading`), with the roots in the bundle from the one that
is trusted on.  Agreements of others need not be there, files for nothing must not.

Decides which of the files make the version that a decision names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from broker.core.directory import Directory
from broker.core.errors import BadEvidence
from broker.directory.loading import load_version
from broker.directory.roles import ROOT, SNAPSHOT, metadata_name
from broker.directory.roots import root_terms
from broker.directory.versions import Memory

NOBODY = ""
"""As the reader of a signed version: whoever it is need not have any agreement."""

_METADATA = re.compile(r"metadata/([1-9][0-9]{0,9})\.([a-z][a-z0-9-]{0,39})\.json", re.ASCII)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version, which files it is made of, and the SHA-256 (hex) of the root that stands behind it.

    `expected` says whether that root is the one that was asked for.
    """

    directory: Directory
    names: frozenset[str]
    root: str
    expected: bool


def load_in_bundle(
    files: Mapping[str, bytes], version: str, root: str | None, memory: Memory | None = None
) -> Loaded:
    """Return a version whose files are in a bundle.

    Args:
        files: The files of the directory by name.
        version: The SHA-256 of its snapshot, in hexadecimal.
        root: The SHA-256 of the root that is trusted, in hexadecimal; None relies on the oldest one there.
        memory: What was verified before.

    Raises:
        BadEvidence: The version, or the root, is not there.
        UnfitDirectory: It is no version that a reader would take.
    """
    roots = _numbered(files, ROOT)
    # 1. The root is the one that is trusted, or the oldest, which whoever reads the answer has to judge.
    if not roots:
        raise BadEvidence("the directory in the bundle has no root", field="root")
    digests = {sha256(files[name]).hexdigest(): name for _, name in sorted(roots.items(), reverse=True)}
    if root is not None and root not in digests:
        raise BadEvidence("the directory in the bundle has not the root that is trusted", field="root")
    fingerprint = next(reversed(digests)) if root is None else root
    # 2. The version is there, by its very bytes.
    numbers = [
        number
        for number, name in _numbered(files, SNAPSHOT).items()
        if sha256(files[name]).hexdigest() == version
    ]
    if len(numbers) != 1:
        raise BadEvidence("the version of the directory that is named is not there", field="directory")
    # 3. It is genuine, from that root on.
    memory = memory or Memory()
    found = load_version(files, numbers[0], files[digests[fingerprint]], reader=NOBODY, memory=memory)
    # 4. To that root lead the older ones, of which the page names the oldest.
    oldest = min(roots)
    if root_terms(files, files[roots[oldest]], None, memory).number != oldest:
        raise BadEvidence("a root has another number than its name says", field="root")
    root_terms(files, files[roots[oldest]], found.lines[ROOT], memory)
    names = found.names | {metadata_name(ROOT, each) for each in range(oldest, found.terms.number + 1)}
    return Loaded(found.directory, frozenset(names), fingerprint, root is not None)


def _numbered(files: Mapping[str, bytes], role: str) -> dict[int, str]:
    found = {name: _METADATA.fullmatch(name) for name in files}
    return {int(each[1]): name for name, each in found.items() if each is not None and each[2] == role}


def check_nothing_more(files: Mapping[str, bytes], *loaded: Loaded) -> None:
    """Let files pass of which each is part of a version, and is the one that its name says.

    Raises:
        BadEvidence: One is not.
    """
    used = frozenset[str]().union(*(each.names for each in loaded))
    for name, data in files.items():
        if name not in used:
            raise BadEvidence("belongs to no version that is needed", field=f"directory/{name}")
        if name.startswith("files/") and sha256(data).hexdigest() != name.removeprefix("files/"):
            raise BadEvidence("is not the file that its name says", field=f"directory/{name}")
