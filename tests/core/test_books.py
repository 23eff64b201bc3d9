"""Rules of what calls take: budgets they name, live totals, and the cost of each attempt. Through the engine."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.core.budget import Budget
from headway.core.call import Call, Cap, Estimate, Fault, Problem, Unit, Usage
from headway.core.engine import Engine
from headway.core.events import BudgetLow
from headway.core.limit import Limit
from headway.core.line import Place
from headway.core.steps import Reply, Ticket
from headway.core.totals import Total
from headway.errors import BudgetExceeded, ConfigError, HeadwayError
from headway.stores.memory import MemoryStore
from world import POOL, a_call

PLENTY = tuple(Limit(unit, 6e9, burst=6e9) for unit in (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS))
ONE_A_MINUTE = (Limit(Unit.REQUESTS, 1.0, burst=1.0),)
TOOK = Usage(100, 20, 3, 4, 50, model="model")
OK = Reply(200, {}, message={}, usage=TOOK, total_s=1.0)
MANY = 10**12
SECONDS = count(1000)  # calls go a second apart, so that no limit is in the way


def cost(usage: Usage, _at_ns: int) -> int | None:
    """One nanodollar a token; a model of no price has none."""
    if usage.model == "unpriced":
        return None
    return usage.input_tokens + usage.cache_read_tokens + usage.output_tokens


def expect(call: Call, input_tokens: float, output_tokens: float) -> int | None:
    return None if call.identity.model == "unpriced" else round(input_tokens + output_tokens)


def make(limits: tuple[Limit, ...] = PLENTY, **options: Any) -> Engine:
    engine = Engine(MemoryStore(), limits=lambda _pool: limits, **{"cost": cost, "expect": expect, **options})
    engine.pool(POOL, -1000.0)
    return engine


def go(engine: Engine, call: Call) -> Ticket:
    now = float(next(SECONDS))
    engine.join(call, 1, now)
    ((_, ticket),) = engine.pump(POOL, now, 0).admitted
    return ticket


def refused(engine: Engine, call: Call) -> BudgetExceeded:
    now = float(next(SECONDS))
    place = engine.join(call, 1, now)
    ((who, error),) = engine.pump(POOL, now, 0).refused
    assert who is place
    assert isinstance(error, BudgetExceeded)
    return error


def settle(engine: Engine, ticket: Ticket, reply: Reply = OK, *, estimated: bool = False) -> int | None:
    return engine.settle(ticket, reply, reply.usage or Usage(model="model"), estimated, float(next(SECONDS)))


def took(input_tokens: int, output_tokens: int) -> Reply:
    usage = Usage(input_tokens, output_tokens=output_tokens, model="model")
    return Reply(200, {}, message={}, usage=usage, total_s=1.0)


def fail(fault: Fault, status: int | None) -> Reply:
    return Reply(status, {}, problem=Problem(fault, "type", "message", status, retry_after_s=0.1))


def spent(engine: Engine) -> dict[Unit, tuple[int, int]]:
    return {unit: (each.spent, each.held) for (_, unit), each in engine.books.caps.budgets.items()}


EACH = tuple(Cap("b", unit, MANY) for unit in (Unit.USD, Unit.TOKENS, Unit.REQUESTS))


# --- caps ---------------------------------------------------------------------------------------------------------


def test_what_a_call_is_expected_to_take_is_held_while_it_runs() -> None:
    engine = make()
    ticket = go(engine, a_call(caps=EACH))
    expected = round(ticket.input_tokens + ticket.output_tokens)
    assert spent(engine) == {
        Unit.USD: (0, expected),
        Unit.TOKENS: (0, expected),
        Unit.REQUESTS: (0, 1),
    }


def test_a_call_settles_for_its_cost_all_its_tokens_and_one_request() -> None:
    engine = make()
    assert settle(engine, go(engine, a_call(caps=EACH))) == 170
    assert spent(engine) == {Unit.USD: (170, 0), Unit.TOKENS: (177, 0), Unit.REQUESTS: (1, 0)}


@pytest.mark.parametrize(
    "reply",
    [
        fail(Fault.RATE_LIMITED, 429),
        fail(Fault.OVERLOADED, 529),
        fail(Fault.REJECTED, 400),
        Reply(None, {}, sent=False),
        Reply(None, {}, problem=Problem(Fault.FAILED, "connection", "refused"), sent=False),
    ],
    ids=str,
)
def test_a_call_that_is_refused_or_never_sent_gives_everything_back(reply: Reply) -> None:
    engine = make()
    assert settle(engine, go(engine, a_call(caps=EACH))) == 170
    assert settle(engine, go(engine, a_call("2", caps=EACH))) == 170
    before = spent(engine)
    assert settle(engine, go(engine, a_call("3", caps=EACH)), reply) == 0
    assert spent(engine) == before


def test_a_call_whose_reply_broke_off_counts_by_its_estimate() -> None:
    engine = make()
    reply = Reply(None, {}, usage=Usage(100, output_tokens=30, model="model"))
    assert settle(engine, go(engine, a_call(caps=EACH)), reply, estimated=True) == 130
    assert spent(engine) == {Unit.USD: (130, 0), Unit.TOKENS: (130, 0), Unit.REQUESTS: (1, 0)}


def test_a_call_whose_budget_is_held_by_others_lets_others_pass_and_goes_when_they_have_taken_less() -> None:
    engine = make()
    cap = Cap("b", Unit.TOKENS, 1000)
    first = go(engine, a_call("1", caps=(cap,)))
    held = engine.books.caps.budgets["b", Unit.TOKENS].held
    assert 500 < held <= 1000
    engine.join(a_call("2", caps=(cap,)), 1, float(next(SECONDS)))
    engine.join(a_call("3"), 1, float(next(SECONDS)))
    pumped = engine.pump(POOL, float(next(SECONDS)), 0)
    assert [ticket.call.id for _, ticket in pumped.admitted] == ["3"]
    assert not pumped.refused
    settle(engine, first, took(10, 5))
    pumped = engine.pump(POOL, float(next(SECONDS)), 0)
    assert [ticket.call.id for _, ticket in pumped.admitted] == ["2"]


def test_a_call_whose_budget_is_used_up_by_those_it_waited_for_is_refused_then() -> None:
    engine = make()
    cap = Cap("b", Unit.TOKENS, 1000)
    first = go(engine, a_call("1", caps=(cap,)))
    engine.join(a_call("2", caps=(cap,)), 1, float(next(SECONDS)))
    assert not engine.pump(POOL, float(next(SECONDS)), 0).refused
    settle(engine, first, took(900, 200))
    pumped = engine.pump(POOL, float(next(SECONDS)), 0)
    assert [str(error).partition(";")[0] for _, error in pumped.refused] == [
        "budget 'b' of 1,000 tokens: 1,100 tokens are used by 1 call (model 1,100 tokens)"
    ]


def test_a_call_that_may_not_wait_for_its_budget_is_refused_and_told_what_is_held() -> None:
    engine = make()
    cap = Cap("b", Unit.REQUESTS, 1)
    go(engine, a_call("1", caps=(cap,)))
    error = refused(engine, a_call("2", caps=(cap,), max_wait_s=0.0))
    assert (error.used, error.cap, error.unit, error.budget) == (0, 1, "requests", "b")
    assert "1 request is held by 1 call in flight" in str(error)


def test_a_call_that_is_refused_does_not_hold_up_those_behind_it() -> None:
    engine = make()
    engine.join(a_call("1", caps=(Cap("b", Unit.TOKENS, 10),)), 1, float(next(SECONDS)))
    engine.join(a_call("2"), 1, float(next(SECONDS)))
    pumped = engine.pump(POOL, float(next(SECONDS)), 0)
    assert [place.call.id for place, _ in pumped.refused] == ["1"]
    assert [ticket.call.id for _, ticket in pumped.admitted] == ["2"]


def test_a_call_whose_budget_is_used_up_is_refused_as_it_joins_however_long_the_line() -> None:
    engine = make(ONE_A_MINUTE)
    cap = Cap("b", Unit.REQUESTS, 1)
    settle(engine, go(engine, a_call("1", caps=(cap,))))
    for name in "234":
        engine.join(a_call(name), 1, float(next(SECONDS)))
    assert not engine.pump(POOL, float(next(SECONDS)), 0).admitted
    refused(engine, a_call("5", caps=(cap,)))
    assert len(engine.pools[POOL].line) == 3


def test_a_call_of_unknown_price_is_refused_as_it_joins_if_its_budget_is_money() -> None:
    engine = make(ONE_A_MINUTE)
    go(engine, a_call("1"))
    engine.join(a_call("2"), 1, float(next(SECONDS)))
    error = refused(engine, a_call("3", model="unpriced", caps=EACH))
    assert "price" in str(error)
    assert "tokens" in error.hint


def test_without_a_way_to_tell_what_calls_will_cost_no_budget_of_money_can_be_kept() -> None:
    assert "price" in str(refused(make(expect=None), a_call(caps=EACH)))


def test_a_call_that_left_before_it_could_be_refused_is_gone() -> None:
    engine = make()
    place = engine.join(a_call(caps=(Cap("b", Unit.USD, 0),)), 1, float(next(SECONDS)))
    assert engine.leave(place)
    assert not engine.pump(POOL, float(next(SECONDS)), 0).refused


def test_a_retry_does_not_set_back_a_cap_that_was_raised_meanwhile() -> None:
    engine = make()
    first, raised = a_call("1", caps=(Cap("b", Unit.REQUESTS, 1),)), Cap("b", Unit.REQUESTS, 2)
    settle(engine, go(engine, first), fail(Fault.OVERLOADED, 529))
    settle(engine, go(engine, a_call("2", caps=(raised,))))
    engine.join(first, 2, float(next(SECONDS)))
    assert engine.pump(POOL, float(next(SECONDS)), 0).admitted


def test_a_cap_of_a_unit_that_no_budget_has_is_told_to_whoever_joins() -> None:
    engine = make()
    with pytest.raises(ConfigError):
        engine.join(a_call(caps=(Cap("b", Unit.IN_FLIGHT, 1),)), 1, float(next(SECONDS)))
    assert not engine.pump(POOL, float(next(SECONDS)), 0).admitted


def test_a_budget_that_runs_low_is_news_once() -> None:
    engine = make()
    cap = Cap("b", Unit.TOKENS, 200)
    small = Estimate(10.0, 1)
    flying = [go(engine, a_call(name, estimate=small, caps=(cap,))) for name in "123"]
    for ticket in flying:
        settle(engine, ticket)
    assert engine.notices == [
        BudgetLow("b", Unit.TOKENS, 177, 200, 0.8),
        BudgetLow("b", Unit.TOKENS, 354, 200, 1.0),
    ]


# --- the cost of an attempt, and totals ---------------------------------------------------------------------------


def test_settling_tells_the_cost_once_and_nothing_where_it_is_not_known() -> None:
    engine = make()
    ticket = go(engine, a_call())
    assert settle(engine, ticket) == 170
    assert settle(engine, ticket) is None
    unpriced = Reply(200, {}, usage=Usage(1, model="unpriced"))
    assert settle(engine, go(engine, a_call("2")), unpriced) is None


def test_each_attempt_is_priced_once_whoever_asks() -> None:
    asked = []

    def price(usage: Usage, at_ns: int) -> int:
        asked.append(at_ns)
        return 1

    engine = make(cost=price, budget=Budget(MANY), price=lambda _call, _tokens: 60)
    settle(engine, go(engine, a_call(caps=EACH)))
    assert len(asked) == 1
    assert engine.budget is not None
    assert (engine.budget.spent, engine.budget.held) == (1, 0)


def test_totals_are_live_by_session_and_model() -> None:
    engine = make()
    first = go(engine, a_call("1", session="s"))
    go(engine, a_call("2", session="s", model="other"))
    settle(engine, first)
    settle(engine, go(engine, a_call("3", session="s")), fail(Fault.RATE_LIMITED, 429))
    assert engine.usage() == (
        Total("s", "other", attempts=1, in_flight=1),
        Total(
            "s",
            "model",
            calls=1,
            attempts=2,
            refused=1,
            input_tokens=100,
            cache_read_tokens=20,
            cache_write_tokens=7,
            output_tokens=50,
            nanousd=170,
        ),
    )


def test_what_was_never_sent_is_no_attempt() -> None:
    engine = make()
    settle(engine, go(engine, a_call()), Reply(None, {}, sent=False))
    assert engine.usage() == (Total("", "model"),)


def test_what_took_something_of_unknown_price_is_counted() -> None:
    engine = make()
    for number, usage in enumerate((Usage(1, model="unpriced"), Usage(model="unpriced"))):
        settle(engine, go(engine, a_call(str(number))), Reply(200, {}, usage=usage))
    (total,) = engine.usage()
    assert (total.calls, total.unpriced, total.nanousd) == (2, 1, 0)


# --- properties ---------------------------------------------------------------------------------------------------

CAPS = (Cap("a", Unit.USD, 4000), Cap("a", Unit.TOKENS, 3000), Cap("b", Unit.REQUESTS, 12))
REPLIES = (
    lambda took: Reply(200, {}, usage=took),
    lambda took: Reply(200, {}, usage=took, problem=Problem(Fault.FAILED, "cut", "m", 200)),
    lambda _took: fail(Fault.RATE_LIMITED, 429),
    lambda _took: fail(Fault.OVERLOADED, 529),
    lambda took: Reply(None, {}, usage=took),  # cancelled
    lambda _took: Reply(None, {}, sent=False),
)


@dataclass(frozen=True, slots=True)
class Act:
    kind: str
    pick: int = 0
    tokens: int = 0


ACTS = st.lists(
    st.builds(
        Act,
        st.sampled_from(["join", "join", "settle", "leave", "pass"]),
        st.integers(0, 60),
        st.integers(0, 900),
    ),
    max_size=80,
)


@settings(deadline=None)
@given(ACTS)
def test_caps_and_totals_add_up_whatever_happens_in_any_order(acts: list[Act]) -> None:
    """Spent and held are what calls took and hold; a cap is passed by no more than calls took beyond what was expected."""
    limits = (Limit(Unit.REQUESTS, 600.0, burst=5.0), Limit(Unit.OUTPUT_TOKENS, 60_000.0, burst=6000.0))
    engine, now = make(limits), 1000.0
    waiting: dict[int, Place] = {}
    flying: list[Ticket] = []
    took, beyond = dict.fromkeys(CAPS, 0), dict.fromkeys(CAPS, 0)
    costs = attempts = 0

    def pump() -> None:
        pumped = engine.pump(POOL, now, 0)
        for place, ticket in pumped.admitted:
            del waiting[id(place)]
            flying.append(ticket)
        for place, error in pumped.refused:
            del waiting[id(place)]
            assert isinstance(error, HeadwayError)

    def end(ticket: Ticket, kind: int, tokens: int) -> None:
        nonlocal costs, attempts
        reply = REPLIES[kind](Usage(tokens, output_tokens=tokens, model="model"))
        estimated = reply.usage is not None and (reply.problem is not None or reply.status is None)
        settle(engine, ticket, reply, estimated=estimated)
        is_taken, attempted = reply.usage is not None, reply.sent
        attempts += attempted
        costs += 2 * tokens if is_taken else 0
        for cap in ticket.call.caps:
            actual = (1 if cap.unit is Unit.REQUESTS else 2 * tokens) if is_taken else 0
            took[cap] += actual
            beyond[cap] += max(actual - expected(ticket, cap), 0)

    def expected(ticket: Ticket, cap: Cap) -> int:
        return 1 if cap.unit is Unit.REQUESTS else round(ticket.input_tokens + ticket.output_tokens)

    for number, act in enumerate(acts):
        match act.kind:
            case "join":
                caps = tuple(cap for bit, cap in enumerate(CAPS) if act.pick >> bit & 1)
                estimate = Estimate(1.0 + act.tokens, 1 + act.pick * 20)
                call = a_call(str(number), caps=caps, estimate=estimate, session="st"[act.pick % 2])
                place = engine.join(call, 1, now)
                waiting[id(place)] = place
            case "settle" if flying:
                end(flying.pop(act.pick % len(flying)), act.pick % len(REPLIES), act.tokens)
            case "leave" if waiting:
                assert engine.leave(waiting.pop(list(waiting)[act.pick % len(waiting)]))
            case "pass":
                now += act.pick / 10.0
        pump()
        for cap in CAPS:
            budget = engine.books.caps.budgets.get((cap.name, cap.unit))
            if budget is not None:
                assert budget.spent == took[cap]
                assert budget.held == sum(expected(each, cap) for each in flying if cap in each.call.caps)
                assert budget.spent + budget.held <= cap.amount + beyond[cap]
        totals = engine.usage()
        assert sum(each.in_flight for each in totals) == engine.in_flight == len(flying)
        assert sum(each.attempts for each in totals) == attempts + len(flying)
        assert sum(each.nanousd for each in totals) == costs
    for ticket in flying:
        end(ticket, 5, 0)
    assert all(budget.held == budget.in_flight == 0 for budget in engine.books.caps.budgets.values())
