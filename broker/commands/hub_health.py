"""What `doctor` looks at in a hub's folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from broker.clock import SystemClock
from broker.commands.checklist import (
    Check,
    bad,
    check_certificate,
    check_disk,
    check_keys,
    check_versions,
    good,
    warning,
)
from broker.commands.hub_folder import AUTHORITY_KEY, directory_of
from broker.configuration import HUB_FILE, HubConfig, load_hub_config
from broker.core.directory import Directory
from broker.core.errors import BadConfiguration, HalongError, Unavailable
from broker.core.keys import PrivateKey
from broker.core.model import Checkpoint
from broker.core.note import LogKey, LogSigner
from broker.core.records import unframe
from broker.directory.folder import remarks_on
from broker.log import Log, Partition, open_log
from broker.log.topics import AUDIT_CHECKPOINTS, AUDIT_LEAVES

OPEN_SECONDS = 10.0
LOOK_BACK = 64


def check_hub(folder: Path) -> list[Check]:
    """Return the checklist of a hub's folder."""
    try:
        config = load_hub_config(folder)
    except BadConfiguration as error:
        return [check_versions(), bad("settings", str(error), f"correct {folder / HUB_FILE}")]
    now = SystemClock().now()
    keys = config.keys
    checks = [check_versions(), good("settings", f"{HUB_FILE}, network {config.network}")]
    checks += check_keys(folder, [config.path(keys.log), config.path(keys.tls), folder / AUTHORITY_KEY])
    checks.append(
        check_certificate(
            "certificate",
            config.path(keys.certificate),
            config.path(keys.tls),
            config.path(keys.authority),
            now,
            "make the hub's certificate again; members keep the pin if the key stays",
        )
    )
    checks.append(check_disk(folder))
    directory = _directory(config, checks)
    if directory is not None:
        checks += [_log_key(config, directory), asyncio.run(_log(config, directory))]
    return checks


def _directory(config: HubConfig, checks: list[Check]) -> Directory | None:
    try:
        directory = directory_of(config).load()
    except HalongError as error:
        checks.append(
            bad("directory", str(error), "correct the file; a running hub keeps the last good version")
        )
        return None
    found = f"{len(directory.members)} members, {len(directory.agreements)} agreements"
    if directory.network != config.network:
        checks.append(
            bad("directory", f"it is of network {directory.network}", f"correct network in {HUB_FILE}")
        )
    elif not directory.members:
        checks.append(warning("directory", "no member yet", "halong hub admit REQUEST"))
    else:
        checks.append(good("directory", found))
    checks += [
        warning("agreement", remark, "halong hub agree AGREEMENT --party MEMBER")
        for remark in remarks_on(directory)
    ]
    return directory


def _log_key(config: HubConfig, directory: Directory) -> Check:
    path = config.path(config.keys.log)
    try:
        name = LogKey.parse(directory.log_key).name
        if LogSigner(name, PrivateKey.from_pem(path.read_bytes())).vkey == directory.log_key:
            return good("log key", directory.log_key)
    except (OSError, ValueError, HalongError) as error:
        return bad("log key", str(error), "bring the key back from its backup")
    return bad("log key", "it is not the one that members pin", "bring the key back from its backup")


async def _log(config: HubConfig, directory: Directory) -> Check:
    try:
        async with open_log(config.log_url, read_only=True, step_seconds=OPEN_SECONDS) as log:
            return await _checkpoint(log, LogKey.parse(directory.log_key))
    except BadConfiguration as error:
        return warning("log", f"nothing is stored yet: {error}", "halong hub starts it")
    except Unavailable as error:
        return bad(
            "log", str(error), f"see that {config.log.partition('://')[0]} at `log` of {HUB_FILE} is up"
        )
    except HalongError as error:
        return bad("log", str(error), "halong audit count says where it breaks")


async def _checkpoint(log: Log, key: LogKey) -> Check:
    ends = await log.ends([AUDIT_LEAVES, AUDIT_CHECKPOINTS])
    end = ends.get(Partition(AUDIT_CHECKPOINTS), 0)
    stored = await log.read(Partition(AUDIT_CHECKPOINTS), max(end - LOOK_BACK, 0), LOOK_BACK)
    if not stored:
        return warning("log", "no checkpoint is signed yet", "halong hub signs the first")
    head = key.open_checkpoint(unframe(Checkpoint, stored[-1].value).note)
    return good("log", f"{head.size:,} leaves under the last checkpoint; halong audit count verifies them")
