"""Rules of budgets that roll: no window of their length ever holds more than the cap and what calls took unexpectedly."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.budget import Budget
from headway.core.call import Cap, Unit
from headway.core.caps import Caps, Take, settle
from headway.core.rolling import PIECES, RollingBudget
from world import a_call

HOUR = 3600 * 10**9


def spend(budget: Budget, amount: int) -> None:
    budget.hold(amount)
    budget.settle(amount, amount)


def test_what_was_taken_counts_until_it_is_out_of_the_window() -> None:
    budget = RollingBudget(100, HOUR)
    budget.look(HOUR)
    spend(budget, 60)
    budget.look(HOUR + HOUR // 2)
    spend(budget, 40)
    assert not budget.fits(1)
    budget.look(2 * HOUR - 1)
    assert budget.spent == 100
    budget.look(2 * HOUR)
    assert budget.spent == 40
    budget.look(2 * HOUR + HOUR // 2)
    assert budget.spent == 0


def test_what_was_taken_before_a_restart_leaves_as_if_there_had_been_none() -> None:
    budget = RollingBudget(100, HOUR, [(1 * HOUR, 30), (HOUR + HOUR // 2, 50)])
    budget.look(HOUR + HOUR // 2)
    assert budget.spent == 80
    budget.look(2 * HOUR)
    assert budget.spent == 50


def test_what_calls_in_flight_hold_does_not_leave() -> None:
    budget = RollingBudget(100, HOUR)
    budget.hold(100)
    budget.look(5 * HOUR)
    assert not budget.fits(1)
    budget.settle(100, 70)
    assert budget.fits(30)
    assert not budget.fits(31)


def test_when_it_clears_is_when_enough_has_left() -> None:
    budget = RollingBudget(100, HOUR, [(10, 20), (HOUR // 2, 90)])
    assert budget.clears_ns() == 10 + HOUR
    budget.change(15)
    assert budget.clears_ns() == HOUR // 2 + HOUR
    assert RollingBudget(100, HOUR).clears_ns() is None


def test_it_is_news_again_when_it_fills_up_anew() -> None:
    budget = RollingBudget(100, HOUR)
    told = []
    for round_ in range(2):
        budget.look((2 * round_ + 1) * HOUR)
        for _ in range(10):
            spend(budget, 10)
            told.append(budget.passed())
    assert [share for share in told if share] == [0.8, 1.0, 0.8, 1.0]


def test_memory_is_bounded_however_much_is_taken() -> None:
    budget = RollingBudget(10**9, HOUR)
    for at in range(0, 3 * HOUR, HOUR // 5000):
        budget.look(at)
        spend(budget, 1)
    assert len(budget._pieces) <= PIECES + 1
    assert 5000 <= budget.spent <= 5000 * (1 + 1 / PIECES) + 1


STEPS = st.lists(
    st.tuples(st.integers(0, HOUR // 3), st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=60
)


@given(STEPS)
def test_no_window_holds_more_than_the_cap_and_what_calls_took_beyond_what_was_expected(
    steps: Sequence[tuple[int, int, int]],
) -> None:
    """A shadow that keeps every amount says what each window holds; what counts is never less, and not much more."""
    caps, cap, at = Caps(), Cap("rolls", Unit.TOKENS, 100), HOUR
    caps.recall = lambda cap: RollingBudget(cap.amount, HOUR, name=cap.name, unit=cap.unit)
    taken: list[tuple[int, int, int]] = []
    for pause, expected, actual in steps:
        at += pause
        caps.at_ns = at
        call, take = a_call(caps=(cap,)), Take(expected, None)
        caps.see(call)
        if caps.refusal(call, take) is None:
            settle(caps.hold(call, take), Take(actual, None), "model")
            taken.append((at, actual, max(actual - expected, 0)))
        else:
            caps.meet(cap).look(at)
        held = sum(amount for when, amount, _ in taken if at - HOUR < when)
        beyond = sum(more for when, _, more in taken if at - HOUR - HOUR // PIECES < when)
        lately = sum(amount for when, amount, _ in taken if at - HOUR - HOUR // PIECES < when)
        assert held <= caps.meet(cap).spent <= lately
        assert held <= cap.amount + beyond


@pytest.mark.parametrize("unit", [Unit.USD, Unit.TOKENS, Unit.REQUESTS])
def test_a_soft_one_refuses_nothing_and_is_news(unit: Unit) -> None:
    caps, cap = Caps(), Cap("soft", unit, 10)
    caps.recall = lambda cap: RollingBudget(cap.amount, HOUR, name=cap.name, unit=cap.unit, soft=True)
    call, take = a_call(caps=(cap,)), Take(50, 50)
    caps.see(call)
    news = []
    for _ in range(20):
        assert caps.refusal(call, take) is None
        assert not caps.is_used_up(call)
        news += settle(caps.hold(call, take), take, "model")
    assert [share for _, share in news][-1] == 1.0
    assert len(news) <= 2
