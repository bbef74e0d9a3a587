"""A bundle as bytes: a ZIP file in the one form that is accepted.

Decides which names a bundle may have and how large it may be.  Files stand in the order of their names,
stored and not compressed, without times, comments or extra fields; so the same case is the same bytes
everywhere, and no reader can be shown other files than another.  What was read is written again and compared.

Source: PKWARE's APPNOTE 6.3.10, sections 4.3.7 and 4.3.16; Python's zipfile writes.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO

from broker.core.errors import BadEvidence, TooLarge

MOST_FILES = 12_000
MOST_CASE_BYTES = 96 * 1024 * 1024
MOST_NAME_BYTES = 120

NAME = re.compile(
    r"evidence\.json|page\.html|log\.vkey"
    r"|log/(?:checkpoint|first-checkpoint|growth\.json)"
    r"|statement/(?:envelope|seals\.json|leaf\.tlog-proof|leaf\.cose)"
    r"|(?:decision|erasure)/(?:record|leaf\.tlog-proof|leaf\.cose)"
    r"|(?:deliveries/[a-z][a-z0-9-]{1,30}|receipts/[0-9]{1,18})/(?:record|leaf\.tlog-proof|leaf\.cose)"
    r"|directory/(?:metadata/[1-9][0-9]{0,9}\.[a-z][a-z0-9-]{0,39}\.json|files/[0-9a-f]{64})"
    r"|openssl/(?:statement|checkpoint)\.(?:bytes|signature)|openssl/(?:originator|log)\.pem",
    re.ASCII,
)
"""Every name that a file of a bundle can have: none leads out of a folder."""

_HEADER = struct.Struct("<4s5H3I2H")
_FIRST = b"PK\x03\x04"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_PLAIN_FILE = 0o100644 << 16


def write_case(files: Mapping[str, bytes]) -> bytes:
    """Return the files as one bundle."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(entry, files[name])
    return out.getvalue()


def read_case(data: bytes) -> dict[str, bytes]:
    """Return the files of a bundle by name.

    Raises:
        TooLarge: It is larger than any bundle.
        BadEvidence: It is not in the form that `write_case` gives.
    """
    # 1. Nothing is read that is too large.
    if len(data) > MOST_CASE_BYTES:
        raise TooLarge(f"a bundle of more than {MOST_CASE_BYTES} bytes", field="bundle")
    files = _read(data)
    # 2. Names are those of a bundle, and there are not more than one can have.
    if len(files) > MOST_FILES:
        raise BadEvidence(f"more than {MOST_FILES} files", field="bundle")
    if not all(map(NAME.fullmatch, files)):
        raise BadEvidence("a file has a name that no file of a bundle has", field="bundle")
    # 3. All bytes are accounted for: the list of files at the end says what the files themselves say.
    if write_case(files) != data:
        raise BadEvidence(
            "not in the one form of a bundle: altered, or packed by another program", field="bundle"
        )
    return files


def _read(data: bytes) -> dict[str, bytes]:
    """Return what lies from the start of the file on, one file after the other."""
    files: dict[str, bytes] = {}
    at = 0
    while data.startswith(_FIRST, at) and at + _HEADER.size <= len(data):
        size, name_size = _HEADER.unpack_from(data, at)[8:10]
        start = at + _HEADER.size + name_size
        if name_size > MOST_NAME_BYTES or start + size > len(data):
            break
        # No name of a bundle has any other letter; what cannot be read becomes one that is refused.
        name = data[at + _HEADER.size : start].decode("ascii", "replace")
        files[name] = data[start : start + size]
        at = start + size
    return files
