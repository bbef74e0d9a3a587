"""Writes the table of real clauses into `docs/agreements.md`: python -m tests.real_agreements."""

from __future__ import annotations

from tests.real_agreements.clauses import table
from tests.unit.test_real_agreements import MANUAL, section

if __name__ == "__main__":
    text = MANUAL.read_text(encoding="utf-8")
    MANUAL.write_text(text.replace(section(text), table()), encoding="utf-8")
