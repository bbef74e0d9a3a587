"""`halong agreement show`: a whole agreement in sentences, for whoever has to sign it."""

from __future__ import annotations

from pathlib import Path

import click

from broker.commands.agreement.places import find_agreement, some_dir_option
from broker.terminal import Command, answer, clean, json_option, note, say, style


@click.command(
    "show",
    cls=Command,
    examples=[
        "halong agreement show jp-vn-2027.toml",
        "halong agreement show jp-vn-2026 --dir vn --language vi",
        "halong agreement show jp-vn-2027.toml --html jp-vn-2027.html     # one page, both languages",
    ],
)
@click.argument("agreement")
@some_dir_option
@click.option(
    "--language", type=click.Choice(["en", "vi"]), default="en", show_default=True, help="Of the sentences."
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Write a page that needs nothing else, with both languages.",
)
@json_option
def show_command(
    agreement: str, folder: Path | None, language: str, page: Path | None, as_json: bool
) -> None:
    """Read an AGREEMENT out in sentences: a file, or the name of one in the directory of --dir.

    Every clause is said with its name in the file, also what is left out and so is as usual.  NAME is
    jp-vn-2026 (the latest version) or jp-vn-2026/3.
    """
    from broker.files import write_whole
    from schemas.agreements.page import agreement_page, agreement_text
    from schemas.agreements.sentences import as_object, read_out

    found, names = find_agreement(agreement, folder)
    if page is not None:
        write_whole(page, agreement_page(found, language, names))
        note(f"wrote {page}")
    reading = read_out(found, language, names)
    if as_json:
        answer(
            {
                "agreement": found.id,
                "version": found.version,
                "digest": found.digest.hex(),
                "title": found.title,
                "parties": sorted(found.parties),
                "page": None if page is None else str(page),
                **as_object(reading),
            }
        )
    elif page is None:
        head, *lines = agreement_text(reading).splitlines()
        say(style(clean(head), bold=True))
        for line in lines:
            say(clean(line) if line.startswith(" ") else style(clean(line), bold=bool(line)))
