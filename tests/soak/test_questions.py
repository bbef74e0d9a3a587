"""An auditor waits less than a second for any answer over a million records."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.questions import measure

pytestmark = pytest.mark.soak

RECORDS = 1_000_000
SECONDS = 1.0


async def test_every_question_over_a_million_records_is_answered_in_a_second(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = await measure(tmp_path, RECORDS)
    with capsys.disabled():
        print(f"\n{measured.table()}")
    assert {name for name, seconds in measured.answers.items() if seconds >= SECONDS} == set()
    assert measured.went_on < SECONDS
