"""Rules of the budgets that calls name: what is expected must fit, what was taken is counted, nothing held is lost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.budget import Budget
from headway.core.call import Cap, Unit
from headway.core.caps import Caps, Held, Take, settle
from headway.errors import BudgetExceeded, ConfigError, LedgerError
from world import a_call

DOLLAR = 10**9
FIVE = Cap("session nightly", Unit.USD, 5 * DOLLAR)


def spend(caps: Caps, take: Take, *cap: Cap, model: str = "model") -> None:
    """A call goes and takes just what was expected."""
    call = a_call(model=model, caps=cap)
    caps.see(call)
    assert caps.refusal(call, take) is None
    settle(caps.hold(call, take), take, model)


def refused(caps: Caps, take: Take, *cap: Cap) -> BudgetExceeded:
    call = a_call(caps=cap)
    caps.see(call)
    error = caps.refusal(call, take)
    assert error is not None
    return error


def test_a_call_goes_if_what_it_is_expected_to_take_fits_to_the_last_unit() -> None:
    caps, call = Caps(), a_call(caps=(Cap("b", Unit.TOKENS, 100),))
    caps.see(call)
    assert caps.refusal(call, Take(100, None)) is None
    assert caps.refusal(call, Take(101, None)) is not None


def test_what_is_held_by_calls_in_flight_is_not_there_for_others() -> None:
    caps, call = Caps(), a_call(caps=(Cap("b", Unit.TOKENS, 100),))
    caps.see(call)
    caps.hold(call, Take(60, None))
    assert caps.decide(call, Take(40, None), may_wait=True) is None
    assert (
        caps.decide(call, Take(41, None), may_wait=True) == call.caps[0]
    )  # it may fit when those have settled
    assert isinstance(caps.decide(call, Take(41, None), may_wait=False), BudgetExceeded)
    assert isinstance(caps.decide(call, Take(101, None), may_wait=True), BudgetExceeded)


def test_each_cap_of_a_call_must_have_room() -> None:
    caps = Caps()
    small, large = Cap("small", Unit.REQUESTS, 1), Cap("large", Unit.TOKENS, 10**6)
    spend(caps, Take(10, None), small, large)
    assert refused(caps, Take(10, None), large, small).budget == "small"


def test_a_refusal_says_how_much_is_used_by_what_what_is_held_and_what_was_refused() -> None:
    caps = Caps()
    for model, cost in (("opus", 3 * DOLLAR), ("haiku", DOLLAR // 10), ("opus", DOLLAR)):
        spend(caps, Take(1000, cost), FIVE, model=model)
    flying = a_call(caps=(FIVE,))
    caps.hold(flying, Take(1000, DOLLAR // 2))
    error = refused(caps, Take(5210, DOLLAR), FIVE)
    assert str(error) == (
        "budget 'session nightly' of $5.0000: $4.1000 is used by 3 calls (opus $4.0000, haiku $0.1000), "
        "$0.5000 is held by 1 call in flight; refused: a call of model of about 5,210 tokens, "
        "expected to cost $1.0000"
    )
    assert (error.used, error.cap, error.unit, error.budget) == (
        pytest.approx(4.1),
        pytest.approx(5.0),
        "usd",
        "session nightly",
    )
    assert error.hint


def test_a_refusal_names_the_three_models_that_used_most() -> None:
    caps, cap = Caps(), Cap("b", Unit.TOKENS, 1000)
    for number in range(5):
        spend(caps, Take(100 + number, None), cap, model=f"m{number}")
    error = refused(caps, Take(900, None), cap)
    assert "by 5 calls (m4 104 tokens, m3 103 tokens, m2 102 tokens)" in str(error)
    assert (error.used, error.cap, error.unit) == (510, 1000, "tokens")


def test_models_beyond_twenty_are_counted_together() -> None:
    caps, cap = Caps(), Cap("b", Unit.TOKENS, 10**6)
    for number in range(100):
        spend(caps, Take(100, None), cap, model=f"m{number}")
    (budget,) = caps.budgets.values()
    assert len(budget.by) == 21
    assert sum(calls for calls, _ in budget.by.values()) == 100
    assert "by 100 calls (other models 8,000 tokens, " in str(refused(caps, Take(10**6, None), cap))


def test_money_is_not_spent_on_a_model_of_unknown_price() -> None:
    error = refused(Caps(), Take(100, None), FIVE)
    assert "the price of model is not known" in str(error)
    assert "tokens" in error.hint
    assert error.unit == "usd"


def test_money_that_nobody_can_tell_counts_as_expected() -> None:
    caps, call = Caps(), a_call(caps=(FIVE,))
    caps.see(call)
    settle(caps.hold(call, Take(100, DOLLAR)), Take(100, None), "model")
    (budget,) = caps.budgets.values()
    assert (budget.spent, budget.held) == (DOLLAR, 0)


def test_the_same_name_in_another_unit_is_another_budget() -> None:
    caps = Caps()
    spend(caps, Take(10, None), Cap("b", Unit.TOKENS, 10))
    spend(caps, Take(10, None), Cap("b", Unit.REQUESTS, 10))
    assert {unit: budget.spent for (_, unit), budget in caps.budgets.items()} == {
        Unit.TOKENS: 10,
        Unit.REQUESTS: 1,
    }


def test_a_later_call_changes_the_cap() -> None:
    caps = Caps()
    spend(caps, Take(10, None), Cap("b", Unit.TOKENS, 10))
    assert refused(caps, Take(1, None), Cap("b", Unit.TOKENS, 10))
    spend(caps, Take(10, None), Cap("b", Unit.TOKENS, 20))
    assert refused(caps, Take(1, None), Cap("b", Unit.TOKENS, 5)).used == 20


def test_there_are_no_budgets_of_other_units() -> None:
    with pytest.raises(ConfigError, match="input_tokens"):
        Caps().see(a_call(caps=(Cap("b", Unit.INPUT_TOKENS, 10),)))


def test_a_budget_that_is_used_up_is_seen_before_anything_is_estimated() -> None:
    caps, cap = Caps(), Cap("b", Unit.TOKENS, 10)
    call = a_call(caps=(cap,))
    caps.see(call)
    assert not caps.is_used_up(call)
    spend(caps, Take(10, None), cap)
    assert caps.is_used_up(call)


# --- news ---------------------------------------------------------------------------------------------------------


def test_a_budget_is_news_when_it_passes_four_fifths_and_when_it_is_used_up_once_each() -> None:
    budget, news = Budget(100), []
    for _ in range(30):
        budget.hold(5)
        budget.settle(5, 5)
        news.append((budget.spent, budget.passed()))
    assert [each for each in news if each[1] is not None] == [(80, 0.8), (100, 1.0)]


def test_a_budget_that_jumps_past_both_is_news_once() -> None:
    budget = Budget(100, spent=120)
    assert budget.passed() == 1.0
    assert budget.passed() is None


def test_a_raised_cap_makes_news_again_and_a_lowered_one_only_if_more_is_passed() -> None:
    budget = Budget(100, spent=85)
    assert budget.passed() == 0.8
    budget.change(90)
    assert budget.passed() is None
    budget.change(85)
    assert budget.passed() == 1.0
    budget.change(104)
    assert budget.passed() == 0.8
    budget.change(200)
    assert budget.passed() is None


# --- properties ---------------------------------------------------------------------------------------------------

CAPS = (
    Cap("a", Unit.USD, 1000),
    Cap("a", Unit.TOKENS, 300),
    Cap("b", Unit.REQUESTS, 7),
    Cap("c", Unit.USD, 50),
)


@dataclass(frozen=True, slots=True)
class Act:
    """A call with some of CAPS arrives, expected to take so much; and one in flight ends, having taken so much."""

    picks: tuple[bool, bool, bool, bool]
    expected: Take
    ends: int
    took: Take


def acts() -> st.SearchStrategy[list[Act]]:
    def takes(
        requests: st.SearchStrategy[int], money: st.SearchStrategy[int | None]
    ) -> st.SearchStrategy[Take]:
        return st.builds(Take, st.integers(0, 100), money, requests)

    priced = st.integers(0, 100)
    return st.lists(
        st.builds(
            Act,
            st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
            takes(st.just(1), priced),
            st.integers(0, 5),
            takes(st.integers(0, 1), st.one_of(st.none(), priced)),
        ),
        max_size=80,
    )


@given(acts())
def test_a_cap_is_passed_by_no_more_than_calls_took_beyond_what_was_expected(happenings: list[Act]) -> None:
    """In whatever order calls come and end: what is spent and held adds up, and nothing held is left at the end."""
    caps = Caps()
    flying: list[tuple[Held, Take]] = []
    spent = dict.fromkeys(CAPS, 0)
    beyond = dict.fromkeys(CAPS, 0)

    def end(held: Held, expected: Take, took: Take) -> None:
        settle(held, took, "model")
        for budget, amount in held:
            cap = Cap(budget.name, budget.unit, budget.cap)
            actual = took.of(cap.unit)
            assert amount == expected.of(cap.unit)
            spent[cap] += amount if actual is None else actual
            beyond[cap] += max((amount if actual is None else actual) - amount, 0)

    for act in happenings:
        call = a_call(caps=tuple(cap for cap, pick in zip(CAPS, act.picks, strict=True) if pick))
        caps.see(call)
        if caps.decide(call, act.expected, may_wait=True) is None:
            flying.append((caps.hold(call, act.expected), act.expected))
        if act.ends < len(flying):
            end(*flying.pop(act.ends), act.took)
        for cap in CAPS:
            budget = caps.budgets.get((cap.name, cap.unit))
            if budget is None:
                continue
            held = [amount for holds, _ in flying for each, amount in holds if each is budget]
            assert (budget.spent, budget.held, budget.in_flight) == (spent[cap], sum(held), len(held))
            assert budget.spent + budget.held <= cap.amount + beyond[cap]
            assert sum(used for _, used in budget.by.values()) == budget.spent
    while flying:
        end(*flying.pop(), Take(0, 0, 0))
    assert all(budget.held == budget.in_flight == 0 for budget in caps.budgets.values())


# --- budgets with a past ------------------------------------------------------------------------------------------


def test_a_budget_that_is_recalled_goes_on_from_what_was_spent_before() -> None:
    caps, cap = Caps(), Cap("b", Unit.TOKENS, 100)
    caps.recall = lambda cap: Budget(cap.amount, 90, name=cap.name, unit=cap.unit)
    assert refused(caps, Take(11, None), cap).used == 90
    spend(caps, Take(10, None), cap)


def test_a_budget_is_forgotten_only_when_nothing_of_it_is_held() -> None:
    caps, cap, call = Caps(), Cap("b", Unit.TOKENS, 100), a_call(caps=(Cap("b", Unit.TOKENS, 100),))
    caps.see(call)
    held = caps.hold(call, Take(60, None))
    assert not caps.forget(cap)
    settle(held, Take(60, None), "model")
    assert caps.forget(cap)
    assert not caps.budgets
    assert caps.forget(cap)


def test_a_call_in_line_whose_budget_was_forgotten_meets_it_again() -> None:
    caps, cap = Caps(), Cap("b", Unit.TOKENS, 100)
    spent = {"b": 0}
    caps.recall = lambda cap: Budget(cap.amount, spent[cap.name], name=cap.name, unit=cap.unit)
    call = a_call(caps=(cap,))
    caps.see(call)
    spent["b"] = 95
    caps.forget(cap)
    assert caps.refusal(call, Take(6, None)) is not None
    assert caps.refusal(call, Take(5, None)) is None


def test_a_budget_that_cannot_be_recalled_any_more_counts_as_used_up() -> None:
    def fails(cap: Cap) -> Budget:
        raise LedgerError("gone")

    caps, cap = Caps(), Cap("b", Unit.TOKENS, 100)
    call = a_call(caps=(cap,))
    caps.see(call)
    caps.forget(cap)
    caps.recall = fails
    assert caps.is_used_up(call)
    assert caps.refusal(call, Take(1, None)) is not None
    with pytest.raises(LedgerError):
        caps.see(call)


def test_a_soft_budget_of_money_needs_no_price() -> None:
    caps, cap = Caps(), Cap("b", Unit.USD, DOLLAR)
    caps.recall = lambda cap: Budget(cap.amount, name=cap.name, unit=cap.unit, soft=True)
    call = a_call(caps=(cap,))
    caps.see(call)
    assert not caps.counts_money(call)
    assert caps.refusal(call, Take(5, None)) is None
    settle(caps.hold(call, Take(5, None)), Take(5, None), "model")
    assert caps.meet(cap).spent == caps.meet(cap).in_flight == 0
