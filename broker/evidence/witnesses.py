"""Who cosigned the checkpoint of a bundle: members whose witnesses had seen no other history.

Decides by which keys a member's witness counts: those of use `witness` in its entry, at the time of the
checkpoint.  How many are enough is for whoever reads it; a bundle holds without any.

Source: c2sp.org/tlog-cosignature v1.0.0.
"""

from __future__ import annotations

from broker.core.cosignature import CosignatureKey
from broker.core.directory import Directory
from broker.core.policy import witness_name
from broker.core.signed_note import split_note


def cosigners(note: bytes, directory: Directory, at: int) -> tuple[list[str], int]:
    """Return which members have cosigned a note, and how many could have.

    Raises:
        BadProof: A line names a member's witness and is not by it: then nothing in the note is believed.
    """
    text, lines = split_note(note)
    by, could = [], 0
    for member in sorted(directory.members):
        name = witness_name(directory.network, member)
        keys = [CosignatureKey(name, key.public) for key in directory.witness_keys(member, at)]
        could += bool(keys)
        # All keys are looked at: none may be named by a line that it did not sign.
        if {key.cosigned_at(text, lines) for key in keys} - {None}:
            by.append(member)
    return by, could
