"""The anyio driver, on asyncio and on trio. Nothing sleeps: what must happen first sets an event."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import anyio
import pytest

from drivers.stand_in import (
    AGAIN,
    OK,
    PLENTY,
    REFUSED,
    Clock,
    Written,
    an_engine,
    nothing_is_left,
    shown,
    wall,
)
from headway.core.budget import Budget
from headway.core.call import Fault, Problem, Unit, Usage
from headway.core.engine import Engine
from headway.core.retry import Retry
from headway.core.steps import Outcome, Reply, Ticket
from headway.drivers.aio import AioDriver, _Bell
from headway.drivers.turnstile import Turnstile, Watch
from headway.errors import BudgetExceeded, WouldWaitTooLong
from headway.stores.memory import MemoryStore
from world import POOL, a_call

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class Sender:
    """Answers from a script, else `OK`. `started` is set by the first attempt; `gate`, if given, holds every attempt back."""

    def __init__(self, *replies: Reply, gate: anyio.Event | None = None) -> None:
        self.replies = list(replies)
        self.gate = gate
        self.started = anyio.Event()
        self.sent: list[str] = []
        self.active = self.most_active = 0

    async def send(self, ticket: Ticket, watch: Watch) -> Reply:
        self.sent.append(ticket.id)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        self.started.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
            await anyio.lowlevel.checkpoint()
        finally:
            self.active -= 1
        return self.replies.pop(0) if self.replies else OK


def a_driver(
    engine: Engine, sender: Any, written: Written | None = None, clock: Callable[[], float] | None = None
) -> AioDriver:
    turnstile = Turnstile(engine, written or Written(), clock or Clock(), wall)
    return AioDriver(turnstile, sender, provider="anthropic", retry=Retry())


async def until(happened: Callable[[], bool]) -> None:
    """Let other tasks run until it has happened; pytest's timeout ends a test where it never does."""
    while not happened():
        await anyio.lowlevel.checkpoint()


async def in_line(engine: Engine, count: int) -> None:
    """Until so many calls wait."""
    await until(lambda: len(engine.pools[POOL].line) == count)


async def test_a_call_is_admitted_sent_settled_and_recorded() -> None:
    engine, sender, written = an_engine(), Sender(), Written()
    outcome = await a_driver(engine, sender, written).run(a_call("c"))
    assert outcome.reply is OK
    assert sender.sent == ["c-1"]
    assert [entry.provider for entry in written.opened] == ["anthropic"]
    assert written.outcomes == ["ok"]
    nothing_is_left(engine, written)


async def test_a_refused_attempt_is_sent_again_and_each_time_it_is_told() -> None:
    engine, sender, written, told = an_engine(()), Sender(AGAIN, AGAIN), Written(), list[str]()
    outcome = await a_driver(engine, sender, written).run(
        a_call("c"), lambda: told.append("admitted"), lambda: told.append("waits")
    )
    assert outcome.reply is OK
    assert outcome.refusals == 2
    assert sender.sent == ["c-1", "c-2", "c-3"]
    assert written.outcomes == ["rate_limited", "rate_limited", "ok"]
    assert told == ["admitted", "waits", "admitted", "waits", "admitted"]
    nothing_is_left(engine, written)


async def test_all_get_there_and_never_more_than_allowed_are_in_flight() -> None:
    engine, sender = an_engine(most_in_flight=3), Sender()
    driver = a_driver(engine, sender)
    outcomes: list[Outcome] = []

    async def one(number: int) -> None:
        outcomes.append(await driver.run(a_call(f"{number}")))

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(one, number)
    assert len(outcomes) == 50
    assert sorted(int(sent.partition("-")[0]) for sent in sender.sent) == list(range(50))
    assert 1 <= sender.most_active <= 3
    nothing_is_left(engine)


async def test_the_line_is_first_come_first_served() -> None:
    engine, gate = an_engine(most_in_flight=1), anyio.Event()
    sender = Sender(gate=gate)
    driver = a_driver(engine, sender)
    async with anyio.create_task_group() as group:
        group.start_soon(driver.run, a_call("0"))
        await sender.started.wait()
        for number in range(1, 20):
            group.start_soon(driver.run, a_call(f"{number}"))
            await in_line(engine, number)
        gate.set()
    assert sender.sent == [f"{number}-1" for number in range(20)]
    nothing_is_left(engine)


async def test_the_head_of_the_first_reply_lets_others_go_while_it_still_runs() -> None:
    """Limits nobody told: the second call waits for the head of the first reply, not for its end."""
    end = anyio.Event()

    class Streaming(Sender):
        async def send(self, ticket: Ticket, watch: Watch) -> Reply:
            self.sent.append(ticket.id)
            if ticket.call.id == "1":
                self.started.set()
                await in_line(engine, 1)
                watch.headed(shown(), ok=True)
                watch.produced(40.0)
                await end.wait()
            else:
                end.set()
            return OK

    engine = Engine(MemoryStore())
    sender = Streaming()
    driver = a_driver(engine, sender)
    async with anyio.create_task_group() as group:
        group.start_soon(driver.run, a_call("1", stream=True))
        await sender.started.wait()
        group.start_soon(driver.run, a_call("2", stream=True))
    assert sender.sent == ["1-1", "2-1"]
    nothing_is_left(engine)


# --- cancellation -------------------------------------------------------------------------------------------------


async def test_a_call_cancelled_in_line_leaves_it_and_the_next_one_goes() -> None:
    engine, gate, written = an_engine(most_in_flight=1), anyio.Event(), Written()
    sender, scope = Sender(gate=gate), anyio.CancelScope()
    driver = a_driver(engine, sender, written)

    async def cancelled() -> None:
        with scope:
            await driver.run(a_call("cancelled"))

    async with anyio.create_task_group() as group:
        group.start_soon(driver.run, a_call("first"))
        await sender.started.wait()
        group.start_soon(cancelled)
        await in_line(engine, 1)
        group.start_soon(driver.run, a_call("last"))
        await in_line(engine, 2)
        scope.cancel()
        await in_line(engine, 1)
        gate.set()
    assert scope.cancelled_caught
    assert sender.sent == ["first-1", "last-1"]
    assert written.outcomes == ["ok", "ok"]
    nothing_is_left(engine, written)


async def test_a_call_cancelled_while_sending_is_settled_by_estimate_once_and_the_next_one_goes() -> None:
    engine, written = an_engine(most_in_flight=1), Written()
    hanging, rest = Sender(gate=anyio.Event()), Sender()

    class Both:
        async def send(self, ticket: Ticket, watch: Watch) -> Reply:
            return await (hanging if ticket.call.id == "cancelled" else rest).send(ticket, watch)

    driver, scope = a_driver(engine, Both(), written), anyio.CancelScope()

    async def cancelled() -> None:
        with scope:
            await driver.run(a_call("cancelled"))

    async with anyio.create_task_group() as group:
        group.start_soon(cancelled)
        await hanging.started.wait()
        group.start_soon(driver.run, a_call("next"))
        await in_line(engine, 1)
        scope.cancel()
    assert scope.cancelled_caught
    assert rest.sent == ["next-1"]
    assert written.outcomes == ["cancelled", "ok"]
    assert written.closed[0].estimated
    assert written.closed[0].usage.input_tokens == 100
    used = engine.pools[POOL].used
    assert used[Unit.REQUESTS] == 2.0
    assert used[Unit.INPUT_TOKENS] == pytest.approx(200.0)
    nothing_is_left(engine, written)


async def test_a_call_cancelled_between_admission_and_sending_gives_its_ticket_back_unused() -> None:
    """The end of the first call admits the second; before that one wakes, its caller is gone."""
    scope, gate = anyio.CancelScope(), anyio.Event()
    written = Written(lambda entry: scope.cancel() if entry.attempt_id == "first-1" else None)
    engine, sender = an_engine(most_in_flight=1), Sender(gate=gate)
    driver, in_flight = a_driver(engine, sender, written), list[int]()

    async def cancelled() -> None:
        with scope:
            await driver.run(a_call("cancelled"))
        in_flight.append(engine.in_flight)

    async with anyio.create_task_group() as group:
        group.start_soon(driver.run, a_call("first"))
        await sender.started.wait()
        group.start_soon(cancelled)
        await in_line(engine, 1)
        group.start_soon(driver.run, a_call("last"))
        await in_line(engine, 2)
        gate.set()
    assert scope.cancelled_caught
    assert sender.sent == ["first-1", "last-1"]
    assert written.outcomes == ["ok", "ok"]
    assert engine.pools[POOL].used[Unit.REQUESTS] == 2.0
    nothing_is_left(engine, written)


async def test_money_held_for_a_call_that_was_never_sent_comes_back() -> None:
    scope, gate = anyio.CancelScope(), anyio.Event()
    written = Written(lambda entry: scope.cancel() if entry.attempt_id == "first-1" else None)
    engine = an_engine(
        most_in_flight=1,
        budget=Budget(1000),
        price=lambda _call, _tokens: 60,
        cost=lambda usage, _at: (
            40 if usage.model else None
        ),  # the price of a model without a name is not known
    )
    sender = Sender(gate=gate)
    driver = a_driver(engine, sender, written)

    async def cancelled() -> None:
        with scope:
            await driver.run(a_call("cancelled"))

    async with anyio.create_task_group() as group:
        group.start_soon(driver.run, a_call("first"))
        await sender.started.wait()
        group.start_soon(cancelled)
        await in_line(engine, 1)
        gate.set()
    assert sender.sent == ["first-1"]
    assert engine.budget is not None
    assert engine.budget.spent == 40
    nothing_is_left(engine, written)


async def test_all_cancelled_at_once_leave_nothing_behind() -> None:
    engine, written, sender = an_engine(most_in_flight=5), Written(), Sender(gate=anyio.Event())
    driver = a_driver(engine, sender, written)
    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(driver.run, a_call(f"{number}"))
        await until(lambda: len(sender.sent) == 5 and len(engine.pools[POOL].line) == 25)
        group.cancel_scope.cancel()
    assert written.outcomes == ["cancelled"] * 5
    nothing_is_left(engine, written)


async def test_who_is_cancelled_already_and_need_not_wait_leaves_nothing_behind() -> None:
    engine, written, sender = an_engine(), Written(), Sender()
    driver = a_driver(engine, sender, written)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await driver.run(a_call())
    assert scope.cancelled_caught
    assert written.outcomes == ["cancelled"]
    nothing_is_left(engine, written)


async def test_a_sender_that_breaks_its_promise_and_raises_leaves_nothing_behind() -> None:
    class Broken:
        async def send(self, ticket: Ticket, watch: Watch) -> Reply:
            raise RuntimeError("a bug")

    engine, written = an_engine(), Written()
    with pytest.raises(RuntimeError, match="a bug"):
        await a_driver(engine, Broken(), written).run(a_call())
    assert written.outcomes == ["cancelled"]
    nothing_is_left(engine, written)


# --- what may not wait --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"max_wait_s": 5.0}, {"deadline": 1005.0}])
async def test_a_call_that_cannot_go_in_time_is_refused_at_once_with_numbers(options: dict[str, Any]) -> None:
    engine, sender, written = an_engine(), Sender(REFUSED), Written()
    driver = a_driver(engine, sender, written)
    first = await driver.run(a_call("first", **options))
    second = await driver.run(a_call("second", **options))
    assert first.problem is not None
    assert first.why
    assert isinstance(second.error, WouldWaitTooLong)
    assert second.error.wait_s == pytest.approx(100.0, abs=5.0)
    assert "requests" in second.error.limit
    assert second.attempts == 0
    assert sender.sent == ["first-1"]
    nothing_is_left(engine, written)


async def test_a_call_whose_time_is_up_in_line_is_refused_although_nothing_else_happens() -> None:
    """On the clock of the machine, because the driver sleeps on it: for ten milliseconds, and for ever if it were broken."""
    engine, gate = an_engine(most_in_flight=1), anyio.Event()
    sender = Sender(gate=gate)
    driver = a_driver(engine, sender, clock=time.monotonic)
    async with anyio.create_task_group() as group:
        group.start_soon(driver.run, a_call("first"))
        await sender.started.wait()
        outcome = await driver.run(a_call("second", max_wait_s=0.01))
        gate.set()
    assert isinstance(outcome.error, WouldWaitTooLong)
    assert sender.sent == ["first-1"]
    nothing_is_left(engine)


async def test_a_call_beyond_the_budget_is_refused_at_once() -> None:
    engine = an_engine(budget=Budget(10), price=lambda _call, _tokens: 60, cost=lambda _usage, _at: 60)
    outcome = await a_driver(engine, Sender()).run(a_call())
    assert isinstance(outcome.error, BudgetExceeded)
    nothing_is_left(engine)


async def test_calls_that_wait_for_money_go_when_it_comes_back() -> None:
    engine = an_engine(budget=Budget(100), price=lambda _call, _tokens: 60, cost=lambda _usage, _at: 10)
    sender, outcomes = Sender(), list[Outcome]()
    driver = a_driver(engine, sender)

    async def one(number: int) -> None:
        outcomes.append(await driver.run(a_call(f"{number}")))

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(one, number)
    assert sender.most_active == 1
    assert [outcome.error is None for outcome in outcomes].count(
        True
    ) == 5  # the sixth may cost 60 of the 50 left
    assert engine.budget is not None
    assert engine.budget.spent == 50
    nothing_is_left(engine)


async def test_a_place_in_flight_that_comes_free_in_one_pool_is_used_by_another() -> None:
    engine, gate = an_engine(PLENTY, most_in_flight=1), anyio.Event()
    sender = Sender(gate=gate)
    driver = a_driver(engine, sender)
    async with anyio.create_task_group() as group:
        group.start_soon(driver.run, a_call("1", pool="a"))
        await sender.started.wait()
        group.start_soon(driver.run, a_call("2", pool="b"))
        await until(lambda: len(engine.pools["b"].line) == 1)
        gate.set()
    assert sender.sent == ["1-1", "2-1"]
    nothing_is_left(engine)


async def test_a_final_problem_is_an_outcome_and_no_exception() -> None:
    rejected = Reply(400, {}, problem=Problem(Fault.REJECTED, "invalid_request_error", "message", 400))
    engine = an_engine()
    outcome = await a_driver(engine, Sender(rejected)).run(a_call())
    assert outcome.problem is rejected.problem
    assert outcome.usages == (Usage(model="model"),)
    nothing_is_left(engine)


class Suspended:
    """Sends without end; what awaits it is suspended as in a loop that is never run again."""

    async def send(self, ticket: Ticket, watch: Watch) -> Reply:
        await Forever()
        raise AssertionError("it was woken")


class Forever:
    def __await__(self) -> Generator[None, None, None]:
        while True:
            yield


async def test_a_call_that_the_collector_finds_while_it_is_sent_is_settled_even_under_the_lock() -> None:
    engine, written = an_engine(), Written()
    turnstile = Turnstile(engine, written, Clock(), wall)
    driver = AioDriver(turnstile, Suspended(), provider="anthropic", retry=Retry())
    gc.disable()
    try:
        ring: list[Any] = [driver.run(a_call("c"))]
        ring.append(ring)
        ring[0].send(None)
        assert engine.in_flight == 1
        del ring
        turnstile.look(gc.collect)
    finally:
        gc.enable()
    assert written.outcomes == ["cancelled"]
    nothing_is_left(engine, written)


def test_a_bell_of_a_closed_loop_is_lost_and_says_so_to_whoever_sets_it() -> None:
    loop, bell = asyncio.new_event_loop(), _Bell()
    sleeping = loop.create_task(bell.heard(None, 0.0))
    loop.run_until_complete(asyncio.sleep(0))
    assert not bell.is_lost()
    loop.call_exception_handler = lambda _said: None  # type: ignore[method-assign] # "task was destroyed": it was
    loop.close()
    assert bell.is_lost()
    assert not bell.set()  # from its own thread
    answers: list[bool] = []
    other = threading.Thread(target=lambda: answers.append(bell.set()))
    other.start()
    other.join()
    assert answers == [False]
    del sleeping
