"""Where callers wait for their turn, and every step is done that never waits: what the thread and the anyio driver share.

A slot is one caller's wait. Whoever changes the state of the engine pumps the pool, under the lock, and hands answers to
the slots of those who go or are refused; each slot's event is set once it has one. Only the head of the line also sleeps
by the clock (`wake_at`); all others sleep until somebody hands them something, so waiting costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol

from headway.core.call import Call, Reading, Usage
from headway.core.engine import Engine
from headway.core.flow import Flow
from headway.core.line import Place
from headway.core.ports import Entry, Ledger, OpenEntry
from headway.core.steps import Record, Reply, Settle, Step, Ticket
from headway.errors import HeadwayError

_NEVER_SENT = Reply(status=None, headers={}, sent=False)


class Event(Protocol):
    """What a waiting caller sleeps on."""

    def set(self) -> object:
        """Wake it."""


class Slot:
    """One caller's wait. `answer` is the ticket, or the error that refused it; None: still waiting."""

    __slots__ = ("answer", "event", "place", "wake_at")

    def __init__(self, place: Place, event: Event) -> None:
        self.place = place
        self.event = event
        self.answer: Ticket | HeadwayError | None = None
        self.wake_at: float | None = None


class Turnstile:
    """Guards an engine. `clock` is monotonic seconds, `wall` nanoseconds since 1970 UTC."""

    def __init__(
        self, engine: Engine, ledger: Ledger, clock: Callable[[], float], wall: Callable[[], int]
    ) -> None:
        self.engine = engine
        self.clock = clock
        self._ledger = ledger
        self._lock = Lock()
        self._wall = wall
        self._slots: dict[int, Slot] = {}

    def join(self, call: Call, number: int, event: Event) -> Slot:
        """Stand in line."""
        with self._lock:
            place = self.engine.join(call, number, self.clock())
            slot = self._slots[id(place)] = Slot(place, event)
            self._pump(place.call.identity.pool or "")
        return slot

    def ask(self, slot: Slot) -> None:
        """The head's time has come: look again."""
        with self._lock:
            if slot.answer is None:
                self._pump(slot.place.call.identity.pool or "")

    def leave(self, slot: Slot) -> None:
        """The caller is gone. What it may have been given meanwhile is given back, as never sent."""
        with self._lock:
            self._slots.pop(id(slot.place), None)
            if isinstance(slot.answer, Ticket):
                now = self.clock()
                self.engine.settle(slot.answer, _NEVER_SENT, Usage(), False, now)
            elif slot.answer is None:
                self.engine.leave(slot.place)
            self._pump_all()

    def act(self, step: Settle | Record) -> None:
        """Do a step that never waits."""
        match step:
            case Settle(ticket, reply, usage, estimated):
                with self._lock:
                    self.engine.settle(ticket, reply, usage, estimated, self.clock())
                    self._pump_all()
            case Record(OpenEntry() as opened):
                self._ledger.open(opened)
            case Record(Entry() as entry):
                self._ledger.close(entry)

    def wind_up(self, running: Flow, error: BaseException) -> None:
        """Cancelled while sending: let the flow settle and record, and end it. The caller raises `error` on."""
        try:
            step: Step = running.throw(error)
            while True:
                assert isinstance(step, Settle | Record)
                self.act(step)
                step = running.send(None)
        except BaseException as ended:
            if ended is not error:
                raise

    def headed(self, ticket: Ticket, readings: Sequence[Reading], *, ok: bool) -> None:
        """The head of a reply is in: correct the meters, and let go who can."""
        with self._lock:
            self.engine.headed(ticket, readings, self.clock(), ok=ok)
            self._pump(ticket.call.identity.pool or "")

    def produced(self, ticket: Ticket, tokens: float) -> None:
        """A reply has grown to `tokens` of output, by our own count."""
        with self._lock:
            self.engine.produced(ticket, tokens, self.clock())

    def _pump_all(self) -> None:
        """A place in flight or money came free, which calls of any pool may have waited for."""
        for name, pool in self.engine.pools.items():
            if len(pool.line):
                self._pump(name)

    def _pump(self, pool: str) -> None:
        now = self.clock()
        pumped = self.engine.pump(pool, now, self._wall())
        answers: list[tuple[Place, Ticket | HeadwayError]] = [*pumped.admitted, *pumped.refused]
        for place, answer in answers:
            slot = self._slots.pop(id(place))
            slot.answer = answer
            slot.event.set()
        head = self.engine.pools[pool].line.head()
        if head is None or pumped.ask_again_s is None:
            return
        slot = self._slots[id(head)]
        wake_at = now + pumped.ask_again_s
        if slot.wake_at is None or wake_at < slot.wake_at - 1e-4:
            slot.wake_at = wake_at
            slot.event.set()


class Watch:
    """What a sender tells while a reply comes in."""

    __slots__ = ("_ticket", "_turnstile")

    def __init__(self, turnstile: Turnstile, ticket: Ticket) -> None:
        self._turnstile = turnstile
        self._ticket = ticket

    def headed(self, readings: Sequence[Reading], *, ok: bool) -> None:
        """The head is in; `ok`: the call was admitted."""
        self._turnstile.headed(self._ticket, readings, ok=ok)

    def produced(self, tokens: float) -> None:
        """So many output tokens have come so far, by our own count."""
        self._turnstile.produced(self._ticket, tokens)
