"""The virtual driver: the same engine, no waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from msgspec import structs

from drivers.stand_in import an_engine, nothing_is_left
from headway.core.call import Fault, Reading, Unit, Usage
from headway.core.engine import Engine
from headway.core.limit import Limit
from headway.core.ports import Entry, OpenEntry
from headway.core.steps import Outcome, Reply, Ticket
from headway.drivers.virtual import Agenda, Event, VirtualDriver, Whole
from headway.errors import WouldWaitTooLong
from headway.stores.memory import MemoryStore
from world import Provider, Rules, Truth, Work, a_call, job

RULES = Rules()


def some(count: int, **options: str) -> Work:
    """Calls of ten tokens each way."""
    calls = tuple(a_call(f"{number}", stream=True, **options) for number in range(count))  # type: ignore[arg-type]  # names
    return Work(calls, {call.id: Truth(10, 10) for call in calls})


def a_driver(
    work: Work, rules: Rules = RULES, *, engine: Engine | None = None, seed: int = 0
) -> VirtualDriver:
    known = engine or Engine(MemoryStore(), limits=lambda _pool: rules.limits(with_burst=True))
    return VirtualDriver(known, Provider(rules, work, seed), seed=seed)


def ids(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.call.id for outcome in outcomes]


def test_every_call_of_the_supply_ends_once() -> None:
    work = some(50)
    driver = a_driver(work)
    outcomes = driver.run(iter(work.calls))
    assert sorted(ids(outcomes), key=int) == [call.id for call in work.calls]
    nothing_is_left(driver.engine)


def test_no_supply_is_over_at_once() -> None:
    driver = a_driver(some(0))
    assert driver.run(iter(())) == []
    assert driver.now == 0.0


def test_the_supply_is_asked_only_as_far_as_the_line_has_room() -> None:
    work, asked = some(300), list[str]()

    def supply() -> object:
        for call in work.calls:
            asked.append(call.id)
            yield call

    driver = a_driver(work)
    driver.run(supply(), lookahead=3, until=1.0)  # type: ignore[arg-type]  # a generator of calls
    admitted = driver.engine.in_flight + len(driver.outcomes)
    assert 0 < admitted < 300
    assert len(asked) <= admitted + 3


def test_a_run_can_be_stopped_and_goes_on_later() -> None:
    work = some(200)
    driver = a_driver(work)
    driver.run(iter(work.calls), until=3.0)
    part = len(driver.outcomes)
    assert driver.now <= 3.0
    assert 0 < part < 200
    driver.run(iter(()))
    assert len(driver.outcomes) >= part
    nothing_is_left(driver.engine)


def test_a_call_can_be_started_at_a_time_of_its_own() -> None:
    work = some(2)
    driver = a_driver(work)
    driver.start(work.calls[0], at=50.0)
    driver.start(work.calls[1], at=10.0)
    driver.run(iter(()))
    assert ids(driver.outcomes) == ["1", "0"]
    assert driver.last_admitted_at >= 50.0


def test_waiting_costs_no_time_but_that_of_the_limit() -> None:
    """Twelve calls at one a second and a burst of two: ten seconds, and what distance is kept."""
    rules = replace(RULES, requests=60.0, burst_s=2.0)
    work = some(12)
    driver = a_driver(work, rules)
    driver.run(iter(work.calls))
    assert driver.last_admitted_at == pytest.approx(10.0, abs=1.0)
    assert driver.engine.pools["pool"].bound_s["requests"] == pytest.approx(10.0, abs=1.5)


def test_a_waiting_call_can_be_cancelled_and_only_while_it_waits() -> None:
    rules = replace(RULES, requests=60.0, burst_s=1.0)
    work = some(4)
    driver = a_driver(work, rules)
    for call in work.calls:
        driver.start(call)
    driver.run(iter(()), until=0.5)
    assert driver.cancel("3")
    assert not driver.cancel("3")
    assert not driver.cancel("0")
    driver.run(iter(()))
    assert sorted(ids(driver.outcomes)) == ["0", "1", "2"]
    nothing_is_left(driver.engine)


def test_a_call_that_cannot_go_in_time_is_refused_in_the_same_moment() -> None:
    rules = replace(RULES, requests=6.0, burst_s=1.0)
    work = some(2)
    hasty = structs.replace(work.calls[1], max_wait_s=2.0)
    driver = a_driver(work, rules)
    driver.start(work.calls[0], at=1.0)
    driver.start(hasty, at=1.2)
    outcomes = driver.run(iter(()))
    refused = next(outcome for outcome in outcomes if outcome.call.id == "1")
    assert isinstance(refused.error, WouldWaitTooLong)
    assert ids(outcomes)[0] == "1"
    nothing_is_left(driver.engine)


def test_a_call_behind_the_head_whose_time_is_up_is_refused_then() -> None:
    rules = replace(RULES, requests=6.0, burst_s=10.0)
    work = some(3)
    driver = a_driver(work, rules)
    for call in (*work.calls[:2], structs.replace(work.calls[2], max_wait_s=0.5)):
        driver.start(call, at=16.0)
    driver.run(iter(()))
    refused = next(outcome for outcome in driver.outcomes if outcome.call.id == "2")
    assert isinstance(refused.error, WouldWaitTooLong)
    assert len(driver.outcomes) == 3
    nothing_is_left(driver.engine)


def test_attempts_are_recorded_as_by_the_other_drivers() -> None:
    work, records = job("short", 30), list[OpenEntry | Entry]()
    rules = replace(RULES, overloaded=0.3)
    engine = Engine(MemoryStore(), limits=lambda _pool: rules.limits(with_burst=True))
    driver = VirtualDriver(engine, Provider(rules, work), record=records.append)
    outcomes = driver.run(iter(work.calls))
    opened = [entry.attempt_id for entry in records if isinstance(entry, OpenEntry)]
    closed = [entry.attempt_id for entry in records if isinstance(entry, Entry)]
    assert sorted(opened) == sorted(closed)
    assert len(set(opened)) == len(opened) == sum(outcome.attempts for outcome in outcomes) > 30


def test_failed_attempts_are_tried_again_after_a_pause() -> None:
    rules = replace(RULES, overloaded=0.5)
    work = some(40)
    driver = a_driver(work, rules)
    outcomes = driver.run(iter(work.calls))
    assert all(outcome.problem is None for outcome in outcomes)
    assert max(outcome.attempts for outcome in outcomes) > 1


def test_what_stops_everything_ends_everything() -> None:
    work = some(10)
    driver = a_driver(work, replace(RULES, spend_cap=0))
    outcomes = driver.run(iter(work.calls))
    assert [outcome.problem.fault for outcome in outcomes if outcome.problem] == [Fault.STOPPED] * 10


def test_the_same_seed_is_the_same_run() -> None:
    rules, runs = replace(RULES, overloaded=0.2), []
    for _ in range(2):
        work = job("mixed", 60)
        driver = a_driver(work, rules, seed=7)
        runs.append(
            [(outcome.call.id, outcome.attempts) for outcome in driver.run(iter(work.calls))] + [driver.now]
        )
    assert runs[0] == runs[1]


def test_a_place_in_flight_that_comes_free_in_one_pool_is_used_by_another() -> None:
    plenty = tuple(
        Limit(unit, 6e9, burst=6e9) for unit in (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)
    )
    calls = (a_call("0", pool="a"), a_call("1", pool="b"))
    work = Work(calls, {call.id: Truth(10, 10) for call in calls})
    driver = a_driver(work, engine=an_engine(plenty, most_in_flight=1))
    outcomes = driver.run(iter(calls))
    assert ids(outcomes) == ["0", "1"]
    nothing_is_left(driver.engine)


def test_an_agenda_goes_from_one_thing_to_the_next_in_order_of_time() -> None:
    agenda, seen = Agenda(), list[tuple[float, str]]()

    def note(word: str) -> None:
        seen.append((agenda.now, word))

    agenda.at(2.0, note, "second")
    agenda.at(1.0, lambda: agenda.at(0.5, note, "too late, so at once"))
    agenda.at(2.0, note, "asked for later")
    agenda.at(9.0, note, "not yet")
    agenda.play(until=5.0)
    assert seen == [(1.0, "too late, so at once"), (2.0, "second"), (2.0, "asked for later")]


def test_whoever_asked_is_told_of_each_call_that_ends_and_nothing_is_kept() -> None:
    work, told = some(20), list[Outcome]()
    engine = Engine(MemoryStore(), limits=lambda _pool: RULES.limits(with_burst=True))
    driver = VirtualDriver(engine, Provider(RULES, work), ended=told.append)
    assert driver.run(iter(work.calls)) == []
    assert sorted(ids(told), key=int) == [call.id for call in work.calls]


def test_wall_time_begins_where_it_is_told_to() -> None:
    work, records = some(1), list[OpenEntry | Entry]()
    engine = Engine(MemoryStore(), limits=lambda _pool: RULES.limits(with_burst=True))
    driver = VirtualDriver(engine, Provider(RULES, work), record=records.append, epoch_ns=10**18)
    driver.start(work.calls[0], at=5.0)
    driver.run(iter(()))
    opened = next(entry for entry in records if isinstance(entry, OpenEntry))
    assert opened.at_ns == pytest.approx(10**18 + 5 * 10**9, abs=10**9)


class AtOnce:
    """A world without a network, whose replies come whole."""

    def delay(self, ticket: Ticket) -> float:
        return 0.0

    def arrive(self, ticket: Ticket, now: float) -> Sequence[tuple[float, Event]]:
        usage = Usage(input_tokens=10, output_tokens=10, model="model")
        readings = RULES.limits(with_burst=False)
        shown = tuple(Reading(limit.unit, limit.amount, limit.amount) for limit in readings)
        return ((2.0, Whole(shown, Reply(200, {}, {}, usage, None, None, 2.0))),)


def test_head_and_reply_may_come_in_together() -> None:
    engine = Engine(MemoryStore())  # that learns the limits from the head
    driver = VirtualDriver(engine, AtOnce())
    driver.start(a_call("0"))
    (outcome,) = driver.run(iter(()))
    assert outcome.reply is not None
    assert driver.now == 2.0
    assert {limit.unit: limit.amount for limit in engine.store.limits("pool")} == {
        limit.unit: limit.amount for limit in RULES.limits(with_burst=False)
    }
    nothing_is_left(engine)


def test_time_in_which_nobody_stands_in_line_binds_nobody() -> None:
    rules = replace(RULES, requests=60.0, burst_s=1.0)
    work = some(4)
    driver = a_driver(work, rules)
    for number, call in enumerate(work.calls):
        driver.start(call, at=3600.0 * (number // 2))
    driver.run(iter(()))
    assert sum(driver.engine.pools["pool"].bound_s.values()) < 10.0
