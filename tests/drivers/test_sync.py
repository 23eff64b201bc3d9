"""The thread driver, with real threads. Nothing sleeps: threads tell each other by events and semaphores."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from drivers.stand_in import (
    AGAIN,
    OK,
    PLENTY,
    REFUSED,
    Clock,
    Written,
    an_engine,
    known_for_long,
    nothing_is_left,
    shown,
    wall,
)
from headway.core.call import Call, Unit
from headway.core.engine import Engine, Pumped
from headway.core.line import Place
from headway.core.retry import Retry
from headway.core.steps import Outcome, Reply, Ticket
from headway.drivers.sync import SyncDriver
from headway.drivers.turnstile import Turnstile, Watch
from headway.errors import WouldWaitTooLong
from headway.stores.memory import MemoryStore
from world import POOL, a_call

PATIENCE_S = 30.0  # how long a test waits for what must happen; nothing waits that long unless it is broken


class Joining(Engine):
    """Tells when somebody has joined the line or gone at once, and calls `pumped` at the end of each pump."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.joined = threading.Semaphore(0)
        self.pumped: Callable[[], None] = lambda: None

    def enter(self, call: Call, number: int, now: float, at_ns: int) -> Ticket | None:
        ticket = super().enter(call, number, now, at_ns)
        if ticket is not None:
            self.joined.release()
        return ticket

    def join(self, call: Call, number: int, now: float) -> Place:
        place = super().join(call, number, now)
        self.joined.release()
        return place

    def pump(self, name: str, now: float, at_ns: int) -> Pumped:
        pumped = super().pump(name, now, at_ns)
        self.pumped()
        return pumped


class Sender:
    """Answers from a script, else `OK`. `started` is set by the first attempt; `gate`, if given, holds every attempt back."""

    def __init__(self, *replies: Reply, gate: threading.Event | None = None) -> None:
        self.replies = list(replies)
        self.gate = gate
        self.started = threading.Event()
        self.sent: list[str] = []
        self.active = self.most_active = 0
        self._lock = threading.Lock()

    def send(self, ticket: Ticket, watch: Watch) -> Reply:
        with self._lock:
            self.sent.append(ticket.id)
            self.active += 1
            self.most_active = max(self.most_active, self.active)
        self.started.set()
        if self.gate is not None:
            assert self.gate.wait(PATIENCE_S)
        with self._lock:
            self.active -= 1
            return self.replies.pop(0) if self.replies else OK


def a_driver(
    engine: Engine, sender: Any, written: Written | None = None, clock: Callable[[], float] | None = None
) -> SyncDriver:
    turnstile = Turnstile(engine, written or Written(), clock or Clock(), wall)
    return SyncDriver(turnstile, sender, provider="anthropic", retry=Retry())


class Caller(threading.Thread):
    """One call in a thread of its own. `outcome`, or what it raised."""

    def __init__(self, driver: SyncDriver, call: Call) -> None:
        super().__init__(name=call.id, daemon=True)
        self._driver, self._call = driver, call
        self.outcome: Outcome | None = None
        self.raised: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._driver.run(self._call)
        except BaseException as raised:
            self.raised = raised

    def wait(self) -> Outcome | None:
        self.join(PATIENCE_S)
        assert not self.is_alive(), f"{self.name} still waits"
        return self.outcome


def joining(**options: Any) -> Joining:
    return known_for_long(Joining(MemoryStore(), limits=lambda _pool: PLENTY, **options))


def test_a_call_is_admitted_sent_settled_and_recorded() -> None:
    engine, sender, written = an_engine(), Sender(), Written()
    outcome = a_driver(engine, sender, written).run(a_call("c"))
    assert outcome.reply is OK
    assert sender.sent == ["c-1"]
    assert written.outcomes == ["ok"]
    nothing_is_left(engine, written)


def test_a_refused_attempt_is_sent_again() -> None:
    engine, sender, written = an_engine(()), Sender(AGAIN, AGAIN), Written()
    outcome = a_driver(engine, sender, written).run(a_call("c"))
    assert outcome.reply is OK
    assert sender.sent == ["c-1", "c-2", "c-3"]
    nothing_is_left(engine, written)


def test_fifty_threads_share_one_line_in_the_order_they_came() -> None:
    engine, gate, written = joining(most_in_flight=1), threading.Event(), Written()
    sender = Sender(gate=gate)
    driver = a_driver(engine, sender, written)
    callers = []
    for number in range(50):
        callers.append(Caller(driver, a_call(f"{number}")))
        assert engine.joined.acquire(timeout=PATIENCE_S)
        if number == 0:
            assert sender.started.wait(PATIENCE_S)
    gate.set()
    outcomes = [caller.wait() for caller in callers]
    assert all(outcome is not None and outcome.reply is OK for outcome in outcomes)
    assert sender.sent == [f"{number}-1" for number in range(50)]
    assert sender.most_active == 1
    nothing_is_left(engine, written)


def test_many_threads_are_never_more_in_flight_than_allowed_and_all_get_there() -> None:
    engine, sender, written = an_engine(most_in_flight=4), Sender(), Written()
    driver = a_driver(engine, sender, written)
    barrier = threading.Barrier(25)
    outcomes: list[Outcome] = []

    def work(name: int) -> None:
        barrier.wait(PATIENCE_S)
        outcomes.extend(driver.run(a_call(f"{name}.{number}", tenant=f"t{name % 3}")) for number in range(8))

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert len(outcomes) == len(set(sender.sent)) == 200
    assert all(outcome.reply is OK for outcome in outcomes)
    assert sender.most_active <= 4
    assert engine.pools[POOL].used[Unit.REQUESTS] == 200.0
    nothing_is_left(engine, written)


def test_the_head_of_the_first_reply_lets_others_go_while_it_still_runs() -> None:
    """Limits nobody told: the second call waits for the head of the first reply, not for its end."""
    engine, second_waits, end = Joining(MemoryStore()), threading.Event(), threading.Event()

    class Streaming:
        def send(self, ticket: Ticket, watch: Watch) -> Reply:
            if ticket.call.id == "1":
                assert second_waits.wait(PATIENCE_S)
                watch.headed(shown(), ok=True)
                watch.produced(40.0)
                assert end.wait(PATIENCE_S)
            else:
                end.set()
            return OK

    driver, callers = a_driver(engine, Streaming()), []
    for name in "12":
        callers.append(Caller(driver, a_call(name, stream=True)))
        assert engine.joined.acquire(timeout=PATIENCE_S)
    second_waits.set()
    assert all(caller.wait() is not None for caller in callers)
    nothing_is_left(engine)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_a_call_interrupted_while_sending_is_settled_by_estimate_once_and_raises_on(
    error: type[BaseException],
) -> None:
    class Interrupted:
        def send(self, ticket: Ticket, watch: Watch) -> Reply:
            raise error

    engine, written = an_engine(), Written()
    with pytest.raises(error):
        a_driver(engine, Interrupted(), written).run(a_call())
    assert written.outcomes == ["cancelled"]
    assert written.closed[0].estimated
    assert engine.pools[POOL].used[Unit.INPUT_TOKENS] == pytest.approx(100.0)
    nothing_is_left(engine, written)


def interrupted_in_line(
    engine: Joining, sender: Sender, written: Written, when: Callable[[], bool]
) -> Caller:
    """A second caller, interrupted at its first look at the clock outside of the lock after a pump, once `when` says so."""
    armed = threading.local()
    clock = Clock()

    def pumped() -> None:
        armed.yes = threading.current_thread().name == "interrupted"

    def look() -> float:
        if getattr(armed, "yes", False) and when():
            armed.yes = False
            raise KeyboardInterrupt
        armed.yes = False
        return clock()

    engine.pumped = pumped
    driver = a_driver(engine, sender, written, look)
    first = Caller(driver, a_call("first"))
    assert engine.joined.acquire(timeout=PATIENCE_S)
    assert sender.started.wait(PATIENCE_S)
    second = Caller(driver, a_call("interrupted"))
    second.join(PATIENCE_S)
    assert not second.is_alive()
    last = Caller(driver, a_call("last"))
    assert sender.gate is not None
    sender.gate.set()
    assert first.wait() is not None
    assert last.wait() is not None
    return second


def test_a_call_interrupted_in_line_leaves_it_and_the_next_one_goes() -> None:
    engine, sender, written = joining(most_in_flight=1), Sender(gate=threading.Event()), Written()
    interrupted = interrupted_in_line(engine, sender, written, lambda: True)
    assert isinstance(interrupted.raised, KeyboardInterrupt)
    assert sender.sent == ["first-1", "last-1"]
    nothing_is_left(engine, written)


def test_a_call_that_cannot_go_in_time_is_refused_at_once_with_numbers() -> None:
    engine, sender, written = an_engine(), Sender(REFUSED), Written()
    driver = a_driver(engine, sender, written)
    driver.run(a_call("first", max_wait_s=5.0))
    outcome = driver.run(a_call("second", max_wait_s=5.0))
    assert isinstance(outcome.error, WouldWaitTooLong)
    assert outcome.error.wait_s == pytest.approx(100.0, abs=5.0)
    assert sender.sent == ["first-1"]
    nothing_is_left(engine, written)


def test_a_call_whose_time_is_up_in_line_is_refused_although_nothing_else_happens() -> None:
    """On the clock of the machine, because the driver sleeps on it: for ten milliseconds, and for ever if it were broken."""
    engine, sender = an_engine(most_in_flight=1), Sender(gate=threading.Event())
    driver = a_driver(engine, sender, clock=time.monotonic)
    first = Caller(driver, a_call("first"))
    assert sender.started.wait(PATIENCE_S)
    outcome = driver.run(a_call("second", max_wait_s=0.01))
    assert isinstance(outcome.error, WouldWaitTooLong)
    assert sender.gate is not None
    sender.gate.set()
    assert first.wait() is not None
    nothing_is_left(engine)


def test_a_call_behind_the_head_whose_time_is_up_is_refused_although_nothing_else_happens() -> None:
    engine, sender = joining(most_in_flight=1), Sender(gate=threading.Event())
    driver = a_driver(engine, sender, clock=time.monotonic)
    callers = [Caller(driver, a_call("first"))]
    assert sender.started.wait(PATIENCE_S)
    assert engine.joined.acquire(timeout=PATIENCE_S)
    callers.append(Caller(driver, a_call("patient")))
    assert engine.joined.acquire(timeout=PATIENCE_S)
    outcome = Caller(driver, a_call("hasty", max_wait_s=0.01)).wait()
    assert outcome is not None
    assert isinstance(outcome.error, WouldWaitTooLong)
    assert sender.gate is not None
    sender.gate.set()
    assert all(caller.wait() is not None for caller in callers)
    nothing_is_left(engine)
