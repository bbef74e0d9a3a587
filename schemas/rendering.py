"""A notice drawn: as one self-contained page in two languages, and as lines for a terminal.

Decides how the page protects its reader: every value is escaped (Jinja's autoescape), stands in `<bdi>`, and
has had its unseen characters written out by `readable.visible`; the page loads nothing, runs nothing and says
so in its content security policy.  What is on it is decided in `view`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from textwrap import wrap

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from schemas.fields import Row
from schemas.readable import Value
from schemas.shown import ProofLine, Shown, SlotState, slot_states
from schemas.view import View, view
from schemas.wording import LANGUAGES

__all__ = ["ProofLine", "Shown", "SlotState", "render_page", "slot_states", "text", "view"]

LABEL_WIDTH = 28
LINE_WIDTH = 100


def render_page(shown: Shown, language: str = "en") -> str:
    """Return the page of a notice: HTML with both languages in it, `language` first to see."""
    order = [language, *(other for other in LANGUAGES if other != language)]
    views = [view(shown, one) for one in LANGUAGES]
    style, policy = sealed_style(_read("page.css") + _margins(views))
    return _template().render(views=views, first=order[0], style=style, policy=policy)


def sealed_style(css: str) -> tuple[Markup, str]:
    """Return our own style for a page, and the policy under which nothing but it may take effect."""
    digest = b64encode(sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return Markup(css), policy  # noqa: S704  it comes out of our own files


def text(seen: View) -> str:
    """Return the notice as lines for a terminal; no value can move the cursor or turn the text."""
    words = seen.words
    lines = [f"{seen.tlp}  {seen.tlp_note}", f"{seen.handling}  {seen.handling_note}"]
    if seen.banner is not None:
        lines += ["", f"*** {seen.banner[0]} ***", seen.banner[1]]
    if seen.doubt is not None:
        lines += ["", f"*** {seen.doubt[0]} ***", seen.doubt[1]]
    lines += ["", f"{seen.title}  ·  {seen.act}  ·  {seen.reference}"]
    lines += _lines(seen.head, 0)
    if seen.route:
        stops = "  →  ".join(_said(stop.place) for stop in seen.route)
        lines += ["", *_labelled(words.page("route"), stops, 0)]
    elif seen.route_note:
        lines += ["", seen.route_note]
    deadline = words.page("no_deadline") if seen.deadline is None else seen.deadline.text
    lines += ["", *_labelled(words.page("asked"), seen.action, 0)]
    lines += _labelled(words.page("answer_by"), deadline, 0)
    if seen.danger:
        lines += [f"! {words.page('danger')}: {words.page('danger_note')}"]
    if seen.graded:
        grade = words.page("not_graded") if seen.grade is None else "  ".join(seen.grade)
        lines += _labelled(words.page("grading"), grade, 0)
    lines += _lines(seen.assessment, 0)
    for section in seen.sections:
        state = "" if section.state is SlotState.SHOWN else f"  [{section.state_label}]"
        lines += ["", f"{section.label.upper()}{state}"]
        lines += [f"  {section.note}"] if section.note else []
        lines += _lines(section.rows, 1)
    lines += ["", words.page("obligations").upper()]
    lines += _lines(seen.obligations, 1) or [f"  {words.page('obligations_none')}"]
    if seen.agreements:
        lines += _labelled(words.page("agreements"), "; ".join(seen.agreements), 1)
    state = words.page("verified" if seen.verified else "not_verified")
    lines += ["", f"{seen.signed_by}: {state}; {seen.logged}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _lines(rows: tuple[Row, ...], depth: int) -> list[str]:
    lines: list[str] = []
    for row in rows:
        if row.groups:
            for group in row.groups:
                lines.append(f"{'  ' * depth}{row.label}")
                lines += _lines(group, depth + 1)
        else:
            lines += _labelled(row.label, "\n".join(map(_said, row.values)), depth)
    return lines


def _labelled(label: str, said: str, depth: int) -> list[str]:
    indent = "  " * depth
    room = LABEL_WIDTH - len(indent)
    lines = [part for line in said.expandtabs(4).split("\n") for part in wrap(line, LINE_WIDTH) or [""]]
    first, *rest = lines
    return [f"{indent}{label:<{room}}  {first}", *(f"{' ' * LABEL_WIDTH}  {line}" for line in rest)]


def _said(value: Value) -> str:
    code = f" ({value.code})" if value.code else ""
    remarks = (*value.notes, *(f"! {flag}" for flag in value.flags))
    return f"{value.text}{code}" + (f"  [{'; '.join(remarks)}]" if remarks else "")


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


def _margins(views: list[View]) -> str:
    """Return the style that repeats mark and reference on every printed sheet, as TLP 2.0 asks."""
    seen = views[0]
    said = [seen.tlp, seen.handling, seen.reference]
    if seen.banner is not None:
        said[:0] = [one.banner[0].partition(" · ")[0] for one in views if one.banner]
    # Only what marks and references are made of: here no template escapes.
    line = re.sub(r"[^\w:+/ ·-]", "", "  ·  ".join(said))
    counted = f'"{line}  ·  " counter(page) "/" counter(pages)'
    margins = (("top", f'"{line}"'), ("bottom", counted))
    boxes = "".join(f"@{edge}-center {{ content: {what}; font: 8pt sans-serif; }} " for edge, what in margins)
    return f"@page {{ {boxes}}}\n"


@cache
def _read(name: str) -> str:
    return (files("schemas") / name).read_text(encoding="utf-8")
