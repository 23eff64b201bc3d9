"""Rules of a cap on money: it is never passed, and nothing held is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.core.budget import Budget


def test_what_is_held_counts_as_if_it_were_spent() -> None:
    budget = Budget(100)
    budget.hold(60)
    assert budget.fits(40)
    assert not budget.fits(41)


def test_what_was_held_and_not_spent_comes_back() -> None:
    budget = Budget(100)
    budget.hold(60)
    budget.settle(60, 10)
    assert budget.spent == 10
    assert budget.held == 0
    assert budget.fits(90)


def test_it_is_over_only_if_waiting_for_calls_in_flight_would_not_help() -> None:
    budget = Budget(100)
    budget.hold(60)
    assert not budget.fits(50)
    assert not budget.is_over(50)
    assert budget.is_over(101)
    budget.settle(60, 60)
    assert budget.is_over(50)


def test_what_was_spent_before_counts() -> None:
    assert not Budget(100, spent=90).fits(11)
    assert Budget(100, spent=90).is_over(11)


def test_a_cap_may_be_used_to_the_last_nanodollar() -> None:
    assert Budget(100, spent=90).fits(10)
    assert not Budget(100, spent=90).is_over(10)


@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.integers(0, 300), st.floats(0.0, 1.0), st.integers(0, 5)), max_size=60),
)
def test_the_cap_is_never_passed_in_whatever_order_calls_settle(
    cap: int, calls: list[tuple[int, float, int]]
) -> None:
    """Each call: the most it can cost, the share it does cost, and which of those in flight is settled after it."""
    budget, flying, spent = Budget(cap), list[tuple[int, int]](), 0
    for most, share, which in calls:
        if budget.fits(most):
            budget.hold(most)
            flying.append((most, int(most * share)))
        if flying:
            held, cost = flying.pop(which % len(flying))
            budget.settle(held, cost)
            spent += cost
        assert spent <= cap
        assert budget.spent == spent
        assert budget.held == sum(held for held, _ in flying)
        assert spent + budget.held <= cap
