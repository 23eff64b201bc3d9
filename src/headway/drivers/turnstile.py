"""Where callers wait for their turn, and every step is done that never waits: what the thread and the anyio driver share.

A slot is one caller's wait. Whoever changes the state of the engine pumps the pool, under the lock, and hands answers to
the slots of those who go or are refused; each slot's event is set once it has one. Only the head of the line also sleeps
by the clock (`wake_at`); all others sleep until somebody hands them something, so waiting costs nothing.

Threads and event loops may share one turnstile. News is told outside the lock, in the thread of whoever caused it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol, TypeVar

from headway.core.call import Call, Fault, Reading, Usage
from headway.core.engine import Engine
from headway.core.events import Admitted, Event, Refused, Settled, Waiting
from headway.core.flow import Flow
from headway.core.line import Place
from headway.core.ports import Ledger, OpenEntry
from headway.core.steps import Record, Reply, Sent, Settle, Step, Ticket
from headway.errors import BudgetExceeded, HeadwayError, RequestTooLarge, WouldWaitTooLong

_NEVER_SENT = Reply(status=None, headers={}, sent=False)
_log = logging.getLogger("headway")
T = TypeVar("T")


class Bell(Protocol):
    """What a waiting caller sleeps on. Set from any thread."""

    def set(self) -> bool:
        """Wake it. False: nobody is there any more."""

    def is_lost(self) -> bool:
        """Whether nobody can hear it any more, as when an event loop was closed on its tasks."""


class Slot:
    """One caller's wait. `answer` is the ticket, or the error that refused it; None: still waiting, at `place`."""

    __slots__ = ("answer", "bell", "call", "place", "wake_at")

    def __init__(self, call: Call, bell: Bell, answer: Ticket | None) -> None:
        self.call = call
        self.bell = bell
        self.answer: Ticket | HeadwayError | None = answer
        self.place: Place | None = None
        self.wake_at: float | None = None


class Turnstile:
    """Guards an engine. `clock` is monotonic seconds, `wall` nanoseconds since 1970 UTC, `tell` wants to know the news."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        clock: Callable[[], float],
        wall: Callable[[], int],
        tell: Callable[[Event], None] | None = None,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.tell = tell
        self._ledger = ledger
        self._lock = Lock()
        self._wall = wall
        self._slots: dict[int, Slot] = {}
        self._late: deque[Callable[[], None]] = deque()
        self._held: set[Flow] = set()

    def join(self, call: Call, number: int, bell: Bell) -> Slot:
        """Go, if that can be at once; else stand in line."""
        with self._lock:
            now = self.clock()
            slot = Slot(call, bell, self.engine.enter(call, number, now, self._wall()))
            waiting = self._join(slot, number, now) if slot.answer is None else None
        self._catch_up()
        if waiting is not None:
            self._say(waiting)
        return slot

    def _join(self, slot: Slot, number: int, now: float) -> Waiting | None:
        slot.place = self.engine.join(slot.call, number, now)
        self._slots[id(slot.place)] = slot
        name = slot.call.identity.pool or ""
        self._pump(name, now)
        if self.tell is None or slot.answer is not None:
            return None
        pool = self.engine.pools[name]
        wait_s = max(pool.clears_at - self.clock(), 0.0)
        return Waiting(slot.call, pool.waits_for, pool.level, wait_s, len(pool.line) - 1)

    def ask(self, slot: Slot) -> None:
        """The head's time has come: look again."""
        with self._lock:
            if slot.answer is None:
                self._pump(slot.call.identity.pool or "")
        self._catch_up()

    def leave(self, slot: Slot) -> None:
        """The caller is gone. What it may have been given meanwhile is given back, as never sent."""
        with self._lock:
            self._slots.pop(id(slot.place), None)
            if isinstance(slot.answer, Ticket):
                self.engine.settle(slot.answer, _NEVER_SENT, Usage(), False, self.clock())
            elif slot.place is not None:
                self.engine.leave(slot.place)
            self._pump_all()
        self._catch_up()

    def received(self, slot: Slot) -> Ticket | HeadwayError:
        """The caller has its answer."""
        answer, call = slot.answer, slot.call
        assert answer is not None
        if self.tell is None:
            return answer
        if isinstance(answer, Ticket):
            self._say(
                Admitted(call, answer.number, answer.queued_s, answer.input_tokens, answer.output_tokens)
            )
        else:
            self.refused(call, answer)
        return answer

    def refused(self, call: Call, error: HeadwayError) -> None:
        """A call ends before it was sent."""
        if self.tell is None:
            return
        match error:
            case WouldWaitTooLong():
                news = Refused(call, "headway", error.limit, error.level, error.wait_s)
            case BudgetExceeded():
                news = Refused(call, "headway", error.budget, error.cap - error.used, None)
            case RequestTooLarge():
                news = Refused(call, "headway", error.what, float(error.most), None)
            case _:
                news = Refused(call, "headway", "", None, None)
        self._say(news)

    def act(self, step: Settle | Record) -> None:
        """Do a step that never waits."""
        match step:
            case Settle():
                with self._lock:
                    cost = self.engine.settle(
                        step.ticket, step.reply, step.usage, step.estimated, self.clock()
                    )
                    self._pump_all()
                if self.tell is not None:
                    self._tell_settled(step, cost)
                self._catch_up()
            case Record():
                if isinstance(step.entry, OpenEntry):
                    self._ledger.open(step.entry)
                else:
                    self._ledger.close(step.entry)

    def hold(self, running: Flow) -> None:
        """Keep a flow until `release`, `wind_up` or `finish`. Whoever runs or reads it may become garbage, and the collector
        would then end the flow, perhaps before anyone could let it settle."""
        self._held.add(running)

    def release(self, running: Flow) -> None:
        """Its driver goes on with it."""
        self._held.discard(running)

    def wind_up(self, running: Flow, error: BaseException) -> None:
        """Cancelled while sending: let the flow settle and record, and end it. The caller raises `error` on."""
        self._held.discard(running)
        try:
            step: Step = running.throw(error)
            while True:
                assert isinstance(step, Settle | Record)
                self.act(step)
                step = running.send(None)
        except BaseException as ended:
            if ended is not error:
                raise

    def finish(self, running: Flow, reply: Reply) -> None:
        """A reply that its caller read has ended: let the flow settle and record, and end it."""
        self._held.discard(running)
        try:
            step: Step = running.send(Sent(reply, self.clock(), 0.0))
            while True:
                assert isinstance(step, Settle | Record)
                self.act(step)
                step = running.send(None)
        except StopIteration:
            pass

    def headed(self, ticket: Ticket, readings: Sequence[Reading], *, ok: bool) -> None:
        """The head of a reply is in: correct the meters, and let go who can."""
        with self._lock:
            self.engine.headed(ticket, readings, self.clock(), ok=ok)
            self._pump_if_any(ticket.call.identity.pool or "")
        if self.tell is not None:
            self._tell_notices()

    def began(self, ticket: Ticket) -> None:
        """The first of a streamed reply is in: what it wrote to the prompt cache can be read by those who wait for it."""
        with self._lock:
            self.engine.began(ticket, self.clock())
            self._pump_if_any(ticket.call.identity.pool or "")

    def produced(self, ticket: Ticket, tokens: float) -> None:
        """A reply has grown to `tokens` of output, by our own count."""
        with self._lock:
            self.engine.produced(ticket, tokens, self.clock())
        self._catch_up()

    def look(self, at: Callable[[], T]) -> T:
        """Read something of the engine while nobody changes it."""
        with self._lock:
            seen = at()
        self._catch_up()
        return seen

    def put_off(self) -> float:
        """A retry is wanted: by how many seconds more it must wait, so that an outage is not answered with load."""
        with self._lock:
            wait_s = self.engine.retries.spend()
        self._catch_up()
        return wait_s

    def retire(self, ledger: Ledger) -> None:
        """In a forked child: calls under way are the parent's, who settles and records them. What is left of them here, for
        the child's collector to find, is settled with nobody and recorded in `ledger`, which should keep nothing."""
        self._lock, self._ledger, self.tell = Lock(), ledger, None
        self._late.clear()

    def later(self, action: Callable[[], None]) -> None:
        """Act from a destructor, which may run inside our own lock: at once if that is free, else when it comes free."""
        self._late.append(action)
        self._catch_up()

    def _catch_up(self) -> None:
        """After each use of the lock: do what came up meanwhile in destructors, of this thread or another."""
        while self._late and self._lock.acquire(blocking=False):
            self._lock.release()
            try:
                action = self._late.popleft()
            except IndexError:
                return
            action()

    def _pump_all(self) -> None:
        """A place in flight or money came free, which calls of any pool may have waited for."""
        for name, pool in self.engine.pools.items():
            if pool.line.size:
                self._pump(name)

    def _pump_if_any(self, pool: str) -> None:
        if self.engine.pools[pool].line.size:
            self._pump(pool)

    def _pump(self, pool: str, now: float | None = None) -> None:
        now = self.clock() if now is None else now
        pumped = self.engine.pump(pool, now, self._wall())
        lost = []
        answers: list[tuple[Place, Ticket | HeadwayError]] = [*pumped.admitted, *pumped.refused]
        for place, answer in answers:
            slot = self._slots.pop(id(place))
            slot.answer = answer
            if not slot.bell.set() and isinstance(answer, Ticket):
                lost.append(answer)
        for ticket in lost:
            self.engine.settle(ticket, _NEVER_SENT, Usage(), False, now)
        if lost:
            return self._pump(pool)
        head = self.engine.pools[pool].line.head()
        if head is None or pumped.ask_again_s is None:
            return None
        slot = self._slots[id(head)]
        wake_at = now + pumped.ask_again_s
        is_lost = (
            slot.bell.is_lost()
        )  # then it will not ask when its time has come, and all behind it would wait for ever
        if not is_lost and (slot.wake_at is None or wake_at < slot.wake_at - 1e-4):
            slot.wake_at = wake_at
            is_lost = not slot.bell.set()
        if is_lost:
            del self._slots[id(head)]
            self.engine.leave(head)
            return self._pump(pool)
        return None

    def _tell_settled(self, step: Settle, cost: int | None) -> None:
        ticket, reply = step.ticket, step.reply
        problem = reply.problem
        if problem is not None and problem.fault in (Fault.RATE_LIMITED, Fault.RAMP_LIMITED):
            limit = problem.unit.value if problem.unit else problem.error_type
            self._say(Refused(ticket.call, "provider", limit, None, problem.retry_after_s))
        self._say(
            Settled(
                ticket.call,
                ticket.number,
                step.outcome,
                reply.status,
                problem,
                step.usage,
                step.estimated,
                cost,
                ticket.queued_s,
                reply.first_token_s,
                reply.total_s,
                ticket.at_ns,
            )
        )
        self._tell_notices()

    def _tell_notices(self) -> None:
        notices = self.engine.notices
        while notices:
            try:
                self._say(notices.pop(0))
            except IndexError:
                return

    def _say(self, news: Event) -> None:
        """Tell the news. Who cannot take it must not harm the call."""
        assert self.tell is not None
        try:
            self.tell(news)
        except Exception:
            _log.exception("a hook for %s raised", type(news).__name__)


class Watch:
    """What a sender tells while a reply comes in. A sender that returns None has handed the reply to its caller to read:
    then exactly one of `finish` and `break_off` ends the call, whichever is first."""

    __slots__ = ("_life", "_ticket", "_turnstile")

    def __init__(self, turnstile: Turnstile, ticket: Ticket, running: Flow) -> None:
        self._ticket = ticket
        self._turnstile = turnstile
        self._life = [running]  # taken out by whoever ends it: popping is atomic

    @property
    def is_over(self) -> bool:
        """Whether the call has been ended."""
        return not self._life

    def headed(self, readings: Sequence[Reading], *, ok: bool) -> None:
        """The head is in; `ok`: the call was admitted."""
        self._turnstile.headed(self._ticket, readings, ok=ok)

    def began(self) -> None:
        """The first of a streamed reply is in."""
        self._turnstile.began(self._ticket)

    def produced(self, tokens: float) -> None:
        """So many output tokens have come so far, by our own count."""
        self._turnstile.produced(self._ticket, tokens)

    def finish(self, reply: Reply) -> None:
        """The caller has read its reply, or will read no more of it. A second time does nothing."""
        try:
            running = self._life.pop()
        except IndexError:
            return
        self._turnstile.finish(running, reply)

    def drop(self, reply: Reply) -> None:
        """`finish`, where a destructor may be the caller: never waits for the lock, which this very thread may hold."""
        if self._life:
            self._turnstile.later(lambda: self.finish(reply))
