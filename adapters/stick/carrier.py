"""The carrier: takes a node's stick to the hub, and writes the one that goes back.

It has the member's transport identity and no signing key: it can carry, and lose, but say nothing in the
member's name, and what it brings back proves itself to the node.  What it remembers in its folder is which
stick it took last, what the gateway said about it, and how far the feed went along, so that it can be cut
anywhere and run again.

A stick of a number that came before with other bytes is refused before any of it is sent: then the node's
store was set back, and what it signed could be what it signed before under the same numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic

import msgspec

from adapters.hub import DirectoryHub, Hub
from adapters.sending.statement import SEND_AGAIN, code_to_keep
from adapters.stick.file import (
    MOST_FEED_BYTES,
    Asked,
    Content,
    Counted,
    Fed,
    Head,
    Knows,
    Listed,
    Notices,
    Receipts,
    Settled,
    Stood,
    Taken,
    Told,
    digest_of,
    open_stick,
    write_stick,
)
from adapters.stick.lines import check_line, name_of, region_of, statement_of
from adapters.stick.listing import Listing
from broker.core.errors import BadConfiguration, BadStick, NotCanonical, Refused, StickMissing, Unavailable
from broker.core.wire import Outcome, StatementStatus, StreamPosition, json_shape, read
from broker.files import make_private_folder, write_whole

STATE_FILE = "carried.json"
A_LINE = 256
A_FEED = 128
MOST_KEPT = 64
LOOK_SECONDS = 0.5
NO_PLACE = -1


@json_shape
class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier remembers.

    `directory` is the version that the node has, None if it has none yet; `refused_change` the code
    with which the hub refused the node's change of its role.
    `seen` are the SHA-256 of the latest sticks by their numbers; `part` counts the sticks that went back in
    answer to the last, `place` is how far its feed went along.
    """

    conversation: str
    number: int
    after: int
    seen: dict[str, str]
    statements: list[str] = []
    streams: list[str] = []
    outcomes: list[Outcome] = []
    taken: list[str] = []
    refused: dict[str, str] = {}
    part: int = 0
    place: int = NO_PLACE
    directory: str | None = None
    refused_change: str | None = None


@dataclass(frozen=True, slots=True)
class Handed:
    """What the hub took of a stick."""

    number: int
    notices: int
    refused: int
    receipts: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """What goes back on a stick: deliveries, statements with their proofs, and how much the hub still has."""

    number: int
    part: int
    deliveries: int
    proven: int
    asked: int
    behind: int


class Carrier:
    """Carries for one member.

    Args:
        hub: The hub, reached with the member's transport identity.
        folder: Where the carrier remembers.
        member: For whom.
        network: Where.
        directories: The hub as it hands out the signed directory; without it sticks bring none.
    """

    def __init__(
        self, hub: Hub, folder: Path, member: str, network: str, directories: DirectoryHub | None = None
    ) -> None:
        self._hub = hub
        self._directories = directories
        self._path = folder / STATE_FILE
        self._member = member
        self._network = network

    # --- to the hub -------------------------------------------------------------------------------------

    async def take(self, path: Path, tell: Callable[[int], None] = lambda _done: None) -> Handed:
        """Hand all that is on a stick to the hub; doing it again is harmless.

        Raises:
            BadStick: It is none, is another member's, or its node was set back.
            Unavailable: The hub cannot take it now; do it again.
            Refused: The hub does not take anything of ours.
        """
        with open_stick(path, "outbox", check_line) as (head, lines):
            carried = self._begin(head, digest_of(path))
            ended: set[str] = set()
            for done, line in enumerate(lines, 1):
                carried = await self._hand_over(carried, line, ended)
                tell(done)
        self._remember(carried)
        accepted = sum(each.status == "accepted" for each in carried.outcomes)
        refused = sum(each.status == "refused" for each in carried.outcomes)
        return Handed(head.number, accepted, refused, len(carried.taken))

    def _begin(self, head: Head, digest: str) -> Carried:
        # 1. It is of the member that this carrier carries for.
        if (head.network, head.member) != (self._network, self._member):
            raise BadStick("it is another member's, or of another network", field="member")
        last = self._recall()
        if last is None or last.conversation != head.conversation:
            return Carried(
                conversation=head.conversation,
                number=head.number,
                after=head.after,
                seen={str(head.number): digest},
            )
        # 2. A number names one stick for ever.
        if last.seen.get(str(head.number), digest) != digest:
            raise BadStick(
                "a stick of this number came before and was another: the node's store was set back; begin "
                "anew there with `halong outbox export --fresh`",
                field="number",
            )
        # 3. What an older one holds came with the newer one, too.
        if head.number < last.number:
            raise BadStick(f"stick {last.number} came before and holds what this one holds", field="number")
        kept = sorted(last.seen, key=int)[-MOST_KEPT:]
        return Carried(
            conversation=head.conversation,
            number=head.number,
            after=head.after,
            seen={**{number: last.seen[number] for number in kept}, str(head.number): digest},
        )

    async def _hand_over(self, carried: Carried, line: Content, ended: set[str]) -> Carried:
        match line:
            case Notices():
                outcomes = await self._publish(line, ended)
                return msgspec.structs.replace(
                    carried,
                    outcomes=[*carried.outcomes, *outcomes],
                    statements=[*carried.statements, *map(statement_of, line.envelopes)],
                )
            case Receipts():
                taken, refused = await self._settle(line.receipts)
                return msgspec.structs.replace(
                    carried, taken=[*carried.taken, *taken], refused={**carried.refused, **refused}
                )
            case Knows():
                code = None if line.change is None else await self._change(line.change)
                return msgspec.structs.replace(carried, directory=line.version, refused_change=code)
            case Asked():
                return msgspec.structs.replace(
                    carried,
                    statements=[*line.statements, *carried.statements],
                    streams=[*carried.streams, *line.streams],
                )
            case _:
                raise BadStick("a line that comes from the hub, not to it", field="line")

    async def _change(self, change: str) -> str | None:
        """Hand over the member's change of its own role; return the code if the hub refuses it."""
        if self._directories is None:
            return None
        try:
            await self._directories.change_directory(change.encode())
        except Refused as error:
            if error.code in SEND_AGAIN:
                raise
            return code_to_keep(error.code)
        return None

    async def _publish(self, line: Notices, ended: set[str]) -> list[Outcome]:
        """Hand over the notices of one stream; after its first refusal the rest of it is not sent."""
        if line.stream in ended:
            return []
        answer = await self._hub.publish(line.envelopes)
        if len(answer.results) != len(line.envelopes):
            raise Unavailable("the hub answered for another number of notices", field="results")
        stopped = next((each for each in answer.results if each.status != "accepted"), None)
        if stopped is not None:
            if stopped.code in SEND_AGAIN or stopped.status == "not-attempted":
                raise Unavailable("the hub will take the rest later", field="notices")
            ended.add(line.stream)
        return answer.results

    async def _settle(self, receipts: Sequence[bytes]) -> tuple[list[str], dict[str, str]]:
        """Hand over receipts: together, or, if one of them is at fault, one by one."""
        try:
            await self._hub.receipts(receipts)
        except Refused as error:
            if error.code in SEND_AGAIN:
                raise
            if len(receipts) == 1:
                return [], {sha256(receipts[0]).hexdigest(): code_to_keep(error.code)}
            each = [await self._settle([one]) for one in receipts]
            return [name for taken, _ in each for name in taken], {
                name: code for _, refused in each for name, code in refused.items()
            }
        return [sha256(one).hexdigest() for one in receipts], {}

    # --- from the hub -----------------------------------------------------------------------------------

    async def bring(self, path: Path, *, wait_seconds: float, again: bool = False) -> Fetched:
        """Write the stick that goes back: what became of what was carried, and what the feed has.

        The next one goes on where this one ends; `again` begins once more where the node stands.

        Raises:
            StickMissing: No stick of the node was taken yet.
            Unavailable: The hub cannot answer now; nothing was written.
        """
        carried = self._recall()
        if carried is None:
            raise StickMissing("a stick of the node comes first: `halong outbox import`", field="stick")
        begins_anew = again or carried.place == NO_PLACE
        place = carried.after if begins_anew else carried.place
        part = 1 if begins_anew else carried.part + 1
        head = Head(
            kind="feed",
            network=self._network,
            member=self._member,
            conversation=carried.conversation,
            number=carried.number,
            part=part,
            after=place,
        )
        stood = [Stood(stream, await self._stream(stream)) for stream in dict.fromkeys(carried.streams)]
        last = [each.position.statement for each in stood if each.position.statement is not None]
        statuses = await self._decided(carried, last, wait_seconds)
        deliveries = behind = size = 0
        listing = await self._listing(carried)
        with write_stick(path) as write:
            write(head)
            for listed in listing.lines:
                write(listed)
            for listed in await listing.of_statuses(statuses):
                write(listed)
            for each in stood:
                write(each)
            for start in range(0, len(carried.outcomes), A_LINE):
                write(Taken(carried.outcomes[start : start + A_LINE]))
            for start in range(0, len(statuses), A_LINE):
                write(Told(statuses[start : start + A_LINE]))
            write(Settled(carried.taken, carried.refused))
            # Before the feed, which then holds all that the head counts.
            counted = await self._hub.head()
            if counted.head is not None:
                write(Counted(counted))
            while size < MOST_FEED_BYTES:
                feed = await self._hub.feed(place, A_FEED, 0)
                behind = feed.behind
                for listed in await listing.of_feed(feed):
                    write(listed)
                write(Fed(place, feed))
                size += sum(len(item.delivery) for item in feed.items)
                deliveries += len(feed.items)
                if not feed.items or feed.next <= place:
                    break
                place = feed.next
        self._remember(msgspec.structs.replace(carried, part=part, place=place))
        proven = sum(each.decided and each.decision_inclusion is not None for each in statuses)
        return Fetched(carried.number, part, deliveries, proven, len(statuses), max(behind, 0))

    async def _listing(self, carried: Carried) -> Listing:
        """Return what goes along of the directory: the newest version first."""
        if carried.directory is None or self._directories is None:
            return Listing(None, b"", [])
        known = bytes.fromhex(carried.directory)
        newest = await self._directories.directory(known)
        line = Listed(files=newest, newest=True, refused=carried.refused_change)
        return Listing(self._directories, known, [line])

    async def _stream(self, stream: str) -> StreamPosition:
        slug, _, name = stream.partition("/")
        return await self._hub.stream(region_of(slug), name)

    async def _decided(
        self, carried: Carried, last: Sequence[str], wait_seconds: float
    ) -> list[StatementStatus]:
        """Return how far statements have come, once all are decided or the time is over.

        `last` are those at which streams stand: a node that does not know its own wants to hear of it.
        """
        end = monotonic() + wait_seconds
        statements = list(dict.fromkeys([*last, *carried.statements]))
        # Of what the gateway refused nothing more can come.
        final = {each.statement for each in carried.outcomes if each.status == "refused"}
        found: dict[str, StatementStatus] = {}
        while True:
            open_ = [each for each in statements if each not in found or each not in final]
            while open_:
                some = await self._hub.statements([name_of(each) for each in open_])
                if not 0 < len(some) <= len(open_):
                    raise Unavailable("the hub answered for another number of statements", field="statuses")
                for name, status in zip(open_, some, strict=False):
                    found[name] = status or StatementStatus(name, "", durable=False, decided=False)
                    if _is_final(found[name]):
                        final.add(name)
                open_ = open_[len(some) :]
            if final.issuperset(statements) or monotonic() >= end:
                return [found[each] for each in statements]
            await asyncio.sleep(LOOK_SECONDS)

    # --- memory -----------------------------------------------------------------------------------------

    def _recall(self) -> Carried | None:
        try:
            return read(self._path.read_bytes(), Carried)
        except FileNotFoundError:
            return None
        except NotCanonical:
            raise BadConfiguration("it is not what this carrier wrote", field=str(self._path)) from None

    def _remember(self, carried: Carried) -> None:
        make_private_folder(self._path.parent)
        write_whole(self._path, msgspec.json.encode(carried), mode=0o600)


def _is_final(status: StatementStatus) -> bool:
    """Say whether nothing more can come of a statement: refused, or decided with both proofs."""
    proven = status.decision_inclusion is not None and status.statement_inclusion is not None
    return status.refused is not None or proven
