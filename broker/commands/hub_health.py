"""What `doctor` looks at in a hub's folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from adapters.member_folder import REQUEST_FILE
from broker.clock import SystemClock
from broker.commands.checklist import (
    CLOCK_DOUBT_MS,
    DAY,
    RENEW_DAYS,
    SET_THE_CLOCK,
    Check,
    bad,
    check_certificate,
    check_disk,
    check_keys,
    check_private,
    check_versions,
    counts_for,
    good,
    warning,
)
from broker.commands.hub_folder import AUTHORITY_KEY, ISSUED
from broker.configuration import HUB_FILE, HubConfig, load_hub_config, tls_of
from broker.core.directory import Directory, Use
from broker.core.errors import BadConfiguration, HalongError, Unavailable
from broker.core.model import Checkpoint
from broker.core.note import LogKey, LogSigner
from broker.core.records import unframe
from broker.directory.certificates import read_certificate
from broker.directory.sources import source_in
from broker.keyring import KeyPlace, open_signer
from broker.keyring.secret import Ask
from broker.log import Log, Partition, open_log
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES
from broker.passphrases import asker

OPEN_SECONDS = 10.0
LOOK_BACK = 64
AUTHORITY_DAYS = 365
SHOWN_REMARKS = 10


def check_hub(folder: Path) -> list[Check]:
    """Return the checklist of a hub's folder."""
    try:
        config = load_hub_config(folder)
    except BadConfiguration as error:
        return [check_versions(), bad("settings", str(error), f"correct {folder / HUB_FILE}")]
    now = SystemClock().now()
    keys = config.keys
    checks = [check_versions(), good("settings", f"{HUB_FILE}, network {config.network}")]
    ask = asker(None, keys.passphrase_file and config.path(keys.passphrase_file))
    checks += check_keys(folder, [keys.log, KeyPlace(str(keys.tls)), KeyPlace(str(AUTHORITY_KEY))], ask)
    checks.append(
        check_certificate(
            "certificate",
            config.path(keys.certificate),
            config.path(keys.tls),
            config.path(keys.authority),
            now,
            f"halong hub renew --dir {folder}, then start the hub again",
        )
    )
    checks.append(_authority(config, now))
    checks.append(check_disk(folder))
    if config.log_file is not None and config.log_file.exists():
        checks.append(check_private("log file", config.log_file))
    directory = _directory(config, checks)
    if directory is not None:
        checks += _members(folder, directory, now)
        checks += [_log_key(config, directory, ask), *asyncio.run(_log(config, directory, now))]
    return checks


def _authority(config: HubConfig, now: int) -> Check:
    path = config.path(config.keys.authority)
    try:
        days = (read_certificate(path.read_bytes()).valid_until - now) // DAY
    except (OSError, HalongError) as error:
        return bad("authority", f"{path.name}: {error}", "bring it back from its backup")
    if days < AUTHORITY_DAYS:
        mend = "plan the next authority: docs/operate.md, Rotate"
        return bad("authority", f"it ends in {days} days, and every certificate with it", mend)
    return good("authority", f"{days:,} days left")


def _members(folder: Path, directory: Directory, now: int) -> list[Check]:
    """Name the members whose certificate or key ends soon."""
    checks = []
    again = f"halong hub take {{}}/{REQUEST_FILE} --dir {folder}, then send the welcome that it writes"
    for path in sorted((folder / ISSUED).glob("*.pem")):
        name = path.name.partition(".")[0]
        if name not in directory.members:
            continue
        try:
            certificate = read_certificate(path.read_bytes())
        except HalongError as error:
            checks.append(bad(f"certificate {name}", str(error), again.format(name)))
            continue
        # What was issued to a key that is gone ends without harm.
        listed = directory.members[name].transport_keys
        days = (certificate.valid_until - now) // DAY
        if days < RENEW_DAYS and any(key.id == certificate.key and key.valid_at(now) for key in listed):
            checks.append(warning(f"certificate {name}", f"it ends in {days} days", again.format(name)))
    for id_, member in directory.members.items():
        ends = [key.valid_until for key in member.keys if key.use is Use.SIGN and key.valid_at(now)]
        last = None if None in ends else max((end for end in ends if end is not None), default=0)
        if last is not None and last - now < RENEW_DAYS * DAY:
            days = max(last - now, 0) // DAY
            mend = f"its member lists the next one: halong key rotate sign --dir {id_}"
            checks.append(warning(f"key of {id_}", f"its last key for notices ends in {days} days", mend))
    return checks


def _directory(config: HubConfig, checks: list[Check]) -> Directory | None:
    try:
        source = source_in(config.path(config.directory), SystemClock())
        directory = source.load()
    except HalongError as error:
        checks.append(
            bad(
                "directory",
                str(error),
                "docs/directory.md says what the code means; docs/operate.md, Restore",
            )
        )
        return None
    found = f"{len(directory.members)} members, {len(directory.agreements)} agreements"
    found += counts_for(source, SystemClock().now())
    if directory.network != config.network:
        checks.append(
            bad("directory", f"it is of network {directory.network}", f"correct network in {HUB_FILE}")
        )
    elif not directory.members:
        checks.append(
            warning("directory", "no member yet", "halong member invite MEMBER, at the secretariat")
        )
    else:
        checks.append(good("directory", found))
    for agreement in directory.agreements:
        missing = sorted(each for each in agreement.parties if not directory.acceded(each, agreement))
        if missing:
            said = f"{agreement.name} does not bind {', '.join(missing)}: not acceded"
            checks.append(warning("agreement", said, "halong agreement accede AGREEMENT, at the member"))
    return directory


def _log_key(config: HubConfig, directory: Directory, ask: Ask) -> Check:
    try:
        name = LogKey.parse(directory.log_key).name
        if LogSigner(name, open_signer(config.keys.log, config.root, ask)).vkey == directory.log_key:
            return good("log key", directory.log_key)
    except HalongError as error:
        return bad("log key", str(error), "bring the key back from its backup")
    return bad("log key", "it is not the one that members pin", "bring the key back from its backup")


async def _log(config: HubConfig, directory: Directory, now: int) -> list[Check]:
    opening = open_log(config.log_url, read_only=True, tls=tls_of(config), step_seconds=OPEN_SECONDS)
    try:
        async with opening as log:
            remarks = await log.remarks()
            mended = f"correct it on the cluster at `log` of {HUB_FILE}: docs/operate.md, Kafka"
            checks = [warning("kafka", remark, mended) for remark in remarks[:SHOWN_REMARKS]]
            return [await _checkpoint(log, LogKey.parse(directory.log_key), now), *checks]
    except BadConfiguration as error:
        return [warning("log", f"nothing is stored yet: {error}", "halong hub starts it")]
    except Unavailable as error:
        mend = f"see that {config.log.partition('://')[0]} at `log` of {HUB_FILE} is up"
        return [bad("log", str(error), mend)]
    except HalongError as error:
        return [bad("log", str(error), "halong audit count says where it breaks")]


async def _checkpoint(log: Log, key: LogKey, now: int) -> Check:
    ends = await log.ends([AUDIT_LEAVES, AUDIT_CHECKPOINTS])
    end = ends.get(Partition(AUDIT_CHECKPOINTS), 0)
    stored = await log.read(Partition(AUDIT_CHECKPOINTS), max(end - LOOK_BACK, 0), LOOK_BACK)
    if not stored:
        return warning("log", "no checkpoint is signed yet", "halong hub signs the first")
    last = unframe(Checkpoint, stored[-1].value)
    head = key.open_checkpoint(last.note)
    if last.signed_at > now + CLOCK_DOUBT_MS:
        ahead = (last.signed_at - now) // 1000
        return bad(
            "log", f"the last checkpoint was signed {ahead:,} s from now: is the clock right?", SET_THE_CLOCK
        )
    return good("log", f"{head.size:,} leaves under the last checkpoint; halong audit count verifies them")
