"""Whoever goes knows what it waited for last, in one of few words."""

from __future__ import annotations

import pytest

from core.test_engine import (
    ONE_A_SECOND,
    fail,
    go,
    make,
    many,
    pump,
    settle,
    sibling,
    tickets,
    warming,
    with_budget,
)
from headway.core.call import Cap, Fault, Unit
from headway.core.engine import Engine
from headway.core.limit import Limit
from headway.core.steps import Ticket
from headway.stores.memory import MemoryStore
from world import POOL, a_call

SCARCE_OUTPUT = (Limit(Unit.REQUESTS, 6e6, burst=6e6), Limit(Unit.OUTPUT_TOKENS, 6000.0, burst=100.0))


def gone(engine: Engine, *seconds: float) -> dict[str, str]:
    """What those waited for who went at these times."""
    return {ticket.call.id: ticket.waited_for for now in seconds for ticket in tickets(pump(engine, now))}


def test_who_goes_at_once_has_waited_for_nothing() -> None:
    engine = make()
    assert go(engine, a_call()).waited_for == ""
    entered = engine.enter(a_call("2"), 1, 1001.0, 0)
    assert entered is not None
    assert entered.waited_for == ""


def test_who_was_in_line_for_less_than_half_a_millisecond_has_not_waited() -> None:
    engine = make(ONE_A_SECOND)
    go(engine, a_call("1"), 1000.0)
    engine.join(a_call("2"), 1, 1000.9998)
    assert gone(engine, 1000.9998, 1001.0001) == {"2": ""}


def test_those_in_front_and_behind_waited_for_the_limit() -> None:
    engine = make(ONE_A_SECOND)
    for name in ("1", "2", "3"):
        engine.join(a_call(name), 1, 1000.0)
    assert gone(engine, 1000.0, 1001.0, 1002.0) == {"1": "", "2": "requests", "3": "requests"}


def test_it_is_the_last_thing_that_counts() -> None:
    engine = make(ONE_A_SECOND, most_in_flight=1)
    first = go(engine, a_call("1"))
    engine.join(a_call("2"), 1, 1000.1)
    pump(engine, 1000.1)
    settle(engine, first, now=1000.2)
    assert gone(engine, 1000.2, 1001.0) == {"2": "requests"}


def test_a_place_in_flight() -> None:
    engine = make(most_in_flight=1)
    first = go(engine, a_call("1"))
    engine.join(a_call("2"), 1, 1000.0)
    pump(engine, 1000.0)
    settle(engine, first, now=1001.0)
    assert gone(engine, 1001.0) == {"2": "in_flight"}


def test_the_first_reply_with_the_same_prefix() -> None:
    engine, first = warming()
    engine.join(sibling("s"), 1, 1001.0)
    pump(engine, 1001.0)
    engine.began(first, 1002.0)
    assert gone(engine, 1002.0) == {"s": "cache prefix"}


def test_a_budget_by_its_name() -> None:
    engine, caps = make(), (Cap("session nightly", Unit.REQUESTS, 1),)
    first = go(engine, a_call("1", caps=caps))
    engine.join(a_call("2", caps=caps), 1, 1000.0)
    pump(engine, 1000.0)
    settle(engine, first, fail(Fault.OVERLOADED), 1001.0)
    assert gone(engine, 1001.0) == {"2": "budget session nightly"}


def test_the_most_that_may_be_spent() -> None:
    engine = with_budget(100)
    first = go(engine, a_call("1"))
    engine.join(a_call("2"), 1, 1000.0)
    pump(engine, 1000.0)
    settle(engine, first, now=1001.0)
    assert gone(engine, 1001.0) == {"2": "budget max_cost"}


def test_the_providers_trouble() -> None:
    engine = make()
    for ticket in many(engine, 30):
        settle(engine, ticket, fail(Fault.OVERLOADED))
    engine.join(a_call("next"), 1, 1000.0)
    wait_s = pump(engine, 1000.1).ask_again_s
    assert wait_s is not None
    assert gone(engine, 1000.2 + wait_s) == {"next": "overload pause"}


def test_growth_that_was_too_fast() -> None:
    engine = make()
    settle(engine, many(engine, 10)[0], fail(Fault.RAMP_LIMITED))
    engine.join(a_call("next"), 1, 1000.0)
    wait_s = pump(engine, 1000.1).ask_again_s
    assert wait_s is not None
    assert gone(engine, 1000.2 + wait_s) == {"next": "ramp"}


def test_the_first_reply_of_all() -> None:
    engine = Engine(MemoryStore())
    first: Ticket = go(engine, a_call("1"))
    engine.join(a_call("2"), 1, 1000.0)
    pump(engine, 1000.0)
    engine.headed(first, (), 1001.0, ok=True)
    assert gone(engine, 1001.0) == {"2": "first reply"}


@pytest.mark.parametrize("unit", [Unit.OUTPUT_TOKENS])
def test_tokens(unit: Unit) -> None:
    engine = make(SCARCE_OUTPUT)
    go(engine, a_call("1"))
    engine.join(a_call("2"), 1, 1000.0)
    wait_s = pump(engine, 1000.0).ask_again_s
    assert wait_s is not None
    assert gone(engine, 1000.1 + wait_s) == {"2": unit.value}
    assert engine.pools[POOL].waits_for in ("", unit.value)
