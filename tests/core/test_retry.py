"""Rules of trying again: every fault, with and without `retry-after`, before and after a deadline."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Fault, Problem
from headway.core.retry import Again, GiveUp, Retry, RetryBudget
from world import a_call

REFUSALS = (Fault.RATE_LIMITED, Fault.RAMP_LIMITED)
FAILURES = (Fault.OVERLOADED, Fault.FAILED)
FINAL = (Fault.REJECTED, Fault.STOPPED)


def decide(
    fault: Fault,
    *,
    tries: int = 1,
    retry_after_s: float | None = None,
    deadline: float | None = None,
    max_wait_s: float | None = None,
    now: float = 100.0,
    draw: float = 0.5,
    retry: Retry = Retry(),  # noqa: B008 - frozen
) -> Again | GiveUp:
    problem = Problem(fault, "type", "message", retry_after_s=retry_after_s)
    call = a_call(deadline=deadline, max_wait_s=max_wait_s)
    refusals = tries if fault in REFUSALS else 0
    return retry.decide(problem, call, tries - refusals, refusals, now, draw)


@pytest.mark.parametrize(("fault", "retry_after_s"), list(product(FINAL, (None, 0.0, 5.0))))
def test_what_the_provider_will_not_change_is_never_tried_again(
    fault: Fault, retry_after_s: float | None
) -> None:
    assert isinstance(decide(fault, retry_after_s=retry_after_s), GiveUp)


@pytest.mark.parametrize(("fault", "retry_after_s"), list(product(REFUSALS, (0.0, 1.0, 505.0, 86_400.0))))
def test_a_refusal_waits_what_the_provider_says_of_any_length(fault: Fault, retry_after_s: float) -> None:
    assert decide(fault, retry_after_s=retry_after_s) == Again(retry_after_s)


@pytest.mark.parametrize("fault", REFUSALS + FAILURES)
def test_without_a_word_of_the_provider_the_wait_grows_and_has_an_end(fault: Fault) -> None:
    waits = []
    for tries in range(1, 9):
        again = decide(fault, tries=tries)
        assert isinstance(again, Again)
        waits.append(again.wait_s)
    assert waits == sorted(waits)
    assert 0.0 < waits[0] <= 2.0
    assert waits[-1] > 4 * waits[0]
    assert waits[-1] <= 60.0


@pytest.mark.parametrize("fault", FAILURES)
def test_a_failure_waits_longer_if_the_provider_says_so_and_never_less(fault: Fault) -> None:
    assert decide(fault, retry_after_s=30.0) == Again(30.0)
    own = decide(fault)
    assert decide(fault, retry_after_s=0.0) == own


@pytest.mark.parametrize("fault", [Fault.RATE_LIMITED, *FAILURES])
def test_jitter_spreads_calls_that_failed_together(fault: Fault) -> None:
    early, late = decide(fault, tries=3, draw=0.0), decide(fault, tries=3, draw=0.999)
    assert isinstance(early, Again)
    assert isinstance(late, Again)
    assert late.wait_s > 1.5 * early.wait_s


@pytest.mark.parametrize("fault", REFUSALS + FAILURES)
def test_a_deadline_that_would_pass_meanwhile_ends_the_tries_at_once(fault: Fault) -> None:
    over = decide(fault, retry_after_s=30.0, deadline=120.0)
    assert isinstance(over, GiveUp)
    assert "deadline" in over.why
    assert "30" in over.why
    assert isinstance(decide(fault, retry_after_s=30.0, deadline=130.0), Again)


@pytest.mark.parametrize("fault", REFUSALS + FAILURES)
def test_a_wait_longer_than_the_call_may_wait_ends_the_tries_at_once(fault: Fault) -> None:
    over = decide(fault, retry_after_s=30.0, max_wait_s=10.0)
    assert isinstance(over, GiveUp)
    assert "30" in over.why
    assert "10" in over.why
    assert isinstance(decide(fault, retry_after_s=30.0, max_wait_s=30.0), Again)


@pytest.mark.parametrize("fault", FAILURES)
def test_failures_have_an_end(fault: Fault) -> None:
    retry = Retry(retries=3)
    assert isinstance(decide(fault, tries=3, retry=retry), Again)
    over = decide(fault, tries=4, retry=retry)
    assert isinstance(over, GiveUp)
    assert "4" in over.why


@pytest.mark.parametrize("fault", REFUSALS)
def test_refusals_do_not_count_as_failures_but_have_an_end_too(fault: Fault) -> None:
    retry = Retry(retries=0, refusals=10)
    assert isinstance(decide(fault, tries=10, retry_after_s=1.0, retry=retry), Again)
    assert isinstance(decide(fault, tries=11, retry_after_s=1.0, retry=retry), GiveUp)


@given(
    st.sampled_from(list(Fault)),
    st.integers(1, 100),
    st.one_of(st.none(), st.floats(0.0, 1e5)),
    st.one_of(st.none(), st.floats(0.0, 300.0)),
    st.one_of(st.none(), st.floats(0.0, 300.0)),
    st.floats(0.0, 1.0, exclude_max=True),
)
def test_no_decision_breaks_a_promise_made_to_the_call_or_the_provider(
    fault: Fault,
    tries: int,
    retry_after_s: float | None,
    deadline: float | None,
    max_wait_s: float | None,
    draw: float,
) -> None:
    decision = decide(
        fault, tries=tries, retry_after_s=retry_after_s, deadline=deadline, max_wait_s=max_wait_s, draw=draw
    )
    if isinstance(decision, GiveUp):
        assert decision.why
        return
    assert fault not in FINAL
    assert decision.wait_s >= (retry_after_s or 0.0)
    assert deadline is None or 100.0 + decision.wait_s <= deadline
    assert max_wait_s is None or decision.wait_s <= max_wait_s


# --- the retry budget ---------------------------------------------------------------------------------------------


def test_a_few_retries_are_free() -> None:
    budget = RetryBudget(share=0.2, floor=5.0)
    assert [budget.spend() for _ in range(5)] == [0.0] * 5


def test_retries_beyond_the_budget_are_put_off_longer_and_longer_with_an_end() -> None:
    budget = RetryBudget(share=0.2, floor=5.0)
    put_off = [budget.spend() for _ in range(1000)]
    assert put_off == sorted(put_off)
    assert put_off[5] > 0.0
    assert put_off[-1] == put_off[-2] <= 60.0


def test_first_attempts_earn_their_share_of_retries() -> None:
    budget = RetryBudget(share=0.2, floor=1.0)
    budget.spend()
    for _ in range(20):
        budget.earn()
    free = sum(budget.spend() == 0.0 for _ in range(10))
    assert free == pytest.approx(4, abs=1)


def test_savings_have_an_end() -> None:
    budget = RetryBudget(share=0.2, floor=5.0)
    for _ in range(100_000):
        budget.earn()
    assert sum(budget.spend() == 0.0 for _ in range(1000)) <= 50


@given(st.lists(st.booleans(), max_size=300))
def test_retries_at_once_are_never_more_than_was_saved_and_earned(attempts: list[bool]) -> None:
    """True: a first attempt, False: a retry is wanted."""
    budget, firsts, free = RetryBudget(share=0.2, floor=5.0), 0, 0
    for first in attempts:
        if first:
            budget.earn()
            firsts += 1
        elif budget.spend() == 0.0:
            free += 1
        assert free <= 5.0 + 0.2 * firsts + 1e-6


def test_an_outage_is_forgotten_after_as_many_calls_as_the_budget_can_save() -> None:
    """One long outage must not put off every single retry by a minute for the hundred thousand calls after it."""
    budget = RetryBudget(share=0.2, floor=20.0)
    for _ in range(20_000):
        budget.spend()
    for _ in range(1000):
        budget.earn()
    assert budget.spend() < 60.0
