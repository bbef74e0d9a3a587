"""What is asked of the embedded log's file, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.log import Partition, Record


@dataclass(frozen=True, slots=True)
class Write:
    """What one caller wants stored: records, and perhaps a reader's places behind what it has done.

    `begins` says where the first record of a partition is to stand that has none, `erased` what goes.
    """

    records: Sequence[Record]
    reader: str = ""
    places: Mapping[Partition, int] = field(default_factory=dict)
    begins: Mapping[Partition, int] = field(default_factory=dict)
    erased: Mapping[Partition, set[int]] = field(default_factory=dict)


@dataclass(slots=True)
class Layout:
    """Which topics there are, and where each partition ends; a copy of what the file says."""

    ids: dict[Partition, int] = field(default_factory=dict)
    keeps: dict[str, str] = field(default_factory=dict)
    ends: dict[Partition, int] = field(default_factory=dict)
