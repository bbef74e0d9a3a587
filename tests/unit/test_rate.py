from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.services.rate import Rate


def test_a_peer_has_its_burst_and_then_what_comes_back() -> None:
    rate = Rate(per_second=10, burst=3)

    assert [rate.take("vn", 0) for _ in range(4)] == [True, True, True, False]
    assert not rate.take("vn", 99)
    assert rate.take("vn", 100)
    assert not rate.take("vn", 100)


def test_one_peer_does_not_use_up_anothers() -> None:
    rate = Rate(per_second=1, burst=1)

    assert rate.take("vn", 0)
    assert rate.take("jp", 0)
    assert not rate.take("vn", 0)


def test_a_clock_that_is_set_back_gives_nothing() -> None:
    rate = Rate(per_second=1, burst=1)
    rate.take("vn", 10_000)

    assert not rate.take("vn", 0)
    assert rate.take("vn", 1_000)


@given(
    per_second=st.floats(0.1, 1000),
    burst=st.integers(1, 100),
    steps=st.lists(st.integers(0, 5_000), max_size=50),
)
def test_nobody_ever_gets_more_than_burst_and_rate_allow(
    per_second: float, burst: int, steps: list[int]
) -> None:
    rate = Rate(per_second, burst)
    now = taken = 0
    for step in steps:
        now += step
        while rate.take("vn", now):
            taken += 1

    assert taken <= burst + per_second * now / 1000 + 1e-6


@given(per_second=st.floats(0.1, 1000), burst=st.integers(1, 10))
def test_after_the_seconds_that_are_told_there_is_a_token(per_second: float, burst: int) -> None:
    rate = Rate(per_second, burst)
    while rate.take("vn", 0):
        pass

    assert rate.take("vn", rate.seconds_until("vn", 0) * 1000)
