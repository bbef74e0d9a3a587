"""Which topics the hub has: their names, partition counts and what each keeps.

Partition counts are fixed for a log's life; more capacity is another generation of topics.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from broker.core.model import Region
from broker.log import Topic

PARTITIONS_PER_REGION: Final = 4
"""An originator's notices of a region share one partition, so that one owner decides their order."""

DECISIONS: Final = "decisions"
REFUSALS: Final = "refusals"
RECEIPTS: Final = "receipts"
READS: Final = "reads"
DIRECTORY: Final = "directory"
ERASURES: Final = "erasures"
HEADS: Final = "heads"

DISPATCH_STATE: Final = "dispatch.state"
ERASED: Final = "erased"
"""What is left of erased records, whose own places may hold nothing any more."""
AUDIT_LEAVES: Final = "audit.leaves"
AUDIT_CHECKPOINTS: Final = "audit.checkpoints"
AUDIT_COSIGNATURES: Final = "audit.cosignatures"

FOLLOWED: Final = (
    "notices.*",
    "inbox.*",
    DECISIONS,
    REFUSALS,
    RECEIPTS,
    DIRECTORY,
    READS,
    ERASURES,
    HEADS,
)
"""What the sequencer makes leaves of: a closed list, and nothing that it writes itself."""


def notices_topic(region: Region) -> str:
    """Return the topic of the notices that `region` leads."""
    return f"notices.{region.slug}"


def inbox_topic(member: str) -> str:
    """Return the topic of what was delivered to `member`."""
    return f"inbox.{member}"


def hub_topics(members: Iterable[str]) -> list[Topic]:
    """Return every topic of a hub with these members."""
    return [
        *(Topic(notices_topic(region), PARTITIONS_PER_REGION, keep="contents") for region in Region),
        *(Topic(inbox_topic(member), keep="contents") for member in sorted(members)),
        *(Topic(name) for name in (DECISIONS, REFUSALS, RECEIPTS, READS, DIRECTORY, ERASURES, HEADS)),
        Topic(DISPATCH_STATE, keep="state"),
        Topic(ERASED),
        Topic(AUDIT_LEAVES),
        Topic(AUDIT_CHECKPOINTS),
        Topic(AUDIT_COSIGNATURES),
    ]


def matches(topic: str, names: Iterable[str]) -> bool:
    """Is `topic` one of these names?  A name ending in `*` stands for all that begin so."""
    # A loop, not `any`: who follows the log asks this of every partition, again and again.
    for name in names:  # noqa: SIM110
        if topic == name or (name.endswith("*") and topic.startswith(name[:-1])):
            return True
    return False
