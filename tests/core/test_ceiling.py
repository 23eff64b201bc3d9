"""Rules of how many calls may be in flight."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.ceiling import Ceiling


def fill(ceiling: Ceiling, now: float = 0.0) -> int:
    """Let calls go as long as the ceiling allows, a hundred at most; returns how many."""
    went = 0
    while went < 100 and ceiling.wait(now) == 0.0:
        ceiling.enter()
        went += 1
    return went


def paced(most: int | None = None) -> Ceiling:
    """A ceiling of a pool whose headers tell its limits."""
    made = Ceiling(most)
    made.adaptive = None
    return made


def closed(now: float = 0.0) -> tuple[Ceiling, float]:
    """A ceiling closed by overload, and the seconds until it may open."""
    made = paced()
    for _ in range(100):
        made.enter()
        made.overloaded(now)
        made.leave()
        if made.wait(now) > 0.0:
            return made, made.wait(now)
    raise AssertionError("a hundred overloads in a row do not close it")


def test_a_fixed_ceiling_holds_whether_or_not_headers_tell() -> None:
    assert fill(paced(3)) == 3
    few = Ceiling(2)
    for _ in range(100):
        few.succeeded()
    assert fill(few) == 2


def test_at_the_ceiling_a_call_waits_for_one_in_flight_to_end() -> None:
    ceiling = paced(3)
    fill(ceiling)
    assert ceiling.wait(0.0) == inf
    ceiling.leave()
    assert ceiling.wait(0.0) == 0.0


def test_where_headers_tell_the_limits_there_is_no_ceiling_but_yours() -> None:
    assert fill(paced()) == 100


def test_without_headers_few_calls_start() -> None:
    assert 1 <= fill(Ceiling()) <= 10


def test_without_headers_a_full_round_of_successes_allows_one_call_more() -> None:
    ceiling = Ceiling()
    before = fill(ceiling)
    for _ in range(before):
        ceiling.leave()
        ceiling.succeeded()
        ceiling.enter()
    assert before < ceiling.height <= before + 1


def test_calls_that_leave_the_ceiling_unused_do_not_raise_it() -> None:
    ceiling = Ceiling()
    for _ in range(100):
        fill(ceiling)
        for _ in range(ceiling.in_flight):
            ceiling.leave()
            ceiling.succeeded()
    high = ceiling.height
    for _ in range(100):
        ceiling.enter()
        ceiling.leave()
        ceiling.succeeded()
    assert ceiling.height == high


def test_a_refusal_halves_the_ceiling_once_a_round_trip_and_never_below_one_call() -> None:
    ceiling = Ceiling()
    ceiling.adaptive = 16.0
    fill(ceiling)
    ceiling.leave()
    ceiling.refused(10.0, 0.5)
    assert ceiling.height == pytest.approx(8.0)
    ceiling.refused(10.4, 0.5)
    assert ceiling.height == pytest.approx(8.0)
    for second in range(20):
        ceiling.refused(11.0 + second, 0.5)
    assert ceiling.height == 1.0


def test_single_overloads_close_nothing() -> None:
    ceiling = paced()
    for _ in range(100):
        for _ in range(5):
            ceiling.overloaded(0.0)
        ceiling.succeeded()
    assert ceiling.wait(0.0) == 0.0


def test_a_run_of_nothing_but_overloads_closes_the_pool_for_a_while() -> None:
    ceiling, wait_s = closed()
    assert 0.0 < wait_s <= 60.0
    assert ceiling.wait(wait_s + 0.001) == 0.0


def test_a_closed_pool_is_opened_by_one_probe_at_a_time() -> None:
    ceiling, wait_s = closed()
    later = wait_s + 0.001
    ceiling.enter()
    assert ceiling.wait(later) == inf
    ceiling.leave()
    ceiling.overloaded(later)
    assert ceiling.wait(later) > wait_s


def test_a_pool_is_never_closed_for_more_than_a_minute_at_a_time() -> None:
    ceiling, _ = closed()
    for _ in range(50):
        ceiling.overloaded(0.0)
    assert ceiling.wait(0.0) == 60.0


def test_a_success_opens_the_pool_at_once() -> None:
    ceiling, _ = closed()
    ceiling.enter()
    ceiling.leave()
    ceiling.succeeded()
    assert fill(ceiling) == 100


@given(
    st.one_of(st.none(), st.integers(1, 20)),
    st.lists(st.sampled_from(["go", "go", "succeeded", "refused", "overloaded"]), max_size=200),
)
def test_calls_in_flight_never_pass_what_is_allowed(most: int | None, acts: list[str]) -> None:
    ceiling, in_flight, now = Ceiling(most), 0, 0.0
    for act in acts:
        now += 0.1
        if act == "go":
            if ceiling.wait(now) == 0.0:
                ceiling.enter()
                in_flight += 1
                assert in_flight <= ceiling.height
        elif in_flight:
            in_flight -= 1
            ceiling.leave()
            if act == "succeeded":
                ceiling.succeeded()
            elif act == "refused":
                ceiling.refused(now, 0.1)
            else:
                ceiling.overloaded(now)
        assert ceiling.in_flight == in_flight
        assert most is None or in_flight <= most
