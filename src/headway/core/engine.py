"""The engine: lines, meters, ceilings, forecasts and budget put together. It decides; drivers wait and send.

A driver calls it under one lock: `join` a call, `pump` the pool (which tells who goes now, who is refused, and when to
ask again), report what the reply shows (`headed`, `produced`), `settle`, and pump again. Nothing here waits or sends.
Times named `now` are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headway.core.books import Books, Posting, over
from headway.core.bucket import Lesson
from headway.core.budget import Budget
from headway.core.call import Call, Fault, Problem, Reading, Unit, Usage
from headway.core.ceiling import Ceiling
from headway.core.forecast import Forecast, Lengths
from headway.core.limit import Limit
from headway.core.line import Place
from headway.core.meter import Hold
from headway.core.needs import Needs, needs_of
from headway.core.pool import Pool
from headway.core.ports import Level, Store
from headway.core.prefix import Prefixes
from headway.core.retry import RetryBudget
from headway.core.steps import Reply, Ticket
from headway.core.totals import Total
from headway.errors import HeadwayError, WouldWaitTooLong

PROGRESS_TOKENS = 64  # of output, that are told to the meters at once
LOOK_FIRST, LOOK_AGAIN = (
    0.75,
    1.5,
)  # a running call's length is guessed anew at this share of the guess, then so on


@dataclass(frozen=True, slots=True)
class Pumped:
    """Who goes now, who is refused and why, and in how many seconds to ask again (None: when something changes)."""

    admitted: tuple[tuple[Place, Ticket], ...] = ()
    refused: tuple[tuple[Place, HeadwayError], ...] = ()
    ask_again_s: float | None = None


@dataclass(slots=True)
class _Running:
    """A ticket in flight."""

    ticket: Ticket
    pool: Pool
    lengths: Lengths
    holds: dict[Unit, Hold]
    posting: Posting
    headed: bool = False
    readings: Sequence[Reading] = ()
    produced: float = 0.0
    look_at: float = 0.0  # the length at which to guess anew how long it will be


class Engine:
    """`limits` says what is known of a pool's limits from the start (nothing: learnt from the first reply), `lessons` what
    an earlier run was taught about its buckets.

    Nanodollars: `price` says what a call with so many input tokens costs at most, for the budget; `cost` what an attempt
    did cost, at `at_ns` (None: not known, then it counts as what it held); `expect` what a call of so many input and
    output tokens will cost, for the budgets that calls name (None: of unknown price).
    """

    def __init__(
        self,
        store: Store,
        *,
        limits: Callable[[str], Sequence[Limit]] = lambda _pool: (),
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
        self.forecast = Forecast()
        self.prefixes = Prefixes()
        self.retries = RetryBudget()
        self.pools: dict[str, Pool] = {}
        self._limits = limits
        self.lessons = lessons
        self._most = most_in_flight
        self._books = Books(budget, price, cost, expect)
        self._cache_is_free = cache_is_free
        self._running: dict[str, _Running] = {}

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
                pool.ceiling.adaptive = None
                pool.taught = True
        return pool

    def join(self, call: Call, number: int, now: float) -> Place:
        """Stand in line. The place is the driver's handle for `leave`, and comes back from `pump`."""
        assert call.identity.pool is not None
        pool = self.pool(call.identity.pool, now)
        if call.caps and number == 1:
            self._books.caps.see(call)
        waits_until = None if call.max_wait_s is None else now + call.max_wait_s
        ends = [at for at in (call.deadline, waits_until) if at is not None]
        place = Place(call, now, number, min(ends) if ends else None)
        pool.line.join(place)
        if call.caps:
            pool.capped.append(place)
        return place

    def leave(self, place: Place) -> bool:
        """Step out of line before one's turn; False if it has been served already."""
        assert place.call.identity.pool is not None
        return self.pools[place.call.identity.pool].line.leave(place)

    def pump(self, name: str, now: float, at_ns: int) -> Pumped:
        """Let calls of this pool go, from the head, as long as the meters allow."""
        pool = self.pool(name, now)
        pool.look(now)
        admitted: list[tuple[Place, Ticket]] = []
        refused: list[tuple[Place, HeadwayError]] = []
        ask_again: float | None = None
        if pool.capped:
            self._refuse_hopeless(pool, refused, now)
        if pool.line.has_ends:
            self._refuse_overdue(pool, pool.line.overdue(now), refused, now)
        while (place := pool.line.head()) is not None:
            ticket = self._admit(pool, place, now, at_ns)
            if isinstance(ticket, Ticket):
                pool.line.serve(self._cost_of(ticket))
                admitted.append((place, ticket))
                continue
            error, wait_s = ticket
            if error is not None:
                pool.line.leave(place)
                refused.append((place, error))
                continue
            ask_again = None if wait_s == float("inf") else wait_s
            break
        else:
            pool.waits_for = ""
        if pool.line.has_ends:
            self._refuse_overdue(pool, pool.line.overdue(now, at_once=True), refused, now)
            due = pool.line.next_overdue
            if due is not None:
                ask_again = max(due - now, 0.0) if ask_again is None else min(ask_again, max(due - now, 0.0))
        if not admitted and not refused:
            return Pumped(ask_again_s=ask_again)
        return Pumped(tuple(admitted), tuple(refused), ask_again)

    def _refuse_hopeless(self, pool: Pool, refused: list[tuple[Place, HeadwayError]], now: float) -> None:
        """Whoever has just joined and has a budget that is used up need not stand in line for it."""
        capped, pool.capped = pool.capped, []
        for place in capped:
            caps, call = self._books.caps, place.call
            if not caps.is_used_up(call):
                continue
            error = caps.refusal(call, self._books.expected(call, self._needs(call, now)))
            if error is not None and pool.line.leave(place):
                refused.append((place, error))

    def _refuse_overdue(
        self, pool: Pool, late: Sequence[Place], refused: list[tuple[Place, HeadwayError]], now: float
    ) -> None:
        for place in late:
            pool.line.leave(place)
            wait_s = max(pool.clears_at - now, 0.0)
            refused.append((place, _too_long(pool.waits_for or "its turn", pool.level, wait_s)))

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
            pool.ceiling.adaptive = None
        running.readings = readings
        if ok:
            self.store.read(ticket.id, readings, now)
            if not readings:
                self.store.assume(ticket.id)
            self.store.confirm(ticket.id, now)
            self.prefixes.started(ticket.call.estimate.prefix, now)

    def produced(self, ticket: Ticket, tokens: float, now: float) -> None:
        """A running call has put out `tokens` so far, by our own count. Cheap to call often."""
        running = self._running.get(ticket.id)
        if running is None or tokens - running.produced < PROGRESS_TOKENS:
            return
        running.lengths.grow(running.produced, tokens)
        running.produced = tokens
        hold = running.holds[Unit.OUTPUT_TOKENS]
        if tokens > running.look_at:
            running.look_at = LOOK_AGAIN * tokens
            guess = running.lengths.expect(hold.most, tokens)
            hold = running.holds[Unit.OUTPUT_TOKENS] = Hold(guess.mean, guess.variance, hold.most)
        self.store.produce(ticket.id, tokens, hold, now)

    def settle(self, ticket: Ticket, reply: Reply, usage: Usage, estimated: bool, now: float) -> int | None:
        """The attempt is over: returns its cost in nanodollars, None if not known. A second time does nothing."""
        running = self._running.pop(ticket.id, None)
        if running is None:
            return None
        pool, call, problem = running.pool, ticket.call, reply.problem
        pool.ceiling.leave()
        if problem is None and not estimated:
            self._learn(running, usage)
        if problem is not None and problem.fault is Fault.RATE_LIMITED:
            pool.ceiling.refused(now, max(reply.total_s, 0.1))
            unit = _named(problem, running.readings)
            self.store.refuse(ticket.id, unit, problem.retry_after_s or 1.0, running.readings, now)
        else:
            self._give_back(running, usage, now, requests=1.0 if reply.sent else 0.0)
        match problem.fault if problem else None:
            case None if reply.status is not None:
                pool.ceiling.succeeded()
            case Fault.OVERLOADED | Fault.FAILED:
                pool.ceiling.overloaded(now)
            case Fault.RAMP_LIMITED:
                pool.ramp.bite(now)
        if not running.headed or problem is not None:
            self.prefixes.failed(call.estimate.prefix, call.id)
        accepted = estimated or (reply.status is not None and reply.status < 400)
        cost, _ = self._books.settle(running.posting, ticket, reply, usage, accepted=accepted)
        pool.look(now)
        return cost

    def _give_back(self, running: _Running, usage: Usage, now: float, *, requests: float) -> None:
        charged = usage.input_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
        if not self._cache_is_free(running.ticket.call.identity.model):
            charged += usage.cache_read_tokens
        used: dict[Unit, float] = {
            Unit.REQUESTS: requests,
            Unit.INPUT_TOKENS: charged,
            Unit.OUTPUT_TOKENS: usage.output_tokens,
            Unit.TOKENS: charged + usage.output_tokens,
        }
        self.store.give_back(running.ticket.id, used, now)
        running.pool.count(used)

    def _learn(self, running: _Running, usage: Usage) -> None:
        call = running.ticket.call
        tokens = usage.output_tokens
        running.lengths.grow(running.produced, tokens)
        running.lengths.end(tokens, cut_off=tokens >= call.estimate.max_output_tokens)
        total = (
            usage.input_tokens
            + usage.cache_read_tokens
            + usage.cache_write_5m_tokens
            + usage.cache_write_1h_tokens
        )
        self.forecast.ratio(call).learn(call.estimate.input_tokens, total)

    def _admit(
        self, pool: Pool, place: Place, now: float, at_ns: int
    ) -> Ticket | tuple[HeadwayError | None, float]:
        """A ticket; or why not: an error that is final, or the seconds to wait."""
        call = place.call
        if self._most is not None and len(self._running) >= self._most:
            return self._wait(
                pool, place, f"a place among {self._most} calls in flight", float("inf"), 0.0, now
            )
        closed_for, wait_s = pool.closed_for(now)
        if closed_for:
            return self._wait(pool, place, closed_for, wait_s, 0.0, now)
        needs = self._needs(call, now)
        worst = self._books.worst(call, needs)
        if self.budget is not None and not self.budget.fits(worst):
            if self.budget.is_over(worst):
                return over(self.budget, worst), 0.0
            return self._wait(pool, place, "the budget", float("inf"), 0.0, now)
        take = self._books.expected(call, needs) if call.caps else None
        error = None if take is None else self._books.caps.refusal(call, take)
        if error is not None:
            return error, 0.0
        ticket_id = f"{call.id}-{place.number}"
        short = self.store.take(ticket_id, pool.name, needs.holds, now)
        if short is not None:
            return self._wait(
                pool, place, short.limit.unit.value, short.wait_s, short.level, now, str(short.limit)
            )
        ticket = Ticket(
            ticket_id,
            call,
            place.number,
            now - place.joined_at,
            now,
            at_ns,
            needs.input_tokens,
            needs.holds[Unit.OUTPUT_TOKENS].need,
            worst,
        )
        running = _Running(ticket, pool, needs.lengths, needs.holds, self._books.go(ticket, take))
        running.look_at = LOOK_FIRST * ticket.output_tokens
        self._go(pool, ticket, running, now)
        return ticket

    def _go(self, pool: Pool, ticket: Ticket, running: _Running, now: float) -> None:
        self._running[ticket.id] = running
        pool.ceiling.enter()
        pool.ramp.start(now)
        if ticket.number == 1:
            self.retries.earn()
        self.prefixes.go(ticket.call.estimate.prefix, ticket.call.id, now)

    def _cost_of(self, ticket: Ticket) -> float:
        """A call in seconds of the limit that it draws on most: what the line charges for it."""
        holds, cost = self._running[ticket.id].holds, 0.0
        for limit in self.store.limits(ticket.call.identity.pool or ""):
            seconds = holds[limit.unit].need * limit.period_s / limit.amount
            cost = seconds if seconds > cost else cost
        return cost or 1.0

    def _wait(
        self, pool: Pool, place: Place, why: str, wait_s: float, level: float, now: float, limit: str = ""
    ) -> tuple[HeadwayError | None, float]:
        pool.waits_for, pool.level, pool.clears_at = why, level, now + wait_s
        end = place.give_up_at
        if end is None or (now < end and (wait_s == float("inf") or now + wait_s <= end)):
            return None, wait_s
        return _too_long(limit or why, level, wait_s), 0.0

    def _needs(self, call: Call, now: float) -> Needs:
        prefix = call.estimate.prefix
        reads = (
            bool(prefix) and self._cache_is_free(call.identity.model) and self.prefixes.is_warm(prefix, now)
        )
        return needs_of(call, self.forecast, reads_prefix=reads)

    def usage(self) -> tuple[Total, ...]:
        """What was used so far, by session and model."""
        return self._books.totals.all()

    def levels(self, name: str, now: float) -> tuple[Level, ...]:
        """How full each limit of a pool is."""
        return self.store.levels(name, now)


def _named(problem: Problem, readings: Sequence[Reading]) -> Unit | None:
    """The limit behind a refusal: the one the provider names, else one that its headers show as used up."""
    if problem.unit is not None:
        return problem.unit
    empty = [
        r.unit for r in readings if r.remaining is not None and r.amount and r.remaining <= 0.01 * r.amount
    ]
    return empty[0] if len(empty) == 1 else None


def _too_long(limit: str, level: float, wait_s: float) -> WouldWaitTooLong:
    clears = f", clears in {wait_s:,.1f} s" if 0.0 < wait_s < float("inf") else ""
    return WouldWaitTooLong(
        f"would wait for {limit} longer than it may: at level {level:,.0f}{clears}",
        limit=limit,
        level=level,
        wait_s=wait_s,
        hint="Allow a longer wait, a smaller request, or a higher limit.",
    )
