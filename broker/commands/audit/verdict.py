"""Whether the log holds, as people and programs read it: the same words for `count` and `check`."""

from __future__ import annotations

from collections.abc import Sequence

from broker.commands.recount import Finding
from broker.core.note import LogKey
from broker.terminal import clean, say, style

SHOWN_FINDINGS = 20


def as_objects(findings: Sequence[Finding]) -> list[dict[str, str | None]]:
    """Return what does not fit, for programs."""
    return [{"where": each.where, "what": each.what, "code": each.code} for each in findings]


def say_verdict(verified: bool, found: int, size: tuple[int, int], seconds: float) -> None:
    """Say whether the log holds: of so many findings, and of a size in leaves and signed checkpoints."""
    leaves, checkpoints = size
    if verified:
        told = f"{leaves:,} leaves, {checkpoints:,} signed checkpoints, in {seconds:.1f} s"
        say(f"{style('log verified', fg='green', bold=True)}   {told}")
    elif found or checkpoints:
        say(f"{style('log NOT verified', fg='red', bold=True)}   {found:,} findings")
    else:
        say("nothing is signed yet, so there is nothing to verify")


def say_findings(root: bytes, key: LogKey, findings: Sequence[Finding]) -> None:
    """Say what was verified: root and key; and what does not fit, the first of it."""
    say(f"  root        {root.hex()}")
    say(f"  log key     {clean(key.vkey)}")
    for each in findings[:SHOWN_FINDINGS]:
        code = f" ({each.code})" if each.code is not None else ""
        say(f"  {style('✗', fg='red')} {clean(each.where)}: {clean(each.what)}{code}")
