"""`halong verify`: whether a bundle of evidence holds; needs no hub, no node, no network and no clock."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import click

from broker.core.errors import BadConfiguration
from broker.core.note import LogKey
from broker.core.notice_json import time_or_none, time_to_json
from broker.evidence.archive import MOST_CASE_BYTES
from broker.evidence.building import opened
from broker.evidence.case import Case
from broker.evidence.checking import Trust
from broker.evidence.report import Found, State
from broker.files import read_sent
from broker.terminal import (
    READABLE,
    Command,
    Exit,
    answer,
    clean,
    complain,
    from_error,
    json_option,
    say,
    style,
)
from schemas import load_catalogue

MOST_ANCHOR_BYTES = 512_000
HEX = frozenset("0123456789abcdef")

_MARKS = {
    State.HELD: ("✓", "green"),
    State.FAILED: ("✗", "red"),
    State.NOT_CHECKED: ("?", "yellow"),
    State.NOTED: ("·", "cyan"),
}


@click.command(
    "verify",
    cls=Command,
    examples=[
        "halong verify case.zip",
        "halong verify case.zip --root 5f1c…e0 --json | jq .verdict",
        "halong verify case.zip --root vn/directory/metadata/1.root.json",
    ],
)
@click.argument("file", type=READABLE)
@click.option("--root", metavar="SHA-256|FILE", help="The root of the directory that you trust.")
@click.option("--log-key", metavar="KEY|FILE", help="The log's verifier key that you trust.")
@json_option
def verify(file: Path, root: str | None, log_key: str | None, as_json: bool) -> int:
    """Check a bundle of evidence, step by step, and say what each step showed.

    Give a root, or for a directory that is not signed the log's key, that you have from elsewhere: without
    it the steps are made all the same, but all rests on what the file itself says, and the exit code is 3.
    """
    trust = Trust(None if root is None else _fingerprint(root), None if log_key is None else _vkey(log_key))
    case, found = opened(read_sent(file, MOST_CASE_BYTES), trust, load_catalogue())
    verdict = "failed" if not found.holds else "held" if found.complete else "not-checked"
    if as_json:
        answer(_object(file, case, found, verdict))
    else:
        _show(case, found, verdict)
        if found.refused is not None:
            step = "do not rely on this file; ask for it again where it came from"
            complain(from_error(found.refused, where=f"{file}: {found.steps[-1].name}", next_step=step))
    return {"failed": Exit.FAILED, "held": Exit.HELD, "not-checked": Exit.NOT_CHECKED}[verdict]


def _fingerprint(given: str) -> str:
    plain = given.replace(" ", "").replace(":", "").lower()
    if len(plain) == 64 and set(plain) <= HEX:
        return plain
    if not Path(given).is_file():
        raise click.BadParameter("neither 64 hexadecimal digits nor a file", param_hint="--root")
    return sha256(read_sent(Path(given), MOST_ANCHOR_BYTES)).hexdigest()


def _vkey(given: str) -> str:
    text = given
    if Path(given).is_file():
        text = read_sent(Path(given), MOST_ANCHOR_BYTES).decode("ascii", "replace").strip()
    try:
        return LogKey.parse(text).vkey
    except BadConfiguration as error:
        raise click.BadParameter(str(error), param_hint="--log-key") from None


def _object(file: Path, case: Case | None, found: Found, verdict: str) -> dict[str, object]:
    notice, decision = found.notice, found.decision
    return {
        "file": str(file),
        "verdict": verdict,
        "code": None if found.refused is None else found.refused.code,
        "steps": [
            {"step": each.name, "state": each.state.value, "said": each.said, "code": each.code}
            for each in found.steps
        ],
        "relied_on": {"root": found.root, "log_key": None if case is None else case.log_key},
        "reference": None if notice is None else notice.reference.removeprefix("halong:"),
        "statement": None if notice is None else notice.statement.hex(),
        "originator": None if notice is None else notice.header.originator,
        "decided_at": time_or_none(found.decided_at),
        "shared_with": None if decision is None else [share.member for share in decision.shares],
        "slots_shown": [] if notice is None else [one.slot.label for one in notice.envelope.disclosures],
        "deliveries": {
            member: [slot.label for slot in head.slots] for member, head in found.deliveries.items()
        },
        "receipts": [
            {"member": each.member, "event": each.event.name.lower(), "at": time_to_json(each.at)}
            for each in found.receipts
        ],
    }


def _show(case: Case | None, found: Found, verdict: str) -> None:
    if case is not None:
        say(style(clean(case.manifest.reference.removeprefix("halong:")), bold=True))
    for step in found.steps:
        mark, colour = _MARKS[step.state]
        say(f"  {style(mark, fg=colour)} {step.name:<22} {clean(step.said)}")
    said = {
        "held": style("it holds", fg="green", bold=True),
        "failed": style("it does NOT hold", fg="red", bold=True),
        "not-checked": style("what could be checked holds", fg="yellow", bold=True),
    }
    say(said[verdict])
