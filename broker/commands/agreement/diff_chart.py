"""The chart of a dry run: for each member and notice type, what comes to the right, what goes to the left.

SVG written by hand, as it is a few rectangles: the file needs no script, no font and no network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from broker.core.dry_run import Change

MOST_BARS = 30
WIDTH = 960
TOP = 92
ROW = 22
LABEL = 270
MIDDLE = 610
REACH = 250
"""The longest bar on either side of the middle."""

RIGHT = (Change.ADDED, Change.WIDENED)
LEFT = (Change.REMOVED, Change.NARROWED, Change.EXCHANGED, Change.TERMS)
COLOURS = {
    Change.ADDED: "#1a7f37",
    Change.WIDENED: "#7bc96f",
    Change.REMOVED: "#b42318",
    Change.NARROWED: "#e8833a",
    Change.EXCHANGED: "#c9a227",
    Change.TERMS: "#8c8c8c",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """What changes for a member's notices of one type."""

    member: str
    notice_type: str
    changes: Counter[Change]
    parts: str


def picture(title: str, said: str, bars: Sequence[Bar]) -> str:
    """Return the chart as SVG."""
    shown = bars[:MOST_BARS]
    height = TOP + ROW * max(len(shown), 1) + 34
    longest = max((_length(bar, side) for bar in shown for side in (LEFT, RIGHT)), default=0) or 1
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"',
        f'height="{height}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="15" font-weight="bold">{escape(_cut(title))}</text>',
        f'<text x="16" y="46" fill="#555555">{escape(said)}</text>',
        *_legend(),
    ]
    for number, bar in enumerate(shown):
        lines += _bar(bar, TOP + ROW * number, longest)
    if not shown:
        lines.append(f'<text x="16" y="{TOP + 15}">no delivery changes</text>')
    bottom = TOP + ROW * max(len(shown), 1)
    lines.append(f'<line x1="{MIDDLE}" y1="{TOP - 4}" x2="{MIDDLE}" y2="{bottom}" stroke="#333333"/>')
    if len(bars) > len(shown):
        lines.append(
            f'<text x="16" y="{bottom + 20}" fill="#555555">and {len(bars) - len(shown):,} more</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def page(title: str, said: str, bars: Sequence[Bar], remarks: Sequence[str]) -> str:
    """Return a page with the chart, and all of its numbers below."""
    kinds = [change for change in COLOURS if any(bar.changes[change] for bar in bars)]
    head = "".join(
        f"<th>{escape(each)}</th>" for each in ("member", "notice type", *(k.value for k in kinds), "parts")
    )
    rows = "".join(
        f"<tr><td>{escape(bar.member)}</td><td>{escape(bar.notice_type)}</td>"
        + "".join(f'<td class="n">{bar.changes[kind]:,}</td>' for kind in kinds)
        + f"<td>{escape(bar.parts)}</td></tr>\n"
        for bar in bars
    )
    notes = "".join(f"<li>{escape(each)}</li>" for each in remarks)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body{{font-family:sans-serif;margin:2em}}table{{border-collapse:collapse}}
td,th{{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:left}}.n{{text-align:right}}</style></head>
<body>
{picture(title, said, bars)}
<ul>{notes}</ul>
<table><thead><tr>{head}</tr></thead><tbody>
{rows}</tbody></table>
</body></html>
"""


def _legend() -> list[str]:
    lines, x = [], 16
    for change, colour in COLOURS.items():
        lines.append(f'<rect x="{x}" y="60" width="11" height="11" fill="{colour}"/>')
        lines.append(f'<text x="{x + 16}" y="70">{change.value}</text>')
        x += 34 + 7 * len(change.value)
    return lines


def _bar(bar: Bar, y: int, longest: int) -> list[str]:
    name = escape(f"{bar.member}  {bar.notice_type}")
    lines = [f'<text x="{LABEL}" y="{y + 15}" text-anchor="end">{name}</text>']
    for side, sign in ((LEFT, -1), (RIGHT, 1)):
        at = float(MIDDLE)
        for change in side:
            width = REACH * bar.changes[change] / longest
            if not width:
                continue
            left = at - width if sign < 0 else at
            count = f"{bar.changes[change]:,} {change.value}"
            lines.append(
                f'<rect x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}" '
                f'fill="{COLOURS[change]}"><title>{count}</title></rect>'
            )
            at += sign * width
        if (length := _length(bar, side)) > 0:
            anchor, x = "end" if sign < 0 else "start", at + sign * 5
            lines.append(
                f'<text x="{x:.1f}" y="{y + 15}" text-anchor="{anchor}" fill="#555555">{length:,}</text>'
            )
    return lines


def _length(bar: Bar, side: Sequence[Change]) -> int:
    return sum(bar.changes[change] for change in side)


def _cut(text: str, most: int = 110) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
