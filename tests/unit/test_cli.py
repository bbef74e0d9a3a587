"""The command line as a person meets it."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from broker.cli import COMMANDS, halong
from broker.core.errors import BadConfiguration, BadSignature, Unavailable
from broker.terminal import Command, Exit, Stopped, clean, run, style, table


def commands() -> list[tuple[str, click.Command]]:
    context = click.Context(halong)
    found: list[tuple[str, click.Command]] = []
    for name in halong.list_commands(context):
        command = halong.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {below}", part) for below, part in command.commands.items()]
    return found


def test_help_imports_no_command(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import sys\nfrom broker.cli import halong\nfrom broker.terminal import run\n"
        "run(halong, ['--help'])\n"
        "slow = ('broker.commands', 'adapters', 'rich', 'cryptography')\n"
        "assert not [module for module in sys.modules if module.startswith(slow)]"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)

    assert "Publish and read" in capfd.readouterr().out


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_every_command_has_a_sentence_two_examples_and_its_exit_codes(
    name: str, command: click.Command
) -> None:
    text = command.get_help(click.Context(command, info_name=name))

    assert command.help
    assert command.help.splitlines()[0].endswith(".")
    examples = text.split("Examples:")[1].split("Exit codes")[0].strip().splitlines()
    assert len(examples) >= 2
    assert all(line.strip().startswith("halong ") for line in examples)
    assert "0 held" in text


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_whoever_wants_no_colour_gets_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert style("said", fg="red") != "said"
    monkeypatch.setenv(name, value)
    assert style("said", fg="red") == "said"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_commands_say(name: str) -> None:
    assert COMMANDS[name].summary.endswith(".")
    assert dict(commands())[name].name == name


@pytest.mark.parametrize(
    ("raised", "code", "exit_code"),
    [
        (BadSignature("the signature does not cover it", field="signature"), "bad-signature", Exit.FAILED),
        (BadConfiguration("no such setting", field="hub.toml"), "bad-configuration", Exit.USAGE),
        (Unavailable("the hub is out of reach"), "unavailable", Exit.UNAVAILABLE),
        (Stopped("x", code="y", where="z", next_step="w", exit_code=Exit.NOT_CHECKED), "y", Exit.NOT_CHECKED),
        (ExceptionGroup("both", [ValueError("x"), BadSignature("no")]), None, None),
        (ExceptionGroup("both", [ExceptionGroup("in", [BadSignature("no")])]), "bad-signature", Exit.FAILED),
        (FileNotFoundError(2, "No such file or directory", "x.json"), "file", Exit.USAGE),
        (OSError(28, "No space left on device", "x.json"), "unavailable", Exit.UNAVAILABLE),
        (OSError(30, "Read-only file system", "x.json"), "unavailable", Exit.UNAVAILABLE),
    ],
)
def test_an_error_is_three_lines_and_an_exit_code(
    raised: Exception, code: str | None, exit_code: Exit | None, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("fails", cls=Command)
    def fails() -> None:
        raise raised

    if exit_code is None:
        with pytest.raises(ExceptionGroup):
            run(fails, [])
        return
    assert run(fails, []) == exit_code
    out, err = capsys.readouterr()
    assert out == ""
    what, where, following = err.splitlines()
    assert what.startswith("error: ")
    assert what.endswith(f"[{code}]")
    assert where.startswith("where: ")
    assert following.startswith("next: ")
    if not isinstance(raised, ExceptionGroup):
        with pytest.raises(type(raised)):
            run(fails, ["--debug"])


def test_an_unknown_command_is_answered_with_the_one_that_was_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(halong, ["publsh"]) == Exit.USAGE
    assert "did you mean publish" in capsys.readouterr().err


def test_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b[31mb\u202ec\tď\n") == "a\\u001b[31mb\\u202ec\tď\n"


def test_columns_are_aligned_whatever_their_colour() -> None:
    assert table([("a", click.style("bb", fg="red"), "c"), ("aaa", "b", "c")], gap=" ") == [
        "  a   \x1b[31mbb\x1b[0m c",
        "  aaa b  c",
    ]
