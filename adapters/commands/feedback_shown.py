"""How feedback looks: rows for people, objects with stable names for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from adapters.commands.previewed import receiver_object
from adapters.feedback.answering import Answer, Due
from adapters.feedback.counts import DAY_MS, Count
from adapters.feedback.view import Given, Shared
from broker.core.model import Status
from broker.core.notice_json import time_or_none, time_to_json
from broker.moments import local
from broker.terminal import clean, style


def due_line(each: Due) -> tuple[str, ...]:
    """Return what is due as a row."""
    shared = each.shared
    when = f"{_span(-each.left_ms)} late" if each.overdue else f"in {_span(each.left_ms)}"
    status = "" if shared.status is Status.ACTUAL else shared.status.name
    return (
        style(when, fg="red" if each.overdue else "yellow" if each.left_ms < DAY_MS else None),
        style(clean(shared.reference), bold=True),
        clean(shared.notice_type),
        style(f"by {', '.join(shared.agreements)}", dim=True),
        status,
    )


def _span(ms: int) -> str:
    if ms >= 2 * DAY_MS:
        return f"{ms // DAY_MS} days"
    hours, minutes = divmod(ms // 60_000, 60)
    return f"{hours} h" if hours else f"{minutes} min"


def given_line(each: Given) -> tuple[str, ...]:
    """Return feedback that came as a row."""
    about = each.shared.reference if each.shared is not None else each.statement.hex()[:16]
    took = None if each.shared is None else max(each.at - each.shared.given_at, 0)
    return (
        local(each.at),
        style(clean(each.receiver), bold=True),
        style(
            clean(each.outcome or "withheld"), fg="green" if (each.outcome or "").startswith("HIT") else None
        ),
        clean(about),
        "" if each.shared is None else clean(each.shared.notice_type),
        style("not shared with it by us", fg="red")
        if took is None
        else style(f"after {_span(took)}", dim=True),
    )


def count_line(each: Count) -> tuple[str, ...]:
    """Return a count as a row."""
    return (
        each.agreement,
        f"{each.notices:,}",
        f"{each.asked:,}",
        f"{each.answered:,}",
        f"{each.due:,}",
        style(f"{each.overdue:,}", fg="red") if each.overdue else "0",
        f"{each.hits:,}",
        "-" if each.hit_rate is None else f"{each.hit_rate:.0%}",
        "-" if each.median_days is None else f"{each.median_days:.1f}",
    )


def right(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return head and rows with every column but the first to the right."""
    every = [head, *rows]
    widths = [max(len(click.unstyle(row[column])) for row in every) for column in range(len(head))]
    return [
        (
            row[0],
            *(
                " " * (width - len(click.unstyle(cell))) + cell
                for cell, width in zip(row[1:], widths[1:], strict=True)
            ),
        )
        for row in every
    ]


def shared_object(shared: Shared) -> dict[str, Any]:
    """Return a notice and what came of it, for programs."""
    return {
        "reference": f"halong:{shared.reference}",
        "statement": shared.statement.hex(),
        "delivery": shared.delivery.hex(),
        "originator": shared.originator,
        "receiver": shared.receiver,
        "type": shared.notice_type,
        "status": shared.status.name,
        "agreements": shared.agreements,
        "given_at": time_to_json(shared.given_at),
        "due_at": time_or_none(shared.due_at),
        "answered_at": time_or_none(shared.answered_at),
        "outcome": shared.outcome,
    }


def answer_object(made: Answer) -> dict[str, Any]:
    """Return an answer for programs."""
    return {
        "notice": shared_object(made.shared),
        "queued": made.queued,
        "receivers": [receiver_object(each) for each in made.receivers if each.receives],
    }


def given_object(each: Given) -> dict[str, Any]:
    """Return feedback that came, for programs."""
    return {
        "by": each.receiver,
        "outcome": each.outcome,
        "at": time_to_json(each.at),
        "statement": each.statement.hex(),
        "notice": None if each.shared is None else shared_object(each.shared),
    }


def count_object(each: Count) -> dict[str, Any]:
    """Return a count for programs."""
    return {
        "agreement": each.agreement,
        "direction": "sent" if each.sent else "received",
        "notices": each.notices,
        "asked": each.asked,
        "answered": each.answered,
        "due": each.due,
        "overdue": each.overdue,
        "hits": each.hits,
        "hit_rate": each.hit_rate,
        "median_days": each.median_days,
    }
