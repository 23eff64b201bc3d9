"""Rules of the engine, and what no schedule of joins, replies and cancellations may do to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.core.budget import Budget
from headway.core.call import Call, Cap, Class, Estimate, Fault, Problem, Reading, Unit, Usage
from headway.core.engine import Engine, Pumped
from headway.core.events import LimitLearnt
from headway.core.limit import Limit
from headway.core.line import Place
from headway.core.steps import Reply, Ticket
from headway.errors import BudgetExceeded, HeadwayError, WouldWaitTooLong
from headway.stores.memory import MemoryStore
from world import POOL, a_call

# A call a second and room for one; tokens in plenty.
ONE_A_SECOND = (
    Limit(Unit.REQUESTS, 60.0, burst=1.0),
    Limit(Unit.INPUT_TOKENS, 6e6),
    Limit(Unit.OUTPUT_TOKENS, 6e6),
)
PLENTY = tuple(Limit(unit, 6e9, burst=6e9) for unit in (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS))
TOOK = Usage(100, output_tokens=50, model="model")
OK = Reply(200, {}, message={}, usage=TOOK, total_s=1.0)


def make(limits: Sequence[Limit] = PLENTY, **options: Any) -> Engine:
    """An engine whose pools were first seen long ago, so that what little an unknown bucket holds is there."""
    engine = Engine(MemoryStore(), limits=lambda _pool: limits, **options)
    for pool in (POOL, "other", "a", "b"):
        engine.pool(pool, -1000.0)
    return engine


def tickets(pumped: Pumped) -> list[Ticket]:
    return [ticket for _, ticket in pumped.admitted]


def pump(engine: Engine, now: float, pool: str = POOL) -> Pumped:
    return engine.pump(pool, now, round(now * 1e9))


def go(engine: Engine, call: Call, now: float = 1000.0) -> Ticket:
    """Join and be admitted at once."""
    engine.join(call, 1, now)
    admitted = tickets(pump(engine, now, call.identity.pool or ""))
    assert len(admitted) == 1
    return admitted[0]


def fail(fault: Fault, **problem: Any) -> Reply:
    return Reply(None, {}, problem=Problem(fault, "type", "message", **problem), total_s=0.1)


def settle(engine: Engine, ticket: Ticket, reply: Reply = OK, now: float = 1000.0) -> None:
    took = reply.usage or Usage(model="model")
    engine.settle(ticket, reply, took, False, now)


def level(engine: Engine, unit: Unit, now: float, pool: str = POOL) -> Any:
    return next(each for each in engine.levels(pool, now) if each.limit.unit is unit)


# --- admission ----------------------------------------------------------------------------------------------------


def test_a_ticket_says_who_goes_when_and_what_it_is_expected_to_take() -> None:
    engine = make()
    engine.join(a_call("c", estimate=Estimate(123.0, 1000)), 3, 990.0)
    (ticket,) = tickets(engine.pump(POOL, 1000.0, 77))
    assert (ticket.id, ticket.call.id, ticket.number) == ("c-3", "c", 3)
    assert (ticket.queued_s, ticket.at, ticket.at_ns) == (10.0, 1000.0, 77)
    assert ticket.input_tokens == pytest.approx(123.0)
    assert 0.0 < ticket.output_tokens <= 1000.0


def test_with_nothing_known_one_call_goes_and_its_reply_lets_the_others_go() -> None:
    engine = make(())
    for name in "123":
        engine.join(a_call(name), 1, 0.0)
    first = tickets(pump(engine, 0.0))
    assert len(first) == 1
    assert not pump(engine, 100.0).admitted
    shown = [Reading(unit, 6e6, 6e6) for unit in (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)]
    engine.headed(first[0], shown, 101.0, ok=True)
    later = tickets(pump(engine, 101.0)) + tickets(pump(engine, 102.0)) + tickets(pump(engine, 110.0))
    assert [ticket.call.id for ticket in later] == ["2", "3"]


def test_with_nothing_known_a_first_call_that_fails_lets_the_next_one_try() -> None:
    engine = make(())
    for name in "12":
        engine.join(a_call(name), 1, 0.0)
    (first,) = tickets(pump(engine, 0.0))
    settle(engine, first, fail(Fault.OVERLOADED), 1.0)
    assert [ticket.call.id for ticket in tickets(pump(engine, 1.0))] == ["2"]


def test_limits_that_are_told_need_no_first_reply() -> None:
    engine = make()
    for name in "12345":
        engine.join(a_call(name), 1, 0.0)
    went, now = 0, 0.0
    for _ in range(10):
        now += 0.1
        went += len(pump(engine, now).admitted)
    assert went == 5


def test_whoever_waits_is_told_when_to_ask_again_and_goes_then() -> None:
    engine = make(ONE_A_SECOND)
    settle(engine, go(engine, a_call("1")))
    engine.join(a_call("2"), 1, 1000.0)
    pumped = pump(engine, 1000.0)
    assert not pumped.admitted
    assert pumped.ask_again_s is not None
    assert 0.5 <= pumped.ask_again_s <= 1.5
    assert len(pump(engine, 1000.0 + pumped.ask_again_s).admitted) == 1


def test_where_nobody_waits_a_call_enters_and_all_is_as_if_it_had_stood_in_line() -> None:
    entered, joined = make(), make()
    for number in range(5):
        now = 1000.0 + number
        ticket = entered.enter(a_call(f"{number}"), 1, now, round(now * 1e9))
        assert ticket == go(joined, a_call(f"{number}"), now)
        settle(entered, ticket, now=now)
        settle(joined, ticket, now=now)
    assert entered.levels(POOL, 1010.0) == joined.levels(POOL, 1010.0)
    assert entered.usage() == joined.usage()
    assert entered.in_flight == 0


def test_what_does_not_fit_does_not_enter_and_nobody_passes_those_who_wait() -> None:
    engine = make(ONE_A_SECOND)
    assert engine.enter(a_call("1"), 1, 1000.0, 0) is not None
    assert engine.enter(a_call("2"), 1, 1000.0, 0) is None
    assert engine.in_flight == 1
    engine.join(a_call("2"), 1, 1000.0)
    assert engine.enter(a_call("3"), 1, 1000.0 + 60.0, 0) is None
    assert [ticket.call.id for ticket in tickets(pump(engine, 1060.0))] == ["2"]


def test_a_call_whose_time_is_up_does_not_enter() -> None:
    assert make().enter(a_call(deadline=999.0), 1, 1000.0, 0) is None


def test_a_call_with_a_shared_prefix_stands_in_line() -> None:
    shared = Estimate(9000.0, 100, cacheable_tokens=8000.0, prefix="shared")
    assert make().enter(a_call(estimate=shared), 1, 1000.0, 0) is None


def test_a_call_enters_within_its_budget_and_all_is_as_if_it_had_stood_in_line() -> None:
    entered, joined = make(), make()
    caps = (Cap("b", Unit.TOKENS, 10**6), Cap("r", Unit.REQUESTS, 5))
    for number in range(5):
        now = 1000.0 + number
        call = a_call(f"{number}", caps=caps)
        ticket = entered.enter(call, 1, now, round(now * 1e9))
        assert ticket == go(joined, call, now)
        settle(entered, ticket, now=now)
        settle(joined, ticket, now=now)
    assert spent(entered) == spent(joined)
    assert entered.levels(POOL, 1010.0) == joined.levels(POOL, 1010.0)


def spent(engine: Engine) -> list[tuple[str, float, float]]:
    return [(each.name, each.spent, each.held) for each in engine.books.caps.budgets.values()]


def test_a_budget_that_calls_in_flight_hold_is_waited_for_in_line() -> None:
    engine, caps = make(), (Cap("b", Unit.REQUESTS, 1),)
    first = engine.enter(a_call("1", caps=caps), 1, 1000.0, 0)
    assert first is not None
    assert engine.enter(a_call("2", caps=caps), 1, 1000.0, 0) is None
    assert spent(engine) == [("b", 0, 1)]
    engine.join(a_call("2", caps=caps), 1, 1000.0)
    assert not pump(engine, 1000.0).admitted
    settle(engine, first, fail(Fault.OVERLOADED))
    assert [ticket.call.id for ticket in tickets(pump(engine, 1001.0))] == ["2"]


def test_a_call_whose_budget_is_used_up_does_not_enter_and_is_refused_in_line() -> None:
    engine, caps = make(), (Cap("b", Unit.REQUESTS, 0),)
    assert engine.enter(a_call(caps=caps), 1, 1000.0, 0) is None
    engine.join(a_call(caps=caps), 1, 1000.0)
    (refused,) = pump(engine, 1000.0).refused
    assert isinstance(refused[1], BudgetExceeded)
    assert engine.in_flight == 0


def test_an_empty_line_need_not_be_asked_again() -> None:
    assert pump(make(), 0.0) == Pumped()


def test_no_more_calls_are_in_flight_than_you_allow_over_all_pools() -> None:
    engine = make(most_in_flight=3)
    for number in range(4):
        engine.join(a_call(f"a{number}", pool="a"), 1, 1000.0)
        engine.join(a_call(f"b{number}", pool="b"), 1, 1000.0)
    flying: list[Ticket] = []
    for second in range(1001, 1011):
        for pool in "ab":
            flying += tickets(pump(engine, float(second), pool))
    assert len(flying) == engine.in_flight == 3
    settle(engine, flying[0], now=1011.0)
    assert sum(len(pump(engine, 1011.0, pool).admitted) for pool in "ab") == 1


def test_an_interactive_call_overtakes_a_bulk_backlog() -> None:
    engine = make(ONE_A_SECOND)
    for number in range(50):
        engine.join(a_call(f"bulk{number}", class_=Class.BULK), 1, 1000.0)
    pump(engine, 1000.0)
    pump(engine, 1001.1)
    engine.join(a_call("now", class_=Class.INTERACTIVE), 1, 1001.2)
    admitted = tickets(pump(engine, 1002.3)) + tickets(pump(engine, 1003.4))
    assert "now" in [ticket.call.id for ticket in admitted[:2]]


def test_a_call_that_leaves_is_not_admitted_and_leaves_once() -> None:
    engine = make()
    place = engine.join(a_call(), 1, 0.0)
    assert engine.leave(place)
    assert not engine.leave(place)
    assert pump(engine, 1000.0) == Pumped()


def test_a_call_that_has_been_served_cannot_leave() -> None:
    engine = make()
    place = engine.join(a_call(), 1, 1000.0)
    pump(engine, 1000.0)
    assert not engine.leave(place)
    assert engine.in_flight == 1


# --- what may not wait --------------------------------------------------------------------------------------------


def drained() -> Engine:
    """An engine whose pool the provider has just closed for a hundred seconds."""
    engine = make(ONE_A_SECOND)
    settle(
        engine, go(engine, a_call("first")), fail(Fault.RATE_LIMITED, retry_after_s=100.0, unit=Unit.REQUESTS)
    )
    return engine


@pytest.mark.parametrize("options", [{"max_wait_s": 5.0}, {"deadline": 1005.0}])
def test_a_call_that_cannot_go_in_time_is_refused_at_once_with_numbers(options: dict[str, float]) -> None:
    engine = drained()
    place = engine.join(a_call("2", **options), 1, 1000.0)  # type: ignore[arg-type]  # each names a float
    pumped = pump(engine, 1000.0)
    ((refused, error),) = pumped.refused
    assert refused is place
    assert isinstance(error, WouldWaitTooLong)
    assert error.limit == "60 requests/min"
    assert error.wait_s == pytest.approx(100.0, abs=2.0)
    assert error.level == pytest.approx(-99.0, abs=2.0)
    assert error.hint
    assert not pump(engine, 2000.0).admitted


@pytest.mark.parametrize("options", [{"max_wait_s": 105.0}, {"deadline": 1105.0}])
def test_a_call_that_can_go_in_time_waits(options: dict[str, float]) -> None:
    engine = drained()
    engine.join(a_call("2", **options), 1, 1000.0)  # type: ignore[arg-type]  # each names a float
    assert not pump(engine, 1000.0).refused
    assert len(pump(engine, 1104.0).admitted) == 1


def test_a_call_without_a_deadline_waits_as_long_as_it_takes() -> None:
    engine = drained()
    engine.join(a_call("2"), 1, 1000.0)
    pumped = pump(engine, 1000.0)
    assert not pumped.refused
    assert pumped.ask_again_s == pytest.approx(100.0, abs=2.0)


def test_a_call_that_waits_for_another_to_end_is_refused_when_its_time_is_up() -> None:
    engine = make(most_in_flight=1)
    go(engine, a_call("1"))
    engine.join(a_call("2", max_wait_s=5.0), 1, 1000.0)
    pumped = pump(engine, 1000.0)
    assert not pumped.refused
    assert pumped.ask_again_s == pytest.approx(5.0)
    ((_, error),) = pump(engine, 1005.0).refused
    assert isinstance(error, WouldWaitTooLong)
    assert "in flight" in error.limit


def test_whoever_is_refused_makes_room_for_the_next() -> None:
    engine = drained()
    engine.join(a_call("2", max_wait_s=5.0), 1, 1000.0)
    engine.join(a_call("3"), 1, 1000.0)
    pump(engine, 1000.0)
    assert [ticket.call.id for ticket in tickets(pump(engine, 1110.0))] == ["3"]


def test_a_call_behind_the_head_is_refused_when_its_time_is_up() -> None:
    engine = drained()
    engine.join(a_call("patient"), 1, 1000.0)
    engine.join(a_call("hasty", max_wait_s=5.0), 1, 1000.0)
    first = pump(engine, 1000.0)
    assert first.refused or (first.ask_again_s is not None and first.ask_again_s <= 5.0)
    refused = [*first.refused, *pump(engine, 1006.0).refused]
    assert [place.call.id for place, _ in refused] == ["hasty"]


def test_a_call_that_may_not_wait_goes_if_it_need_not() -> None:
    engine = make()
    assert go(engine, a_call("1", max_wait_s=0.0))
    assert go(engine, a_call("2", deadline=1001.0), 1001.0)


def test_a_call_is_not_sent_after_its_time_is_up_although_there_is_room_now() -> None:
    engine = make(most_in_flight=1)
    first = go(engine, a_call("1"))
    engine.join(a_call("2", max_wait_s=5.0), 1, 1000.0)
    pump(engine, 1000.0)
    settle(engine, first, now=1010.0)
    pumped = pump(engine, 1010.0)
    assert not pumped.admitted
    assert [place.call.id for place, _ in pumped.refused] == ["2"]


def test_a_call_whose_time_is_up_at_this_very_moment_is_refused_now_and_not_asked_for_again_at_once() -> None:
    """Where time is virtual, a driver that asks again in no time asks for ever."""
    engine = drained()
    engine.join(a_call("patient", class_=Class.INTERACTIVE), 1, 1000.0)
    engine.join(a_call("hasty", class_=Class.BULK, max_wait_s=5.0), 1, 1000.0)
    pump(engine, 1000.0)
    pumped = pump(engine, 1005.0)
    assert [place.call.id for place, _ in pumped.refused] == ["hasty"]
    assert pumped.ask_again_s is not None
    assert pumped.ask_again_s > 0.0


@pytest.mark.parametrize("now", [1000.0, 0.0])
def test_a_call_that_may_not_wait_at_all_is_refused_at_once(now: float) -> None:
    engine = make(most_in_flight=1)
    go(engine, a_call("1"), now)
    engine.join(a_call("2", max_wait_s=0.0), 1, now)
    assert len(pump(engine, now).refused) == 1


# --- settling -----------------------------------------------------------------------------------------------------


def test_settling_twice_is_settling_once() -> None:
    engine = make(budget=Budget(1000), price=lambda _call, _tokens: 100, cost=lambda _usage, _at: 40)
    ticket = go(engine, a_call())
    settle(engine, ticket)
    before = [each.content for each in engine.levels(POOL, 1000.0)]
    settle(engine, ticket)
    settle(engine, ticket, fail(Fault.RATE_LIMITED, retry_after_s=50.0))
    assert [each.content for each in engine.levels(POOL, 1000.0)] == before
    assert engine.in_flight == 0
    assert engine.budget is not None
    assert (engine.budget.spent, engine.budget.held) == (40, 0)


def test_what_is_settled_is_charged_with_what_it_took() -> None:
    engine = make()
    ticket = go(engine, a_call(estimate=Estimate(1e6, 1000)))
    before = level(engine, Unit.INPUT_TOKENS, 1000.0)
    assert before.in_flight == pytest.approx(1e6)
    settle(engine, ticket)
    after = level(engine, Unit.INPUT_TOKENS, 1000.0)
    assert after.in_flight == pytest.approx(0.0)
    assert after.content > before.content or after.content == pytest.approx(6e9)


def test_cache_reads_are_free_of_the_input_limit_where_the_provider_says_so() -> None:
    used = {}
    for is_free in (True, False):
        engine = make(cache_is_free=lambda _model, is_free=is_free: is_free)
        took = Usage(
            10, cache_read_tokens=1000, cache_write_5m_tokens=20, cache_write_1h_tokens=30, output_tokens=5
        )
        settle(engine, go(engine, a_call()), Reply(200, {}, message={}, usage=took))
        used[is_free] = engine.pools[POOL].used[Unit.INPUT_TOKENS]
    assert used == {True: 60.0, False: 1060.0}


def test_a_call_whose_prefix_is_warm_is_held_without_what_it_will_read() -> None:
    engine = make()
    call = a_call("1", estimate=Estimate(10_000.0, 100, cacheable_tokens=9000.0, prefix="p"))
    cold = go(engine, call)
    held_cold = level(engine, Unit.INPUT_TOKENS, 1000.0).in_flight
    engine.headed(cold, (), 1001.0, ok=True)
    settle(
        engine,
        cold,
        Reply(200, {}, message={}, usage=Usage(1000, cache_write_5m_tokens=9000, output_tokens=5)),
        1001.0,
    )
    go(engine, a_call("2", estimate=call.estimate), 1010.0)
    assert held_cold == pytest.approx(10_000.0)
    assert level(engine, Unit.INPUT_TOKENS, 1010.0).in_flight == pytest.approx(1000.0, rel=0.05)


def test_a_refusal_makes_the_whole_pool_wait() -> None:
    engine = drained()
    engine.join(a_call("2"), 1, 1001.0)
    assert not pump(engine, 1090.0).admitted


def test_a_refusal_of_one_pool_says_nothing_of_another() -> None:
    engine = drained()
    assert go(engine, a_call("2", pool="other"), 1001.0)


def test_a_refusal_that_names_no_limit_is_read_from_the_header_that_shows_it_used_up() -> None:
    engine = make()
    ticket = go(engine, a_call())
    shown = (
        Reading(Unit.REQUESTS, 6e9, 5e9),
        Reading(Unit.OUTPUT_TOKENS, 6e9, 0.0),
        Reading(Unit.INPUT_TOKENS, 6e9, 5e9),
    )
    engine.headed(ticket, shown, 1000.0, ok=False)
    settle(engine, ticket, fail(Fault.RATE_LIMITED, retry_after_s=100.0))
    engine.join(a_call("2"), 1, 1001.0)
    pump(engine, 1001.0)
    assert engine.pools[POOL].waits_for == "output_tokens"
    assert level(engine, Unit.OUTPUT_TOKENS, 1001.0).content < 0.0
    assert level(engine, Unit.INPUT_TOKENS, 1001.0).content > 0.0


def test_one_reply_is_headed_once() -> None:
    engine = make()
    ticket = go(engine, a_call())
    shown = (Reading(Unit.INPUT_TOKENS, 6e9, 1e9),)
    engine.headed(ticket, shown, 1000.0, ok=True)
    before = level(engine, Unit.INPUT_TOKENS, 1000.0).content
    engine.headed(ticket, (Reading(Unit.INPUT_TOKENS, 6e9, 0.0),), 1000.0, ok=True)
    assert level(engine, Unit.INPUT_TOKENS, 1000.0).content == before


def test_what_is_reported_of_a_call_that_is_over_changes_nothing() -> None:
    engine = make()
    ticket = go(engine, a_call())
    settle(engine, ticket)
    before = engine.levels(POOL, 1000.0)
    engine.headed(ticket, (Reading(Unit.INPUT_TOKENS, 6e9, 0.0),), 1000.0, ok=True)
    engine.produced(ticket, 5000.0, 1000.0)
    assert engine.levels(POOL, 1000.0) == before


def many(engine: Engine, count: int) -> list[Ticket]:
    """So many calls in flight, by the time 1000."""
    return [go(engine, a_call(f"many{number}"), 999.0 + number / count) for number in range(count)]


@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.FAILED])
def test_a_run_of_nothing_but_the_providers_trouble_closes_the_pool_for_a_while(fault: Fault) -> None:
    engine = make()
    for ticket in many(engine, 30):
        settle(engine, ticket, fail(fault))
    engine.join(a_call("next"), 1, 1000.0)
    pumped = pump(engine, 1001.0)
    assert not pumped.admitted
    assert pumped.ask_again_s is not None
    assert engine.pools[POOL].waits_for == "the provider's capacity"


def test_a_call_that_was_cancelled_does_not_open_a_closed_pool() -> None:
    engine = make()
    flying = many(engine, 30)
    for ticket in flying[1:]:
        settle(engine, ticket, fail(Fault.OVERLOADED))
    engine.settle(flying[0], Reply(None, {}), Usage(100, output_tokens=50), True, 1000.0)
    engine.join(a_call("next"), 1, 1000.0)
    assert not pump(engine, 1001.0).admitted


def test_a_call_that_was_never_sent_takes_nothing() -> None:
    engine = make(ONE_A_SECOND)
    before = level(engine, Unit.REQUESTS, 1000.0).content
    ticket = go(engine, a_call())
    engine.settle(ticket, Reply(None, {}, sent=False), Usage(), False, 1000.0)
    assert level(engine, Unit.REQUESTS, 1000.0).content == before
    assert engine.pools[POOL].used.get(Unit.REQUESTS, 0.0) == 0.0


def test_it_is_counted_how_long_each_limit_has_bound() -> None:
    engine = make(ONE_A_SECOND)
    settle(engine, go(engine, a_call("1")))
    engine.join(a_call("2"), 1, 1000.0)
    pump(engine, 1000.0)
    pump(engine, 1000.4)
    assert engine.pools[POOL].bound_s["requests"] == pytest.approx(0.4)
    assert engine.pools[POOL].waits_for == "requests"
    pump(engine, 1002.0)
    assert engine.pools[POOL].waits_for == ""


# --- a shared prefix ----------------------------------------------------------------------------------------------

LARGE = Estimate(10_000.0, 100, cacheable_tokens=9000.0, prefix="p")


def sibling(name: str, **options: Any) -> Call:
    return a_call(name, **{"estimate": LARGE, "stream": True, **options})


def warming(now: float = 1000.0) -> tuple[Engine, Ticket]:
    """An engine where a call with the prefix is in flight, and nothing of its reply has come."""
    engine = make()
    return engine, go(engine, sibling("first"), now)


def went(engine: Engine, *seconds: float) -> list[str]:
    return [ticket.call.id for now in seconds for ticket in tickets(pump(engine, now))]


def test_siblings_wait_for_the_first_of_a_stream_and_others_pass_them() -> None:
    engine, first = warming()
    for name in ("s1", "s2"):
        engine.join(sibling(name), 1, 1001.0)
    for name in ("1", "2"):
        engine.join(a_call(name), 1, 1001.0)
    assert went(engine, 1002.0, 1003.0, 1004.0) == ["1", "2"]
    engine.headed(first, (), 1005.0, ok=True)
    assert went(engine, 1006.0) == []
    engine.began(first, 1007.0)
    assert went(engine, 1008.0, 1009.0, 1010.0) == ["s1", "s2"]


def test_the_head_of_a_whole_reply_is_enough() -> None:
    engine = make()
    first = go(engine, sibling("first", stream=False))
    engine.join(sibling("s"), 1, 1001.0)
    assert went(engine, 1002.0) == []
    engine.headed(first, (), 1003.0, ok=True)
    assert went(engine, 1004.0) == ["s"]


@pytest.mark.parametrize("sign", ["progress", "end"])
def test_a_stream_whose_first_event_nobody_told_is_seen_to_have_begun(sign: str) -> None:
    engine, first = warming()
    engine.join(sibling("s"), 1, 1001.0)
    assert went(engine, 1002.0) == []
    if sign == "progress":
        engine.produced(first, 100.0, 1003.0)
    else:
        settle(engine, first, now=1003.0)
    assert went(engine, 1004.0) == ["s"]


def test_if_the_first_call_fails_one_sibling_goes_and_the_others_wait_for_it() -> None:
    engine, first = warming()
    for name in ("s1", "s2", "s3"):
        engine.join(sibling(name), 1, 1001.0)
    assert went(engine, 1002.0) == []
    settle(engine, first, fail(Fault.OVERLOADED), 1003.0)
    pumped = pump(engine, 1004.0)
    assert [ticket.call.id for ticket in tickets(pumped)] == ["s1"]
    assert went(engine, 1006.0) == []
    engine.began(tickets(pumped)[0], 1007.0)
    assert went(engine, 1008.0, 1009.0, 1010.0) == ["s2", "s3"]


def test_siblings_wait_a_minute_at_most_and_are_told_when_to_ask_again() -> None:
    engine, _ = warming()
    engine.join(sibling("s"), 1, 1010.0)
    pumped = pump(engine, 1010.0)
    assert not pumped.admitted
    assert pumped.ask_again_s == pytest.approx(50.0)
    assert engine.pools[POOL].waits_for == "the first reply with the same prompt prefix"
    assert went(engine, 1059.0) == []
    assert went(engine, 1060.0) == ["s"]


def test_a_sibling_whose_time_is_up_is_refused_with_the_reason() -> None:
    engine, _ = warming()
    engine.join(sibling("s", max_wait_s=5.0), 1, 1001.0)
    pumped = pump(engine, 1001.0)
    assert not pumped.refused
    assert pumped.ask_again_s == pytest.approx(5.0)
    ((place, error),) = pump(engine, 1006.0).refused
    assert place.call.id == "s"
    assert isinstance(error, WouldWaitTooLong)
    assert error.limit == "the first reply with the same prompt prefix"


def test_a_sibling_is_told_its_own_reason_although_the_front_waits_for_another() -> None:
    engine = make(ONE_A_SECOND)
    go(engine, sibling("first"))
    engine.join(sibling("s", max_wait_s=0.5), 1, 1000.1)
    engine.join(a_call("front"), 1, 1000.1)
    pump(engine, 1000.1)
    assert engine.pools[POOL].waits_for == "requests"
    ((place, error),) = pump(engine, 1000.7).refused
    assert place.call.id == "s"
    assert isinstance(error, WouldWaitTooLong)
    assert error.limit == "the first reply with the same prompt prefix"


def test_a_sibling_that_may_not_wait_at_all_goes() -> None:
    engine, _ = warming()
    engine.join(sibling("s", max_wait_s=0.0), 1, 1001.0)
    assert went(engine, 1001.0) == ["s"]


def test_a_sibling_can_leave_while_it_waits_for_the_first() -> None:
    engine, first = warming()
    place = engine.join(sibling("s"), 1, 1001.0)
    pump(engine, 1001.0)
    assert engine.leave(place)
    assert not engine.leave(place)
    engine.began(first, 1002.0)
    assert went(engine, 1003.0) == []
    assert len(engine.pools[POOL].line) == 0


def test_nobody_waits_for_a_prefix_too_short_to_pay() -> None:
    engine = make()
    short = Estimate(10_000.0, 100, cacheable_tokens=1000.0, prefix="p")
    go(engine, sibling("first", estimate=short))
    engine.join(sibling("s", estimate=short), 1, 1001.0)
    assert went(engine, 1001.0) == ["s"]


# --- news ---------------------------------------------------------------------------------------------------------


def shown(amount: float) -> list[Reading]:
    return [Reading(Unit.REQUESTS, amount, amount), Reading(Unit.OUTPUT_TOKENS, 8000.0, 8000.0)]


def test_a_limit_that_headers_show_first_or_changed_is_news_once() -> None:
    engine = make(())
    first = go(engine, a_call("1"))
    engine.headed(first, shown(50.0), 1001.0, ok=True)
    learnt = {limit.unit: limit for limit in engine.store.limits(POOL)}
    assert engine.notices == [
        LimitLearnt(POOL, learnt[Unit.REQUESTS], None),
        LimitLearnt(POOL, learnt[Unit.OUTPUT_TOKENS], None),
    ]
    engine.notices.clear()
    settle(engine, first, now=1001.0)
    engine.headed(go(engine, a_call("2"), 1010.0), shown(50.0), 1011.0, ok=True)
    assert engine.notices == []
    engine.headed(go(engine, a_call("3"), 1020.0), shown(40.0), 1021.0, ok=True)
    (notice,) = engine.notices
    assert isinstance(notice, LimitLearnt)
    assert (notice.limit.amount, notice.before) == (40.0, learnt[Unit.REQUESTS])


def test_limits_that_were_told_are_no_news_until_headers_show_others() -> None:
    engine = make((Limit(Unit.REQUESTS, 50.0, burst=10.0),))
    engine.headed(go(engine, a_call("1")), [Reading(Unit.REQUESTS, 50.0, 9.0)], 1001.0, ok=True)
    assert engine.notices == []


def test_news_that_nobody_fetches_is_not_kept_for_ever() -> None:
    engine = make(())
    for number in range(1200):
        engine.headed(go(engine, a_call(str(number), pool=f"p{number}")), shown(50.0)[:1], 1001.0, ok=True)
    assert len(engine.notices) == 1000


# --- the budget ---------------------------------------------------------------------------------------------------


def with_budget(cap: int, *, worst: int = 60, cost: int | None = 10) -> Engine:
    return make(budget=Budget(cap), price=lambda _call, _tokens: worst, cost=lambda _usage, _at: cost)


def test_a_call_beyond_the_budget_is_refused_with_numbers() -> None:
    engine = with_budget(50)
    engine.join(a_call(), 1, 1000.0)
    ((_, error),) = pump(engine, 1000.0).refused
    assert isinstance(error, BudgetExceeded)
    assert error.cap == pytest.approx(50e-9)
    assert error.used == 0.0
    assert error.hint
    assert engine.in_flight == 0


def test_a_call_waits_for_money_that_is_held_and_may_come_back() -> None:
    engine = with_budget(100)
    first = go(engine, a_call("1"))
    engine.join(a_call("2"), 1, 1000.0)
    pumped = pump(engine, 1000.0)
    assert not pumped.admitted
    assert not pumped.refused
    assert engine.pools[POOL].waits_for == "the budget"
    settle(engine, first)
    assert len(pump(engine, 1001.0).admitted) == 1


def test_a_cost_nobody_knows_counts_as_the_most_it_could_be() -> None:
    engine = with_budget(100, cost=None)
    settle(engine, go(engine, a_call()))
    assert engine.budget is not None
    assert (engine.budget.spent, engine.budget.held) == (60, 0)


def test_without_a_way_to_tell_costs_every_call_counts_as_the_most_it_could_be() -> None:
    engine = make(budget=Budget(100), price=lambda _call, _tokens: 60)
    settle(engine, go(engine, a_call()))
    assert engine.budget is not None
    assert engine.budget.spent == 60


# --- properties ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens. `pick` chooses among the calls it may happen to."""

    kind: str
    pick: int = 0
    amount: float = 0.0
    fault: Fault | None = None


def acts() -> st.SearchStrategy[list[Act]]:
    picks = st.integers(0, 50)
    return st.lists(
        st.one_of(
            st.builds(Act, st.just("join"), picks, st.floats(0.0, 30.0)),
            st.builds(Act, st.just("join"), picks, st.floats(0.0, 30.0)),
            st.builds(Act, st.just("pass"), picks, st.floats(0.0, 5.0)),
            st.builds(Act, st.just("headed"), picks, st.floats(0.0, 6000.0)),
            st.builds(Act, st.just("produced"), picks, st.floats(0.0, 1500.0)),
            st.builds(Act, st.just("settle"), picks, st.floats(0.0, 1000.0), st.sampled_from([None, *Fault])),
            st.builds(Act, st.just("settle"), picks, st.floats(0.0, 1000.0)),
            st.builds(Act, st.just("leave"), picks),
            st.builds(Act, st.just("began"), picks),
        ),
        max_size=60,
    )


MOST, CAP, WORST = 4, 3000, 200


@dataclass
class Shadow:
    """Does to an engine what it is told, and keeps account of everybody beside it."""

    engine: Engine
    now: float = 1000.0
    serial: int = 0
    waiting: dict[str, Place] = field(default_factory=dict)
    flying: dict[str, Ticket] = field(default_factory=dict)
    over: dict[str, str] = field(default_factory=dict)
    spent: int = 0

    def do(self, act: Act) -> None:
        match act.kind:
            case "join":
                self.join(act)
            case "pass":
                self.now += act.amount
            case "leave" if self.waiting:
                name = list(self.waiting)[act.pick % len(self.waiting)]
                assert self.engine.leave(self.waiting.pop(name))
                self.over[name] = "left"
            case "headed" if self.flying:
                shown = tuple(
                    Reading(unit, 6000.0, act.amount, 100.0)
                    for unit in (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)
                )
                self.engine.headed(self.picked(act), shown[: act.pick % 4], self.now, ok=act.pick % 3 > 0)
            case "produced" if self.flying:
                self.engine.produced(self.picked(act), act.amount, self.now)
            case "began" if self.flying:
                self.engine.began(self.picked(act), self.now)
            case "settle" if self.flying:
                self.settle(self.picked(act), act)
        self.pump()

    def picked(self, act: Act) -> Ticket:
        return list(self.flying.values())[act.pick % len(self.flying)]

    def join(self, act: Act) -> None:
        self.serial += 1
        name = f"{self.serial}"
        call = a_call(
            name,
            pool="ab"[act.pick % 2],
            tenant="xyz"[act.pick % 3],
            class_=list(Class)[act.pick % len(Class)],
            max_wait_s=act.amount if act.pick % 5 == 0 else None,
            deadline=self.now + act.amount if act.pick % 7 == 0 else None,
            estimate=Estimate(
                1.0 + 100.0 * (act.pick % 10),
                1000,
                cacheable_tokens=2000.0 * (act.pick % 3),
                prefix="pq"[act.pick % 3 > 1] if act.pick % 4 < 3 else "",
            ),
            stream=act.pick % 2 == 0,
        )
        self.waiting[name] = self.engine.join(call, 1, self.now)

    def settle(self, ticket: Ticket, act: Act) -> None:
        problem = Problem(act.fault, "t", "m", retry_after_s=act.amount / 50.0) if act.fault else None
        usage = (
            Usage(model="model")
            if problem
            else Usage(int(act.amount), output_tokens=int(act.amount), model="model")
        )
        reply = Reply(200, {}, usage=usage, problem=problem)
        for _ in range(1 + act.pick % 2):  # some are settled twice
            self.engine.settle(ticket, reply, usage, act.pick % 11 == 0, self.now)
        self.spent += 0 if problem else min(int(act.amount), WORST)
        del self.flying[ticket.call.id]
        self.over[ticket.call.id] = "settled"

    def pump(self) -> None:
        for pool in "ab":
            pumped = self.engine.pump(pool, self.now, 0)
            for place, ticket in pumped.admitted:
                assert self.waiting.pop(ticket.call.id) is place
                self.flying[ticket.call.id] = ticket
            for place, error in pumped.refused:
                assert self.waiting.pop(place.call.id) is place
                assert isinstance(error, HeadwayError)
                self.over[place.call.id] = "refused"

    def check(self) -> None:
        engine, budget = self.engine, self.engine.budget
        assert budget is not None
        assert engine.in_flight == len(self.flying) <= MOST
        assert sum(len(pool.line) for pool in engine.pools.values()) == len(self.waiting)
        assert sum(pool.ceiling.in_flight for pool in engine.pools.values()) == len(self.flying)
        assert budget.spent == self.spent
        assert budget.held == WORST * len(self.flying)
        assert budget.spent + budget.held <= CAP

    def finish(self) -> None:
        """Answer every call in flight, and let time pass until nobody waits."""
        for _ in range(2000):
            if not self.waiting and not self.flying:
                return
            for ticket in list(self.flying.values()):
                self.settle(ticket, Act("settle", pick=2, amount=10.0))
            self.now += 5.0
            self.pump()
        raise AssertionError(f"still waiting: {list(self.waiting)}")


@settings(deadline=None)
@given(acts())
def test_whatever_happens_in_any_order_everybody_ends_once_and_no_limit_is_passed(
    happenings: list[Act],
) -> None:
    """No more in flight than allowed, the budget never passed, no ticket, place or hold left at the end."""
    limits = (
        Limit(Unit.REQUESTS, 600.0),
        Limit(Unit.INPUT_TOKENS, 6000.0, burst=1500.0),
        Limit(Unit.OUTPUT_TOKENS, 60_000.0, burst=6000.0),
    )
    engine = make(
        limits,
        most_in_flight=MOST,
        budget=Budget(CAP),
        price=lambda _call, _tokens: WORST,
        cost=lambda usage, _at: min(usage.output_tokens, WORST),
    )
    shadow = Shadow(engine)
    for act in happenings:
        shadow.do(act)
        shadow.check()
    shadow.finish()
    shadow.check()
    assert len(shadow.over) == shadow.serial
    for pool in engine.pools:
        assert all(each.in_flight == pytest.approx(0.0, abs=1e-3) for each in engine.levels(pool, shadow.now))


@settings(deadline=None, max_examples=50)
@given(acts())
def test_with_nothing_known_everybody_ends_once_too(happenings: list[Act]) -> None:
    """The same, where limits are learnt from whatever headers show."""
    engine = Engine(
        MemoryStore(),
        most_in_flight=MOST,
        budget=Budget(CAP),
        price=lambda _call, _tokens: WORST,
        cost=lambda usage, _at: min(usage.output_tokens, WORST),
    )
    shadow = Shadow(engine)
    for act in happenings:
        shadow.do(act)
        shadow.check()
    shadow.finish()
    assert len(shadow.over) == shadow.serial
    assert engine.in_flight == 0


def test_waits_are_finite_or_end_with_a_call_in_flight() -> None:
    """`ask_again_s` is never infinity: a driver could not sleep for it."""
    engine = make(most_in_flight=1)
    go(engine, a_call("1"))
    engine.join(a_call("2"), 1, 1000.0)
    again = pump(engine, 1000.0).ask_again_s
    assert again is None or again < inf


def test_who_stands_too_far_back_for_its_deadline_is_refused_on_joining() -> None:
    """A call a second, and nobody else: the fortieth in line has no chance within ten seconds."""
    engine = make((Limit(Unit.REQUESTS, 60.0, burst=1.0),))
    for number in range(40):
        engine.join(a_call(f"first-{number}"), 1, 0.0)
    now, served = 0.0, 0
    while served < 10:  # so that the pace is known
        pumped = engine.pump(POOL, now, 0)
        served += len(pumped.admitted)
        now += pumped.ask_again_s or 0.0
    late = engine.join(a_call("late", max_wait_s=10.0), 1, now)
    patient = engine.join(a_call("patient", max_wait_s=60.0), 1, now)
    refused = dict(engine.pump(POOL, now, 0).refused)
    assert set(refused) == {late}
    assert isinstance(refused[late], WouldWaitTooLong)
    assert 10.0 < refused[late].wait_s <= 31.0
    assert not patient.is_out


def test_who_stands_too_far_back_behind_other_tenants_is_refused_on_joining() -> None:
    """Ten tenants with ten calls each, a call a second: the tenth of one of them has about a hundred before it."""
    engine = make((Limit(Unit.REQUESTS, 60.0, burst=1.0),))
    for number in range(100):
        engine.join(a_call(f"{number}", tenant=f"t{number % 10}"), 1, 0.0)
    now, served = 0.0, 0
    while served < 10:
        pumped = engine.pump(POOL, now, 0)
        served += len(pumped.admitted)
        now += pumped.ask_again_s or 0.0
    late = engine.join(a_call("late", tenant="t0", max_wait_s=30.0), 1, now)
    engine.join(a_call("new", tenant="new", max_wait_s=30.0), 1, now)
    assert set(dict(engine.pump(POOL, now, 0).refused)) == {late}


def test_tenants_pay_for_what_their_calls_took_not_for_what_was_expected() -> None:
    """One whose calls take nine times what was expected gets a ninth as many, in the end."""
    engine = make((Limit(Unit.OUTPUT_TOKENS, 60_000.0, burst=1_000.0),))
    for number in range(200):
        for tenant in "ab":
            engine.join(a_call(f"{tenant}{number}", tenant=tenant), 1, 1000.0)
    now, got = 1000.0, {"a": 0, "b": 0}
    while sum(got.values()) < 20_000:
        pumped = pump(engine, now)
        now += pumped.ask_again_s or 0.01
        for ticket in tickets(pumped):
            took = 900 if ticket.call.tenant == "a" else 100
            got[ticket.call.tenant] += took
            settle(
                engine,
                ticket,
                Reply(200, {}, message={}, usage=Usage(10, output_tokens=took), total_s=1.0),
                now,
            )
    assert abs(got["a"] - got["b"]) <= 2_000


def test_a_call_that_failed_costs_its_tenant_no_turn() -> None:
    engine = make(ONE_A_SECOND)
    for name in ("a1", "b1", "a2", "b2"):
        engine.join(a_call(name, tenant=name[0]), 1, 1000.0)
    (first,) = tickets(pump(engine, 1000.0))
    settle(engine, first, Reply(None, {}, sent=False), 1000.0)
    mine = [ticket.call.tenant for now in (1001.0, 1002.0) for ticket in tickets(pump(engine, now))]
    assert first.call.tenant in mine


def test_until_the_first_reply_calls_go_at_the_pace_that_is_assumed() -> None:
    engine = Engine(MemoryStore(), assumed=lambda _pool: (Limit(Unit.REQUESTS, 60.0),))
    for number in range(5):
        engine.join(a_call(str(number)), 1, 0.0)
    went = [len(engine.pump(POOL, now, 0).admitted) for now in (0.0, 0.5, 1.0, 1.5, 2.0)]
    assert went == [1, 0, 1, 0, 1]
    assert engine.pump(POOL, 2.25, 0).ask_again_s == pytest.approx(0.75)


def test_the_first_reply_ends_what_was_assumed() -> None:
    engine = Engine(MemoryStore(), assumed=lambda _pool: (Limit(Unit.REQUESTS, 60.0),))
    first = engine.join(a_call("first"), 1, 0.0)
    tickets = dict(engine.pump(POOL, 0.0, 0).admitted)
    engine.headed(tickets[first], [Reading(Unit.REQUESTS, 6000.0, 5999.0)], 0.1, ok=True)
    engine.join(a_call("second"), 1, 0.2)
    assert len(engine.pump(POOL, 0.2, 0).admitted) == 1
