"""What the vectors are about: keys, the catalogue with the type `sample`, and a keyring of one's choice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from broker.core.catalogue import Catalogue, NoticeType
from broker.core.directory import MemberKey, Use
from broker.core.keys import PrivateKey, PublicKey

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "formats.json").read_bytes())
NETWORK: str = VECTORS["network"]
LABEL: str = VECTORS["label"]
AT: int = VECTORS["clear"]["header"]["issued_at"]

SAMPLE = NoticeType("sample", VECTORS["notice_schema"])
CATALOGUE = Catalogue([SAMPLE])


def seed_of(name: str) -> bytes:
    """Return the seed from which the vectors' key of that name is made."""
    return sha256(f"{LABEL}-{name}".encode()).digest()


PUBLIC = {name: PublicKey.of_raw(bytes.fromhex(key["public"])) for name, key in VECTORS["keys"].items()}
PRIVATE = {
    name: PrivateKey.from_seed(PUBLIC[name].algorithm, seed_of(key["name"]))
    for name, key in VECTORS["keys"].items()
    if name != "jp_xwing"
}


def member_key(name: str) -> MemberKey:
    """Return a key of the vectors as a directory has it."""
    key = PUBLIC[name]
    return MemberKey(id=key.id, use=Use.SIGN, public=key, valid_from=0)


@dataclass(frozen=True, slots=True)
class Given:
    """The keys that a person hands to a verifier: they count for whoever the header names."""

    signing: tuple[MemberKey, ...]
    countersigning: tuple[MemberKey, ...] = ()
    required: bool = False

    def signing_keys(self, member: str, at: int) -> Sequence[MemberKey]:
        return self.signing

    def countersign_keys(self, member: str, at: int) -> Sequence[MemberKey]:
        return self.countersigning

    def pq_required(self, member: str, at: int) -> bool:
        return self.required


def keyring(key: str = "vn_ed25519", *, pq: bool = False) -> Given:
    """Return the keyring of one key, and of the ML-DSA-65 key, which may be required."""
    return Given((member_key(key),), (member_key("vn_mldsa65"),), pq)


def refused(kind: str) -> list[dict[str, Any]]:
    """Return the refused cases that are an `envelope`, or a `delivery`."""
    return [case for case in VECTORS["refused"] if kind in case]
