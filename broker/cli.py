"""The table of commands: which there are, for whom, and where each is written.

A command's module is imported when the command is used, so that `halong --help` is there at once.
What they all have in common for a person is `broker.terminal`.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

import click

from broker.terminal import EXIT_CODES, Group, run, style


class Entry(NamedTuple):
    """One line of the help, and the module whose attribute of the same name is the command."""

    section: str
    place: str
    summary: str


PUBLISH = "Publish and read"
RUN = "Run a hub or node"
ADMIT = "Agreements and members"
AUDIT = "Audit"
DEVELOP = "Develop"

COMMANDS: Mapping[str, Entry] = {
    "publish": Entry(
        PUBLISH, "adapters.commands.publish", "Queue notices for this node to send: files, or a table."
    ),
    "preview": Entry(
        PUBLISH, "adapters.commands.preview", "Say who would get a notice, which parts, and why."
    ),
    "feed": Entry(PUBLISH, "adapters.commands.feed", "Show what arrived at this node."),
    "feedback": Entry(
        PUBLISH, "adapters.commands.feedback", "Answer what was received; see what came of what was sent."
    ),
    "outbox": Entry(
        PUBLISH, "adapters.commands.outbox", "Carry notices of a node without network, by stick."
    ),
    "receipt": Entry(
        PUBLISH, "adapters.commands.receipt", "Say where the hub's log has a notice, and show the proof."
    ),
    "inspect": Entry(PUBLISH, "adapters.commands.inspect", "Check a notice in a file; needs no hub."),
    "init": Entry(RUN, "broker.commands.init", "Make the folder of a hub: keys, settings."),
    "hub": Entry(RUN, "broker.commands.hub", "Run the hub; put into force what was signed."),
    "member": Entry(RUN, "broker.commands.member", "Run a member's node; let members in and out."),
    "channel": Entry(RUN, "adapters.commands.channel", "Look after the ways into the member's own systems."),
    "doctor": Entry(RUN, "broker.commands.doctor", "Check a folder, and say what mends it."),
    "backup": Entry(RUN, "broker.commands.backup", "Back a hub or node up into one file, while it runs."),
    "restore": Entry(RUN, "broker.commands.restore", "Bring a backup back as a folder."),
    "key": Entry(RUN, "broker.commands.key", "Show, make, copy and bring back private keys."),
    "directory": Entry(ADMIT, "broker.commands.directory", "Begin, show and sign the list of members."),
    "agreement": Entry(ADMIT, "broker.commands.agreement", "Write, check, read and explain agreements."),
    "audit": Entry(AUDIT, "broker.commands.audit", "Read the stored log back, count it and prove it."),
    "verify": Entry(AUDIT, "broker.commands.verify", "Check a bundle of evidence; needs no hub."),
    "demo": Entry(DEVELOP, "broker.commands.demo", "Play a hub and four members on this machine."),
}

# Commands below a command that a section's reader looks for.
POINTERS: tuple[Entry, ...] = (
    Entry(ADMIT, "member invite", "Invite a member; approve lets it in once it has made its keys."),
    Entry(ADMIT, "member join", "Make a member's node from an invitation; take the hub's welcome."),
    Entry(ADMIT, "hub take", "Put what was signed into force; welcome who asked to join."),
    Entry(ADMIT, "hub welcome", "Write a member's welcome again, with the directory of today."),
)
SECTIONS = (PUBLISH, RUN, ADMIT, AUDIT, DEVELOP)


class Table(Group):
    """The group whose commands are imported on use."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, or None."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(import_module(entry.place), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was perhaps meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"; did you mean {near[0]}" if near else ""
            raise click.UsageError(f"no such command: {name}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by who uses them, without importing one."""
        width = max(len(name) for name in (*COMMANDS, *(pointer.place for pointer in POINTERS)))
        for section in SECTIONS:
            lines = [(name, entry.summary) for name, entry in COMMANDS.items() if entry.section == section]
            lines += [(pointer.place, pointer.summary) for pointer in POINTERS if pointer.section == section]
            formatter.write(f"\n{style(section, bold=True)}\n")
            for name, summary in lines:
                formatter.write(f"  {name:<{width}}  {summary}\n")

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write how to begin."""
        formatter.write(f"\n{style('Begin with', bold=True)}\n")
        formatter.write(
            "  halong demo                      a hub and four members on this machine, in a minute\n"
        )
        formatter.write("  halong COMMAND --help            examples and settings of one command\n")
        formatter.write(
            '  eval "$(_HALONG_COMPLETE=bash_source halong)"   completion; also zsh_source, fish_source\n'
        )
        formatter.write(f"\nExit codes: {EXIT_CODES}\n")


def _show_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"halong {version('halong')}")
        context.exit()


@click.command(
    "halong",
    cls=Table,
    help="Exchange signed notices between customs administrations, and prove afterwards what happened.",
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.pass_context
def halong(context: click.Context) -> None:
    """Show the help when no command was named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the command line, then end the process with the command's exit code."""
    sys.exit(run(halong, sys.argv[1:]))


if __name__ == "__main__":
    main()
