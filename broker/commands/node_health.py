"""What `doctor` looks at in the folder of a member's node."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from adapters.commands.options import ask_for
from adapters.configuration import MEMBER_FILE, NodeConfig, load_node_config
from adapters.http_hub import HttpHub, pinned_context
from adapters.node import directory_source
from adapters.status import ChannelState, Snapshot, snapshot
from adapters.stick.offline import GRACE_MS, Late
from adapters.store import Store
from broker.clock import SystemClock
from broker.commands.checklist import (
    DAY,
    RENEW_DAYS,
    Check,
    bad,
    check_certificate,
    check_clock,
    check_disk,
    check_keys,
    check_private,
    check_versions,
    counts_for,
    good,
    warning,
)
from broker.core.directory import Use
from broker.core.errors import (
    BadConfiguration,
    DirectoryExpired,
    HalongError,
    NotMember,
    TooMany,
    Unavailable,
)
from broker.core.note import LogKey
from broker.keyring import KeyPlace, open_signer
from broker.keyring.secret import Ask
from broker.moments import local

REACH_SECONDS = 10.0
SILENT_MS = 120_000
LONG_MS = 600_000
VERSION = re.compile("[0-9a-f]{64}")


def check_node(folder: Path, *, offline: bool) -> list[Check]:
    """Return the checklist of a node's folder."""
    try:
        config = load_node_config(folder)
    except BadConfiguration as error:
        return [check_versions(), bad("settings", str(error), f"correct {folder / MEMBER_FILE}")]
    now = SystemClock().now()
    keys = config.keys
    checks = [check_versions(), good("settings", f"{MEMBER_FILE}, {config.member} of {config.network}")]
    ask = ask_for(config)
    checks += check_keys(
        folder,
        [each for each in (keys.sign, keys.countersign, keys.witness, KeyPlace(str(keys.tls))) if each],
        ask,
    )
    checks.append(check_disk(folder))
    if config.hub is None:
        mend = "send join-request.json to the secretariat, then: halong member join WELCOME"
        return [*checks, bad("hub", "this node has not joined yet", mend)]
    checks.append(
        check_certificate(
            "certificate",
            config.path(keys.certificate),
            config.path(keys.tls),
            config.path(config.hub.authority),
            now,
            "ask the hub for a fresh welcome, then: halong member join WELCOME",
        )
    )
    checks.append(_directory(config, now, ask, offline=offline))
    if not offline:
        checks += asyncio.run(_hub(config))
    return checks + _store(config, now)


def _directory(config: NodeConfig, now: int, ask: Ask, *, offline: bool) -> Check:
    mend = "see `hub` below; the node refreshes its copy by itself, and tells by alarm what it refuses"
    try:
        source = directory_source(config, SystemClock())
        directory = source.load()
        mine = open_signer(config.keys.sign, config.root, ask).public.id
    except DirectoryExpired as error:
        return _expired(config, str(error), mend) if offline else bad("directory", str(error), mend)
    except HalongError as error:
        return bad("directory", str(error), mend)
    member = directory.members.get(config.member)
    if member is None:
        return bad(
            "directory", f"{config.member} is not in it", "ask the secretariat why: halong member invite"
        )
    ours = [key for key in member.keys if key.id == mine and key.use is Use.SIGN and key.valid_at(now)]
    if not ours:
        return bad(
            "directory", "it does not list this node's key for notices as valid now", "halong key rotate sign"
        )
    ends = ours[0].valid_until
    if ends is not None and ends - now < RENEW_DAYS * DAY:
        days = (ends - now) // DAY
        return warning(
            "directory", f"this node's key for notices ends in {days} days", "docs/operate.md, Rotate"
        )
    bound = [
        agreement.name for agreement in directory.agreements if directory.acceded(config.member, agreement)
    ]
    if not bound:
        mend = "halong agreement accede AGREEMENT: without one nothing is sent or received"
        return warning(
            "directory", f"{len(directory.members)} members, no agreement binds {config.member}", mend
        )
    found = f"{len(directory.members)} members; acceded to {', '.join(bound)}"
    return good("directory", found + counts_for(source, now))


def _expired(config: NodeConfig, wrong: str, mend: str) -> Check:
    """Judge a directory that came by stick: it counts for longer than one that a hub shows every minute."""
    try:
        directory_source(config, Late(SystemClock())).load()
    except HalongError as error:
        return bad("directory", str(error), "bring a fresh stick from the hub: docs/offline.md")
    days = GRACE_MS // DAY
    return warning("directory", f"{wrong}; a node without network goes on for {days} days after it", mend)


async def _hub(config: NodeConfig) -> list[Check]:
    """Ask the hub for its latest checkpoint, as the node would, and compare the clocks."""
    address = config.joined
    clock = None
    try:
        context = pinned_context(
            bytes.fromhex(address.pin),
            config.path(config.keys.certificate),
            config.path(config.keys.tls),
            config.path(address.authority),
        )
        async with asyncio.timeout(REACH_SECONDS), HttpHub(address.url, context) as hub:
            note = await hub.checkpoint()
            clock = check_clock(SystemClock().now(), hub.told_at, "the hub")
            size = 0 if note is None else LogKey.parse(address.log_key).open_checkpoint(note).size
    except TimeoutError:
        found = bad("hub", f"{address.url} did not answer in {REACH_SECONDS:.0f} s", "ask the hub's operator")
    except NotMember:
        mend = "ask the hub's operator to look whether this node's keys are listed"
        found = bad("hub", "it answers, and does not know this node's certificate", mend)
    except HalongError as error:
        mend = "see that the address is right and that nothing is in the way"
        found = bad("hub", f"{address.url}: {error}", mend)
    else:
        under = f"{size:,} leaves under the pinned log key"
        found = good("hub", f"{address.url} answers, with the pinned key; {under}")
    return [found] if clock is None else [found, clock]


def _store(config: NodeConfig, now: int) -> list[Check]:
    if not config.store_path.exists():
        return [warning("node", "it never ran", f"halong member --dir {config.root}")]
    try:
        with Store.open_to_read(config.store_path) as store:
            seen = snapshot(store)
    except HalongError as error:
        return [bad("store", str(error), "see that the disk has room and that you may write there")]
    return [
        check_private("store", config.store_path),
        _running(config, seen, now),
        _outbox(seen, now),
        _inbox(seen),
        *_witnesses(seen, now),
        *(_channel(config, each) for each in seen.channels if each.name in config.channels),
        *(_taken_out(config, each) for each in seen.channels if each.name not in config.channels),
        *_feedback(config, seen, now),
        *_alarms(seen),
    ]


def _running(config: NodeConfig, seen: Snapshot, now: int) -> Check:
    if seen.reached_at is None:
        return warning("node", "it never reached the hub", f"halong member --dir {config.root}")
    ago = max(now - seen.reached_at, 0)
    if ago > SILENT_MS:
        return warning(
            "node", f"it last reached the hub {ago // 1000:,} s ago", f"halong member --dir {config.root}"
        )
    return good("node", f"it reached the hub {ago // 1000} s ago")


def _outbox(seen: Snapshot, now: int) -> Check:
    found = ", ".join(f"{count:,} {state}" for state, count in sorted(seen.sent.items())) or "nothing queued"
    if seen.waiting_since is not None and now - seen.waiting_since > LONG_MS:
        return warning(
            "outbox", f"{found}; the oldest waits {(now - seen.waiting_since) // 1000:,} s", "see `hub` above"
        )
    if seen.sent.get("refused"):
        return warning("outbox", found, "see the alarms and the node's log for their codes")
    return good("outbox", found)


def _inbox(seen: Snapshot) -> Check:
    found = (
        ", ".join(f"{count:,} {state}" for state, count in sorted(seen.received.items())) or "nothing arrived"
    )
    if seen.held is not None:
        return _held(seen, found)
    if seen.received.get("quarantined"):
        return bad(
            "inbox", found, "the hub sent what it must not; ask its operator, and keep the store as evidence"
        )
    found += f", {seen.behind:,} more at the hub" if seen.behind else ""
    return good("inbox", found + _whole(seen))


def _whole(seen: Snapshot) -> str:
    """Say up to where nothing is missing, by the hub's own heads."""
    if seen.whole_at is not None:
        return (
            f"; nothing is missing up to place {seen.whole_to:,}, by the hub's head of {local(seen.whole_at)}"
        )
    return "; no head of the hub counts them yet" if seen.received else ""


def _held(seen: Snapshot, found: str) -> Check:
    """Say why the feed stands still: something is out of reach, is missing here, or is wrong."""
    if VERSION.fullmatch(seen.held_field or "") and seen.held_code == Unavailable.code:
        mend = "ask the hub for a fresh welcome, then: halong member join WELCOME"
        return bad("inbox", f"{found}; a decision names a directory that is not here", mend)
    if seen.held_code in (Unavailable.code, TooMany.code):
        return warning("inbox", f"{found}; it waits: {seen.held}", "it goes on by itself; see `hub` above")
    mend = "keep the store as evidence, and ask the hub's operator"
    return bad(
        "inbox", f"{found}; the feed stands still: {seen.held_code} {seen.held_field or ''}".rstrip(), mend
    )


def _witnesses(seen: Snapshot, now: int) -> list[Check]:
    if not seen.cosigned_quorum:
        return []
    found = f"{seen.cosigned_quorum} members cosigned {seen.cosigned_size:,} leaves"
    if seen.uncovered_since is not None:
        minutes = (now - seen.uncovered_since) // 60_000
        mend = "ask other members whether their nodes say the same; docs/log.md"
        return [bad("witnesses", f"{found}; a delivery is under none such for {minutes:,} minutes", mend)]
    return [good("witnesses", found)]


def _channel(config: NodeConfig, channel: ChannelState) -> Check:
    name, at = f"channel {channel.name}", f"--dir {config.root}"
    found = f"{channel.behind:,} wait"
    if channel.dead_letters:
        found += f", {channel.dead_letters:,} dead letters"
        mend = f"halong channel dead {channel.name} {at}, then the same with --retry or --drop"
        return warning(name, found, mend)
    if channel.paused:
        return warning(name, f"{found}, paused", f"halong channel resume {channel.name} {at}")
    if channel.failures:
        found += f", {channel.failures:,} failures in a row, the last {channel.code}"
        return warning(name, found, f"halong channel test {channel.name} {at}")
    return good(name, found)


def _taken_out(config: NodeConfig, channel: ChannelState) -> Check:
    name, at = f"channel {channel.name}", f"--dir {config.root}"
    found = f"no longer in {MEMBER_FILE}: {channel.behind:,} wait, {channel.dead_letters:,} dead letters"
    if not channel.behind and not channel.dead_letters:
        return good(name, found)
    return warning(
        name,
        found,
        f"put it back; or halong channel replay ANOTHER, then halong channel forget {channel.name} {at}",
    )


def _feedback(config: NodeConfig, seen: Snapshot, now: int) -> list[Check]:
    overdue = sum(due <= now for due in seen.feedback_due)
    if overdue:
        mend = f"halong feedback --dir {config.root} shows them, and answers"
        return [warning("feedback", f"{overdue:,} overdue of {len(seen.feedback_due):,}", mend)]
    return [good("feedback", f"{len(seen.feedback_due):,} owed, none overdue")] if seen.feedback_due else []


def _alarms(seen: Snapshot) -> list[Check]:
    return [
        warning(
            f"alarm {alarm.event}", f"{alarm.code} {alarm.subject}, {alarm.count} times", "see the node's log"
        )
        for alarm in seen.alarms
    ]
