"""The engine: lines, meters, ceilings, forecasts and budget put together. It decides; drivers wait and send.

A driver calls it under one lock: `join` a call, `pump` the pool (which tells who goes now, who is refused, and when to
ask again), report what the reply shows (`headed`, `produced`), `settle`, and pump again. Nothing here waits or sends.
Times named `now` are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from headway.core.books import Books
from headway.core.bucket import Lesson
from headway.core.budget import Budget
from headway.core.call import Call, Fault, Reading, Unit, Usage
from headway.core.ceiling import Ceiling
from headway.core.events import BudgetLow, LimitLearnt
from headway.core.gate import Gate
from headway.core.limit import Limit
from headway.core.line import Place, place_of
from headway.core.pool import WARMING, Pool, held_by
from headway.core.ports import Level, Store
from headway.core.refusal import INFINITY, limit_behind, too_long
from headway.core.running import PROGRESS_TOKENS, Running, used_by
from headway.core.steps import Reply, Ticket
from headway.core.totals import Total
from headway.errors import HeadwayError

NEWS_KEPT = 1000  # notices that nobody has fetched


class Pumped(Struct, frozen=True):
    """Who goes now, who is refused and why, and in how many seconds to ask again (None: when something changes)."""

    admitted: tuple[tuple[Place, Ticket], ...] = ()
    refused: tuple[tuple[Place, HeadwayError], ...] = ()
    ask_again_s: float | None = None


_NOBODY = Pumped()


class Engine:
    """`limits` says what is known of a pool's limits from the start (nothing: learnt from the first reply; until then calls
    go at the pace of what is `assumed`, or one alone), `lessons` what an earlier run was taught about its buckets.

    Nanodollars: `price` says what a call with so many input tokens costs at most, for the budget; `cost` what an attempt
    did cost, at `at_ns` (None: not known, then it counts as what it held); `expect` what a call of so many input and
    output tokens will cost, for the budgets that calls name (None: of unknown price).
    """

    def __init__(
        self,
        store: Store,
        *,
        limits: Callable[[str], Sequence[Limit]] = lambda _pool: (),
        assumed: Callable[[str], Sequence[Limit]] = lambda _pool: (),
        lessons: Callable[[str], Mapping[Unit, Lesson]] = lambda _pool: {},
        most_in_flight: int | None = None,
        budget: Budget | None = None,
        price: Callable[[Call, float], int] | None = None,
        cost: Callable[[Usage, int], int | None] | None = None,
        expect: Callable[[Call, float, float], int | None] | None = None,
        cache_is_free: Callable[[str], bool] = lambda _model: True,
    ) -> None:
        self.store = store
        self.budget = budget
        self.books = Books(budget, price, cost, expect)
        gate = self._gate = Gate(store, self.books, budget, most_in_flight, cache_is_free)
        self.forecast, self.prefixes, self.retries = gate.forecast, gate.prefixes, gate.retries
        self._running = gate.running
        self.pools: dict[str, Pool] = {}
        self._limits = limits
        self._assumed = assumed
        self.lessons = lessons
        self._most = most_in_flight
        self.notices: list[LimitLearnt | BudgetLow] = []

    @property
    def in_flight(self) -> int:
        """Calls admitted and not yet settled, over all pools."""
        return len(self._running)

    def pool(self, name: str, now: float) -> Pool:
        """The pool of that name, made at first sight."""
        pool = self.pools.get(name)
        if pool is None:
            pool = self.pools[name] = Pool(name, Ceiling(self._most))
            self.store.teach(name, self.lessons(name))
            known = self._limits(name)
            if known:
                self.store.set_limits(name, known, now)
                pool.limits = self.store.limits(name)
                pool.ceiling.adaptive = None
                pool.taught = True
            else:
                pool.assumed = tuple(self._assumed(name))
        return pool

    def join(self, call: Call, number: int, now: float) -> Place:
        """Stand in line. The place is the driver's handle for `leave`, and comes back from `pump`."""
        assert call.identity.pool is not None
        pool = self.pool(call.identity.pool, now)
        if call.caps and number == 1:
            self.books.caps.see(call)
        place = place_of(call, number, now)
        if not pool.line.size:
            pool.look(now)  # until now nobody stood in line, perhaps for hours
        pool.line.join(place)
        if call.caps or (place.give_up_at is not None and place.ahead):
            pool.newcomers.append(place)
        return place

    def enter(self, call: Call, number: int, now: float, at_ns: int) -> Ticket | None:
        """Go at once, as most calls can: nobody stands in line, and it fits. None: it has to `join`."""
        assert call.identity.pool is not None
        pool = self.pool(call.identity.pool, now)
        if pool.line.size or call.estimate.prefix:
            return None
        self.books.caps.at_ns = at_ns
        if call.caps and number == 1:
            self.books.caps.see(call)
        place = place_of(call, number, now)
        if place.give_up_at is not None and place.give_up_at < now:
            return None
        went = self._gate.admit(pool, place, now, at_ns, stands=False)
        if not isinstance(went, Running):
            return None
        pool.serve(went.charged, place)
        pool.waits_for = ""
        return went.ticket

    def leave(self, place: Place) -> bool:
        """Step out of line before one's turn; False if it has been served already."""
        assert place.call.identity.pool is not None
        return self.pools[place.call.identity.pool].line.leave(place)

    def pump(self, name: str, now: float, at_ns: int) -> Pumped:
        """Let calls of this pool go, from the head, as long as the meters allow."""
        pool = self.pool(name, now)
        line = pool.line
        pool.look(now)
        self.books.caps.at_ns = at_ns
        if not line.size:
            pool.waits_for = ""
            pool.newcomers.clear()
            return _NOBODY
        admitted: list[tuple[Place, Ticket]] = []
        refused: list[tuple[Place, HeadwayError]] = []
        if line.has_ends:
            refused += pool.refuse(line.overdue(now), now)
        if line.has_aside:
            line.bring_back_late(now)
        wait_s = self._serve(pool, now, at_ns, admitted, refused)
        if pool.newcomers and self._refuse_hopeless(pool, refused, now):
            wait_s = self._serve(pool, now, at_ns, admitted, refused)
        if line.has_ends:
            refused += pool.refuse(line.overdue(now, at_once=True), now)
        due = line.next_due if line.has_ends or line.has_aside else None
        if due is not None:
            wait_s = min(wait_s, max(due - now, 0.0))
        ask_again = None if wait_s == INFINITY else wait_s
        if not admitted and not refused:
            return Pumped(ask_again_s=ask_again)
        return Pumped(tuple(admitted), tuple(refused), ask_again)

    def _serve(
        self,
        pool: Pool,
        now: float,
        at_ns: int,
        admitted: list[tuple[Place, Ticket]],
        refused: list[tuple[Place, HeadwayError]],
    ) -> float:
        """Serve the line. Returns the seconds until its front may go."""
        line = pool.line
        while (place := line.front()) is not None:
            if place.call.estimate.prefix and self._set_aside(pool, place, now):
                continue
            went = self._gate.admit(pool, place, now, at_ns)
            if isinstance(went, Running):
                pool.serve(went.charged)
                admitted.append((place, went.ticket))
                continue
            error, wait_s = went
            if error is None and place.aside:
                continue
            if error is None:
                return wait_s
            line.leave(place)
            refused.append((place, error))
        pool.waits_for, pool.level, pool.clears_at = pool.reason_aside(), 0.0, now
        return INFINITY

    def _set_aside(self, pool: Pool, place: Place, now: float) -> bool:
        """Whether a call lets others pass until the first with its prefix is answered. Who may not wait does not."""
        until = self.prefixes.held_until(place.call.estimate, now)
        if until is None or (place.give_up_at is not None and place.give_up_at <= now):
            return False
        place.waited_for = WARMING
        pool.line.set_aside(place, place.call.estimate.prefix, until)
        return True

    def _refuse_hopeless(self, pool: Pool, refused: list[tuple[Place, HeadwayError]], now: float) -> bool:
        """Whoever has just joined in vain need not stand in line: a budget is used up, or too many stand before. Whether
        there was any."""
        newcomers, pool.newcomers = pool.newcomers, []
        before = len(refused)
        for place in newcomers:
            if place.is_out:
                continue
            call = place.call
            error: HeadwayError | None = None
            if call.caps and self.books.is_hopeless(call):
                error = self.books.caps.refusal(call, self.books.expected(call, self._gate.needs(call, now)))
            if error is None and place.give_up_at is not None:
                wait_s = pool.least_wait(place, now)
                if now + wait_s > place.give_up_at:
                    error = too_long(pool.waits_for, pool.level, wait_s)
            if error is not None and pool.line.leave(place):
                refused.append((place, error))
        return len(refused) > before

    def headed(self, ticket: Ticket, readings: Sequence[Reading], now: float, *, ok: bool) -> None:
        """The head of the reply is in: what the headers say, and that the call was admitted if `ok`."""
        running = self._running.get(ticket.id)
        if running is None or running.headed:
            return
        running.headed = True
        pool = running.pool
        if not pool.taught and (readings or ok):
            pool.taught = True
        if readings:
            pool.ceiling.adaptive, pool.shown = None, True
        running.readings = readings
        if ok:
            self.store.read(ticket.id, readings, now)
            if not readings:
                self.store.assume(ticket.id)
            self.store.confirm(ticket.id, now)
            if readings:
                for news in pool.learn(self.store.limits(pool.name)):
                    self._tell(news)
            if not ticket.call.stream and not running.began:
                self._began(running, now)

    def began(self, ticket: Ticket, now: float) -> None:
        """The first of the reply is in: whatever the call wrote to the cache can be read."""
        running = self._running.get(ticket.id)
        if running is not None and not running.began:
            self._began(running, now)

    def _began(self, running: Running, now: float) -> None:
        running.began = True
        estimate = running.ticket.call.estimate
        if estimate.prefix:
            for written in (estimate.prefix, *estimate.written):
                self.prefixes.started(written, now)
            self._bring_back(estimate.prefix)

    def _bring_back(self, prefix: str) -> None:
        for pool in self.pools.values():
            pool.line.bring_back(prefix)

    def produced(self, ticket: Ticket, tokens: float, now: float) -> None:
        """A running call has put out `tokens` so far, by our own count. Cheap to call often."""
        running = self._running.get(ticket.id)
        if running is None or tokens - running.produced < PROGRESS_TOKENS:
            return
        if not running.began:
            self._began(running, now)
        running.grow(tokens, self.store, now)

    def settle(self, ticket: Ticket, reply: Reply, usage: Usage, estimated: bool, now: float) -> int | None:
        """The attempt is over: returns its cost in nanodollars, None if not known. A second time does nothing."""
        running = self._running.pop(ticket.id, None)
        if running is None:
            return None
        pool, call, problem = running.pool, ticket.call, reply.problem
        pool.ceiling.leave()
        if problem is None and not estimated:
            running.teach(usage)
        if problem is not None and problem.fault is Fault.RATE_LIMITED:
            pool.ceiling.refused(now, max(reply.total_s, 0.1))
            unit = limit_behind(problem, running.readings)
            self.store.refuse(ticket.id, unit, problem.retry_after_s or 1.0, running.readings, now)
            running.took({})
        else:
            used = used_by(
                usage,
                cache_is_free=not usage.cache_read_tokens or self._gate.cache_is_free(call.identity.model),
                requests=1.0 if reply.sent else 0.0,
            )
            self.store.give_back(ticket.id, used, now)
            running.took(used)
        match problem.fault if problem else None:
            case None if reply.status is not None:
                pool.ceiling.succeeded()
            case Fault.OVERLOADED | Fault.FAILED:
                pool.ceiling.overloaded(now)
            case Fault.RAMP_LIMITED:
                pool.ramp.bite(now)
        if not running.began and call.estimate.prefix:
            self._end_warming(running, succeeded=problem is None and reply.status is not None, now=now)
        accepted = estimated or (reply.status is not None and reply.status < 400)
        cost, low = self.books.settle(running.posting, ticket, reply, usage, accepted=accepted)
        for cap in call.caps:
            self._bring_back(held_by(cap.name))
        for budget, share in low:
            self._tell(BudgetLow(budget.name, budget.unit, budget.spent, budget.cap, share))
        pool.look(now)
        return cost

    def _end_warming(self, running: Running, *, succeeded: bool, now: float) -> None:
        if succeeded:
            self._began(running, now)
            return
        call = running.ticket.call
        if self.prefixes.failed(call.estimate.prefix, call.id):
            self._bring_back(call.estimate.prefix)

    def _tell(self, news: LimitLearnt | BudgetLow) -> None:
        if len(self.notices) >= NEWS_KEPT:
            del self.notices[0]
        self.notices.append(news)

    def usage(self) -> tuple[Total, ...]:
        """What was used so far, by session and model."""
        return self.books.totals.all()

    def levels(self, name: str, now: float) -> tuple[Level, ...]:
        """How full each limit of a pool is."""
        return self.store.levels(name, now)
