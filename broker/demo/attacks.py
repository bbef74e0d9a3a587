"""Three attacks, really sent to the running hub over mutual TLS, and what the hub answers.

An attacker here has more than a real one: a genuine notice of another member, certificates of the hub's own
authority.  Each must end in the code that is written beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.http_hub import HttpHub, pinned_context
from broker.core.errors import HalongError, NotMember
from broker.core.keys import Algorithm, PrivateKey
from broker.core.model import Envelope, Header
from broker.core.records import decode, encode
from broker.directory.certificates import issue, make_request
from broker.files import write_key, write_whole


@dataclass(frozen=True, slots=True)
class Door:
    """How a peer comes to the hub: with which certificate and key."""

    url: str
    pin: bytes
    certificate: Path
    key: Path

    def hub(self) -> HttpHub:
        """Return a client that comes through this door."""
        return HttpHub(self.url, pinned_context(self.pin, self.certificate, self.key))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attack: what was tried, what must come back, what came, and who answered."""

    tried: str
    expected: str
    answered: str
    by: str = "the hub"

    @property
    def repelled(self) -> bool:
        """Tell whether it was answered as it must be."""
        return self.expected == self.answered


async def attack(envelope: bytes, owner: Door, other: Door, stranger: Door) -> list[Attempt]:
    """Try everything with a genuine notice of `owner`."""
    attempts: tuple[tuple[str, str, Door, Callable[[bytes], bytes]], ...] = (
        ("a notice altered on its way: one slot says something else", "bad-disclosure", owner, _other_words),
        ("a notice altered on its way: its header, under the old signature", "bad-signature", owner, _later),
        ("a member speaks in the name of another", "not-yours", other, bytes),
        ("a stranger: a certificate of the hub, a key that nobody lists", NotMember.code, stranger, bytes),
    )  # fmt: skip
    return [
        Attempt(tried, expected, await _answer(door.hub(), change(envelope)))
        for tried, expected, door, change in attempts
    ]


async def _answer(hub: HttpHub, envelope: bytes) -> str:
    async with hub:
        try:
            (result,) = (await hub.publish([envelope])).results
        except HalongError as error:
            return error.code
    return result.code or result.status


def _other_words(data: bytes) -> bytes:
    """Change one byte of the longest slot."""
    envelope = decode(Envelope, data)
    longest = max(envelope.disclosures, key=lambda one: len(one.value))
    changed = replace(longest, value=longest.value[:-1] + bytes([longest.value[-1] ^ 1]))
    disclosures = tuple(changed if one is longest else one for one in envelope.disclosures)
    return encode(replace(envelope, disclosures=disclosures))


def _later(data: bytes) -> bytes:
    """Let the notice be issued a millisecond later: everything else stays as it was signed."""
    envelope = decode(Envelope, data)
    header = decode(Header, envelope.header)
    return encode(replace(envelope, header=encode(replace(header, issued_at=header.issued_at + 1))))


def make_stranger(
    folder: Path, network: str, authority: bytes, authority_key: bytes, now: int
) -> tuple[Path, Path]:
    """Make a key that no directory lists, with a certificate of the hub's own authority."""
    key, certificate = folder / "stranger-key.pem", folder / "stranger.pem"
    if not key.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pem = PrivateKey.generate(Algorithm.ESP256).to_pem()
        write_key(key, pem)
        write_whole(
            certificate, issue(make_request(network, "stranger", pem), network, authority, authority_key, now)
        )
    return certificate, key
