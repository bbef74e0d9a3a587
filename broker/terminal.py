"""What a person sees of every command: its help, its answer, its errors in three lines, its exit code.

An answer goes to stdout, everything else to stderr.  What the commands do is theirs; which code an error
has is `core.errors`.  Text that came from elsewhere passes through `clean` before it reaches a terminal.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broker.core.errors import BadConfiguration, HalongError, Unavailable

if TYPE_CHECKING:
    from rich.console import Console

EXIT_CODES = "0 held · 1 refused or failed · 2 usage or configuration · 3 not checked · 4 unavailable"


class Exit(IntEnum):
    """How a command ended."""

    HELD = 0
    FAILED = 1
    USAGE = 2
    NOT_CHECKED = 3
    UNAVAILABLE = 4


class Stopped(Exception):
    """A command cannot go on: what happened with its code, where, and what to do next.

    Args:
        what: What happened, lower case, without a full stop.
        code: The stable code of what happened.
        where: The file, setting, field or row.
        next_step: What to do about it, best a command.
        exit_code: How the command ends.
    """

    def __init__(
        self, what: str, *, code: str, where: str, next_step: str, exit_code: Exit = Exit.FAILED
    ) -> None:
        super().__init__(what)
        self.code = code
        self.where = where
        self.next_step = next_step
        self.exit_code = exit_code


# What a person can do about a refusal, where one sentence fits all of its cases.
_NEXT_STEPS: Mapping[str, str] = {
    "unavailable": "try again; nothing was lost: `halong doctor` says what is out of reach",
    "bad-configuration": "correct the file, then run the command again",
    "unknown-key": "check that the directory lists the originator's key and that it is valid at that time",
    "bad-signature": "do not use this notice; ask its originator to send it again",
    "asking-not-logged": "start the hub, or ask a copy of its log that can be written: `halong restore`",
    "not-member": "ask the secretariat whether this member, and its key for connections, are listed",
    "not-yours": "publish and ask only for your own member",
    "too-many": "wait a moment, then send more slowly",
    "unknown-type": "use a type of the catalogue: drug-parcel, hazardous-waste, revenue-fraud, feedback",
    "unknown-schema": "update Halong on the older side, so that both know this version of the type",
    "expired": "publish it again with a later effective_until",
    "not-yet-valid": "set the clock of the machine that signed it",
    "sealing-required": "leave the slot empty, or agree a grant that does not seal it",
    "addressee-unreached": "name only addressees whom an agreement reaches",
    "bad-slot": "correct the field, then publish again",
    "bad-header": "correct the field, then publish again",
    "bad-proof": "stop using this hub until its operator has explained; keep the file as evidence",
    "lane-gap": "ask the hub's operator for the missing delivery; keep the node's store as evidence",
    "weak-key": "make another key: `halong key make`, `halong key rotate`",
}
_OTHERWISE = "see `halong COMMAND --help`; --debug shows where it happened"

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Return `text` with everything escaped that could steer a terminal, reorder a line, or is no text."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def from_error(error: HalongError, *, where: str | None = None, next_step: str | None = None) -> Stopped:
    """Return how a command ends that met `error`."""
    match error:
        case BadConfiguration():
            exit_code = Exit.USAGE
        case Unavailable():
            exit_code = Exit.UNAVAILABLE
        case _:
            exit_code = Exit.FAILED
    return Stopped(
        str(error),
        code=error.code,
        where=where or error.field or "-",
        next_step=next_step or _NEXT_STEPS.get(error.code, _OTHERWISE),
        exit_code=exit_code,
    )


DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE})
"""The disk refuses: the same command works once it does not."""


def from_os(error: OSError) -> Stopped:
    """Return how a command ends that the operating system refused something."""
    what, where = _lower(error.strerror or type(error).__name__), str(error.filename or "-")
    if error.errno in DISK:
        return Stopped(
            what,
            code=Unavailable.code,
            where=where,
            next_step="see that the disk has room and can be written, then run the same command again",
            exit_code=Exit.UNAVAILABLE,
        )
    return Stopped(
        what,
        code="file",
        where=where,
        next_step="check that the file is there, that you may use it, and that the disk has space",
        exit_code=Exit.USAGE,
    )


# --- output -------------------------------------------------------------------------------------------


def answer(value: Any) -> None:
    """Print the answer of a `--json` command: one object with stable names."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say(text: str = "") -> None:
    """Print a line of the answer for people."""
    click.echo(text)


def note(text: str = "") -> None:
    """Print a line that is not the answer."""
    click.echo(text, err=True)


def style(text: str, **styles: Any) -> str:
    """Return `text` in colour, unless it is to be plain; click takes it off where no terminal is."""
    return text if plain() else click.style(text, **styles)


def table(rows: Iterable[Sequence[str]], *, indent: str = "  ", gap: str = "   ") -> list[str]:
    """Return the rows as lines with aligned columns."""
    rows = [tuple(row) for row in rows]
    columns = max((len(row) for row in rows), default=0)
    widths = [max((_width(row[c]) for row in rows if c < len(row)), default=0) for c in range(columns)]
    lines: list[str] = []
    for row in rows:
        cells = [cell + " " * (widths[c] - _width(cell)) for c, cell in enumerate(row)]
        lines.append((indent + gap.join(cells)).rstrip())
    return lines


def _width(text: str) -> int:
    return len(click.unstyle(text))


def plain() -> bool:
    """Tell whether output should carry no colour and nothing that moves."""
    context = click.get_current_context(silent=True)
    asked = context is not None and bool(context.find_root().meta.get("halong.plain"))
    return asked or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"


def console(*, stderr: bool = True) -> Console:
    """Return a console for progress and live views."""
    from rich.console import Console

    return Console(stderr=stderr, no_color=plain(), highlight=False, soft_wrap=False)


def on_terminal() -> bool:
    """Tell whether a person watches and may be shown something that moves."""
    return sys.stderr.isatty() and sys.stdout.isatty() and not plain()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is changed, unless `--yes` was given.

    Raises:
        Stopped: The person said no, or there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Stopped(
            "this needs a yes, and nobody is there to give it",
            code="not-confirmed",
            where="stdin is no terminal",
            next_step="read what would change above, then give --yes",
            exit_code=Exit.USAGE,
        )
    if not click.confirm(question, err=True):
        raise Stopped(
            "nothing was changed",
            code="not-confirmed",
            where="you said no",
            next_step="run it again when ready",
        )


# --- commands -----------------------------------------------------------------------------------------


def _set_plain(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta["halong.plain"] = True
        context.find_root().color = False
        context.color = False


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta["halong.debug"] = True


def _everywhere() -> list[click.Parameter]:
    return [
        click.Option(
            ["--plain"],
            is_flag=True,
            expose_value=False,
            callback=_set_plain,
            help="No colour, nothing that moves (also NO_COLOR).",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_set_debug,
            help="Show where in the program an error happened.",
        ),
    ]


def _write_end(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"  {example}\n")
    with formatter.section("Exit codes"):
        formatter.write(f"  {EXIT_CODES}\n")


class Command(click.Command):
    """A command whose help ends with examples and exit codes."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        settings.setdefault("context_settings", {}).setdefault("max_content_width", 110)
        super().__init__(*args, **settings)
        self.examples = examples
        self.params += _everywhere()

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes."""
        _write_end(self.examples, formatter)


class Group(click.Group):
    """A command with commands below it, whose help ends alike."""

    command_class = Command

    def __init__(self, *args: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        settings.setdefault("context_settings", {}).setdefault("max_content_width", 110)
        super().__init__(*args, **settings)
        self.examples = examples
        self.params += _everywhere()

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes."""
        _write_end(self.examples, formatter)


json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
READABLE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


# --- the end ------------------------------------------------------------------------------------------


def complain(stopped: Stopped) -> None:
    """Print what happened, where, and what to do next: three lines on stderr."""
    note(f"{style('error:', fg='red', bold=True)} {clean(str(stopped))} [{stopped.code}]")
    note(f"{style('where:', bold=True)} {clean(stopped.where)}")
    note(f"{style('next:', bold=True)}  {clean(stopped.next_step)}")


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run `command` and return its exit code; errors become three lines.

    Only errors that have a code are caught, and what the operating system says about files; anything
    else is a mistake of ours and may show its traceback.
    """
    debug = "--debug" in arguments
    try:
        result = _call(command, arguments)
    except Stopped as stopped:
        if debug:
            raise
        complain(stopped)
        return stopped.exit_code
    except HalongError as error:
        if debug:
            raise
        refusal = from_error(error)
        complain(refusal)
        return refusal.exit_code
    except click.UsageError as error:
        complain(_usage(error))
        return Exit.USAGE
    except click.ClickException as error:
        complain(
            Stopped(
                _lower(error.format_message()),
                code="usage",
                where="command line",
                next_step="see `halong --help`",
            )
        )
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        note("stopped")
        return 130
    except BrokenPipeError:
        # Whoever read our answer has had enough; what is left in the buffer must not complain at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.HELD
    except OSError as error:
        if debug:
            raise
        refused = from_os(error)
        complain(refused)
        return refused.exit_code
    return result if isinstance(result, int) else Exit.HELD


def _call(command: click.Command, arguments: Sequence[str]) -> object:
    """Call the command; of errors that came together, the first that has a code stands for all."""
    try:
        return command.main(list(arguments), prog_name="halong", standalone_mode=False)
    except BaseExceptionGroup as group:
        known, other = group.split((HalongError, Stopped, OSError))
        if known is None or other is not None:
            raise
        first: BaseException = known
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group


def _usage(error: click.UsageError) -> Stopped:
    context = error.ctx
    path = context.command_path if context is not None else "halong"
    return Stopped(
        _lower(error.format_message()),
        code="usage",
        where=path,
        next_step=f"see `{path} --help`",
        exit_code=Exit.USAGE,
    )


def _lower(message: str) -> str:
    message = message.strip().rstrip(".").replace("\n", " ")
    return message[:1].lower() + message[1:]
