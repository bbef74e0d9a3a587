"""An agreement drawn: as one self-contained page in two languages, and as lines for a terminal.

Decides how the page protects its reader, as that of a notice does: everything is escaped, what the agreement
says is isolated, and the page loads and runs nothing (`schemas.rendering.sealed_style`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from textwrap import wrap

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from broker.core.clauses import Agreement
from schemas.agreements.sentences import Reading, read_out
from schemas.rendering import sealed_style
from schemas.wording import LANGUAGES

CLAUSE_WIDTH = 22
LINE_WIDTH = 78


def agreement_page(agreement: Agreement, language: str = "en", names: Mapping[str, str] | None = None) -> str:
    """Return the page: HTML with both languages in it, `language` first to see."""
    readings = [read_out(agreement, one, names) for one in LANGUAGES]
    style, policy = sealed_style(_read("page.css"))
    return _template().render(
        readings=readings, first=language, style=style, policy=policy, digest=agreement.digest.hex()
    )


def agreement_text(reading: Reading) -> str:
    """Return the reading as lines: the clause's name in the file, and what it says."""
    lines = [f"{reading.name}  {reading.title}", reading.words.word("date_note")]
    for chapter in reading.chapters:
        lines += ["", chapter.title]
        for line in chapter.lines:
            first, *rest = wrap(line.text, LINE_WIDTH, break_on_hyphens=False) or [""]
            lines.append(f"  {line.clause:<{CLAUSE_WIDTH}}  {first}")
            lines += [f"  {'':<{CLAUSE_WIDTH}}  {more}" for more in rest]
    return "\n".join(line.rstrip() for line in lines) + "\n"


@cache
def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


@cache
def _read(name: str) -> str:
    return (files("schemas.agreements") / name).read_text(encoding="utf-8")
