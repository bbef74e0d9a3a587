"""`halong agreement check`: all that is wrong with agreement files, in words that a lawyer can act on."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.commands.agreement.places import open_place, some_dir_option
from broker.core.strict_toml import Problem
from broker.terminal import READABLE, Command, Exit, answer, clean, json_option, say, style

if TYPE_CHECKING:
    from broker.core.directory import Directory


@dataclass(frozen=True, slots=True)
class Checked:
    """A file, its name (None if that cannot be told), what is wrong with it, and what is doubted."""

    path: Path
    name: str | None
    digest: str
    problems: tuple[Problem, ...]
    doubts: tuple[Problem, ...]


@click.command(
    "check",
    cls=Command,
    examples=[
        "halong agreement check jp-vn-2027.toml",
        "halong agreement check agreements/*.toml --strict",
        "halong agreement check jp-vn-2027.toml --json | jq .files[0].problems",
    ],
)
@click.argument("files", nargs=-1, required=True, type=READABLE)
@click.option("--strict", is_flag=True, help="Take doubts for problems.")
@some_dir_option
@json_option
def check_command(files: tuple[Path, ...], strict: bool, folder: Path | None, as_json: bool) -> int:
    """Say all that is wrong with agreement files: file, line and clause, what is wrong, what is possible.

    Doubts (!) are allowed and hardly meant, such as feedback that has no way back; the file can be acceded to
    all the same.  With --dir it is also held against that directory: its members, and the versions in it.
    Exit code 1 if a file has a problem (✗), or a doubt with --strict.
    """
    checked = [check_file(path) for path in files]
    checked = [_with_shared(each, checked) for each in checked]
    if folder is not None:
        directory = open_place(folder).directory
        checked = [_against(each, directory) for each in checked]
    bad = [each for each in checked if each.problems or (strict and each.doubts)]
    if as_json:
        answer({"good": not bad, "files": [_object(each) for each in checked]})
    else:
        for each in checked:
            _show(each)
    return Exit.FAILED if bad else Exit.HELD


def check_file(path: Path) -> Checked:
    """Return what is wrong with a file, and what is doubted.

    Raises:
        BadConfiguration: It is longer than an agreement may be.
    """
    from hashlib import sha256

    from broker.core.agreement_doubts import doubts_of
    from broker.core.agreement_text import parse_agreement, problems_of
    from broker.core.strict_toml import MOST_FILE_BYTES
    from broker.files import read_sent
    from schemas.agreements.codes import codes_doubted

    text = read_sent(path, MOST_FILE_BYTES)
    digest = sha256(text).hexdigest()
    problems = problems_of(text, str(path))
    if problems:
        return Checked(path, None, digest, problems, ())
    agreement = parse_agreement(text, str(path))
    doubts = (*doubts_of(agreement), *codes_doubted(agreement))
    return Checked(path, agreement.name, digest, (), tuple(sorted(doubts, key=_place)))


def _with_shared(one: Checked, all_: Sequence[Checked]) -> Checked:
    """Return the same, with a problem if another file has its name and other bytes."""
    for other in all_:
        if one.name is not None and other.name == one.name and other.digest != one.digest:
            wrong = f"{other.path} is {one.name}, too, with other bytes: a changed text is the next version"
            return Checked(one.path, one.name, one.digest, (Problem("version", wrong),), one.doubts)
    return one


def _against(one: Checked, directory: Directory) -> Checked:
    """Return the same, with what does not fit a directory: its members, and the bytes that are there."""
    from broker.core.agreement_text import parse_agreement

    if one.problems:
        return one
    agreement = parse_agreement(one.path.read_bytes(), str(one.path))
    doubts, problems = [], []
    for party in sorted(agreement.parties - directory.members.keys()):
        near = difflib.get_close_matches(party, directory.members, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        doubts.append(Problem("parties", f"'{party}' is no member of {directory.network}{meant}"))
    for other in directory.agreements:
        if other.name == agreement.name and other.digest != agreement.digest:
            wrong = f"{other.name} is in the directory with other bytes: a changed text is the next version"
            problems.append(Problem("version", wrong))
    return replace(one, problems=tuple(problems), doubts=(*doubts, *one.doubts))


def line_of(text: str, clause: str) -> int | None:
    """Return the line in which a clause stands, or its table begins; None if it is not there.

    TOML's reader tells no lines.  A clause that is written in an unusual way (quoted, dotted) has none here.
    """
    table, _, key = clause.rpartition(", ")
    if table.endswith(", onward") or table == "onward":
        table, key = table.rpartition(", ")[0], "onward"
    if not table and clause.startswith("grant "):
        table, key = clause, ""
    heading, _, number = table.partition(" ")
    wanted = int(number) if number.isdecimal() else 1
    seen, inside, begins = 0, not table, None
    for place, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("["):
            name = bare.split("]")[0].strip("[ ")
            seen += name == heading
            inside = bool(table) and name == heading and seen == wanted
            if inside and begins is None:
                begins = place
        elif inside and key and bare.partition("=")[0].strip() == key:
            return place
    return begins


def _place(problem: Problem) -> tuple[bool, int, str]:
    """Return where a problem belongs: the file's own clauses first, then grants by number."""
    table, _, rest = problem.clause.partition(", ")
    number = table.removeprefix("grant ")
    return number.isdecimal(), int(number) if number.isdecimal() else 0, rest


def _object(checked: Checked) -> dict[str, object]:
    text = checked.path.read_text(encoding="utf-8", errors="replace")

    def told(found: Sequence[Problem]) -> list[dict[str, object]]:
        return [
            {"clause": each.clause or None, "line": line_of(text, each.clause), "wrong": each.wrong}
            for each in found
        ]

    return {
        "file": str(checked.path),
        "agreement": checked.name,
        "digest": checked.digest,
        "good": not checked.problems,
        "problems": told(checked.problems),
        "doubts": told(checked.doubts),
    }


def _show(checked: Checked) -> None:
    where = style(clean(str(checked.path)), bold=True)
    if checked.problems:
        count = len(checked.problems)
        say(f"{where}  {style(f'{count} problem' + 's' * (count > 1), fg='red')}")
    else:
        doubts = "" if not checked.doubts else f", {len(checked.doubts)} doubtful"
        say(f"{where}  {style('good', fg='green')}{doubts}   {checked.name}   SHA-256 {checked.digest}")
    text = checked.path.read_text(encoding="utf-8", errors="replace")
    for sign, colour, found in (("✗", "red", checked.problems), ("!", "yellow", checked.doubts)):
        for each in found:
            line = line_of(text, each.clause)
            at = "" if line is None else style(f" (line {line})", dim=True)
            clause = clean(each.clause) + at + ": " if each.clause else ""
            say(f"  {style(sign, fg=colour)} {clause}{clean(each.wrong)}")
