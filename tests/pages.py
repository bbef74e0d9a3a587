"""Pages with a part that a program writes, between two marks."""

from __future__ import annotations

from pathlib import Path


def rewritten(page: str, begin: str, end: str, part: str) -> str:
    """Return the page with another part between its marks.

    Raises:
        ValueError: It does not have them.
    """
    before, _, rest = page.partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise ValueError(f"the page has no {begin} … {end}")
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"


def rewrite(path: Path, begin: str, end: str, part: str) -> None:
    """Put another part between the marks of a page."""
    page = path.read_text(encoding="utf-8")
    path.write_text(rewritten(page, begin, end, part), encoding="utf-8")
