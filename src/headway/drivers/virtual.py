"""Runs flows in virtual time: the same engine, a world that is simulated, no waiting.

The planner answers with it, and the properties of the engine are tested with it. Nothing here reads a clock. As at every
door, a call that need not wait does not stand in line first.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random
from typing import Any, Protocol, assert_never

from msgspec import Struct

from headway.core.call import Call, Reading
from headway.core.engine import Engine
from headway.core.flow import Flow, flow
from headway.core.line import Place
from headway.core.ports import Entry, OpenEntry
from headway.core.retry import Retry
from headway.core.steps import Admit, Answer, Outcome, Pause, Record, Reply, Send, Sent, Settle, Step, Ticket
from headway.errors import HeadwayError


class Headed(Struct, frozen=True):
    """The head of a reply comes in."""

    readings: Sequence[Reading]
    ok: bool


class Produced(Struct, frozen=True):
    """So many tokens have come in so far."""

    tokens: float


class Done(Struct, frozen=True):
    """The reply is whole, or will not come."""

    reply: Reply


class Whole(Struct, frozen=True):
    """Head and reply come in together, from an API that is asked for whole replies."""

    readings: Sequence[Reading]
    reply: Reply


Event = Headed | Produced | Done | Whole


class World(Protocol):
    """A simulated provider and the network to it. Times are virtual seconds."""

    def delay(self, ticket: Ticket) -> float:
        """Seconds until the request arrives."""

    def arrive(self, ticket: Ticket, now: float) -> Sequence[tuple[float, Event]]:
        """What happens to a request that arrives now: events, each so many seconds from now. The last is `Done`
        or `Whole`."""


class Agenda:
    """What happens when, in virtual time: `now`, in seconds, goes from one thing to the next."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()

    def at(self, when: float, act: Callable[..., None], *arguments: Any) -> None:
        """Call `act` when it is `when`; at once if that is over, in the order in which it was asked for."""
        now = self.now
        heapq.heappush(self._events, (when if when > now else now, next(self._order), act, arguments))

    def play(self, until: float = float("inf")) -> None:
        """Let happen what happens until then."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, act, arguments = heapq.heappop(events)
            act(*arguments)


class VirtualDriver(Agenda):
    """Runs calls through `engine` against `world`. `supply` yields the next call when the line has room for one.

    `ended` is told of each call that is over; without it `outcomes` keeps them all. `epoch_ns` is the wall time (ns since
    1970 UTC) at which virtual time is 0.
    """

    def __init__(
        self,
        engine: Engine,
        world: World,
        *,
        retry: Retry | None = None,
        seed: int = 0,
        record: Callable[[OpenEntry | Entry], None] | None = None,
        ended: Callable[[Outcome], None] | None = None,
        epoch_ns: int = 0,
    ) -> None:
        super().__init__()
        self.engine = engine
        self.world = world
        self.last_admitted_at = 0.0
        self.outcomes: list[Outcome] = []
        self._retry = retry or Retry()
        self._random = Random(seed)
        self._record = record
        self._ended = self.outcomes.append if ended is None else ended
        self._epoch_ns = epoch_ns
        self._waiting: dict[int, tuple[Place, Flow]] = {}
        self._asking: dict[str, float] = {}
        self._supply: Iterator[Call] | None = None
        self._lookahead = 2

    def run(
        self, supply: Iterator[Call], *, lookahead: int = 2, until: float = float("inf")
    ) -> list[Outcome]:
        """Run all of `supply`, keeping `lookahead` calls in line; returns the outcomes in order of their end."""
        self._supply, self._lookahead = supply, lookahead
        self._refill()
        self.play(until)
        return self.outcomes

    def start(self, call: Call, at: float | None = None) -> None:
        """Run one call, from `at` on (default: now)."""
        self.at(self.now if at is None else at, self.begin, call)

    def begin(self, call: Call) -> None:
        """Run one call, from this very moment on."""
        self._step(flow(call, self._retry, "virtual"), None)

    def cancel(self, call_id: str) -> bool:
        """Take a waiting call out of the line, as a caller who hangs up does."""
        for key, (place, running) in self._waiting.items():
            if place.call.id == call_id and self.engine.leave(place):
                del self._waiting[key]
                running.close()
                self._pump(place.call.identity.pool or "")
                return True
        return False

    @property
    def waiting(self) -> int:
        """Calls in line."""
        return len(self._waiting)

    def _at_ns(self) -> int:
        return self._epoch_ns + int(self.now * 1e9)

    def _refill(self) -> None:
        while self._supply is not None and len(self._waiting) < self._lookahead:
            call = next(self._supply, None)
            if call is None:
                self._supply = None
                return
            self.begin(call)

    def _step(self, running: Flow, answer: Answer) -> None:
        """Advance a flow until it waits for something."""
        while True:
            try:
                step: Step = running.send(answer)
            except StopIteration as stop:
                self._ended(stop.value)
                if self._supply is not None:
                    self._refill()
                return
            answer = None
            # A million times a replay: isinstance, the commonest first, takes half as long as match.
            if isinstance(step, Record):
                if self._record is not None:
                    self._record(step.entry)
            elif isinstance(step, Admit):
                answer = self.engine.enter(step.call, step.number, self.now, self._at_ns())
                if answer is None:
                    self._join(step.call, step.number, running)
                    return
                self.last_admitted_at = self.now
            elif isinstance(step, Send):
                self._send(step.ticket, running)
                return
            elif isinstance(step, Settle):
                self.engine.settle(step.ticket, step.reply, step.usage, step.estimated, self.now)
                for name, pool in self.engine.pools.items():
                    if pool.line.size:
                        self._pump(name)  # a place in flight or money came free, for calls of any pool
            elif isinstance(step, Pause):
                self.at(self.now + step.seconds + self.engine.retries.spend(), self._step, running, None)
                return
            else:
                assert_never(step)

    def _send(self, ticket: Ticket, running: Flow) -> None:
        delay = self.world.delay(ticket)
        if delay > 0.0:
            self.at(self.now + delay, self._arrive, ticket, running)
        else:
            self._arrive(ticket, running)

    def _join(self, call: Call, number: int, running: Flow) -> None:
        name = call.identity.pool or ""
        place = self.engine.join(call, number, self.now)
        self._waiting[id(place)] = (place, running)
        self._pump(name)

    def _arrive(self, ticket: Ticket, running: Flow) -> None:
        now, events = self.now, self._events
        for delay, event in self.world.arrive(ticket, now):
            heapq.heappush(events, (now + delay, next(self._order), self._happen, (ticket, running, event)))

    def _happen(self, ticket: Ticket, running: Flow, event: Event) -> None:
        if isinstance(event, Whole):
            self._headed(ticket, event.readings, ok=event.reply.problem is None)
            self._step(running, Sent(event.reply, self.now, self._random.random()))
        elif isinstance(event, Done):
            self._step(running, Sent(event.reply, self.now, self._random.random()))
        elif isinstance(event, Headed):
            self._headed(ticket, event.readings, ok=event.ok)
        elif isinstance(event, Produced):
            self.engine.produced(ticket, event.tokens, self.now)
        else:
            assert_never(event)

    def _headed(self, ticket: Ticket, readings: Sequence[Reading], *, ok: bool) -> None:
        self.engine.headed(ticket, readings, self.now, ok=ok)
        name = ticket.call.identity.pool or ""
        if self.engine.pools[name].line.size:
            self._pump(name)

    def _pump(self, pool: str) -> None:
        pumped = self.engine.pump(pool, self.now, self._at_ns())
        if pumped.ask_again_s is not None:
            self._ask_again(pool, self.now + pumped.ask_again_s)
        answers: list[tuple[Place, Ticket | HeadwayError]] = [*pumped.admitted, *pumped.refused]
        if pumped.admitted:
            self.last_admitted_at = self.now
        for place, answer in answers:
            _, running = self._waiting.pop(id(place))
            self.at(self.now, self._step, running, answer)
        if answers and self._supply is not None:
            self.at(self.now, self._refill)

    def _ask_again(self, pool: str, when: float) -> None:
        asked = self._asking.get(pool)
        if asked is not None and self.now < asked <= when:
            return
        self._asking[pool] = when
        self.at(when, self._ask, pool, when)

    def _ask(self, pool: str, when: float) -> None:
        if self._asking.get(pool) == when:
            del self._asking[pool]
            self._pump(pool)
