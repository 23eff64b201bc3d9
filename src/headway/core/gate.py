"""The gate: whether a call may go now, and what it holds from then on. What may hold it back is asked in this order:

a bound on calls in flight, the pool as a whole (the provider's capacity, how fast usage may grow, limits not yet learnt),
the engine's budget, the budgets that the call names, the limits. The first that says no is what it waits for.
"""

from __future__ import annotations

from collections.abc import Callable

from headway.core.books import Books, over
from headway.core.budget import Budget
from headway.core.call import Call, Cap, Unit
from headway.core.forecast import Forecast
from headway.core.line import Place
from headway.core.needs import Needs, needs_of
from headway.core.pool import MAX_COST, Pool, among
from headway.core.ports import Store
from headway.core.prefix import Prefixes
from headway.core.refusal import INFINITY
from headway.core.retry import RetryBudget
from headway.core.running import LOOK_FIRST, Running
from headway.core.steps import Ticket
from headway.errors import BudgetExceeded, HeadwayError

SEEN_S = 0.0005  # what waits less shows as 0.0 ms, and has not waited for anything


class Gate:
    """`running` are the calls that are through and not settled, by ticket. The other parts are the engine's own."""

    def __init__(
        self,
        store: Store,
        books: Books,
        budget: Budget | None,
        most_in_flight: int | None,
        cache_is_free: Callable[[str], bool],
    ) -> None:
        self.running: dict[str, Running] = {}
        self.forecast = Forecast()
        self.prefixes = Prefixes()
        self.retries = RetryBudget()
        self.cache_is_free = cache_is_free
        self._store = store
        self._books = books
        self._budget = budget
        self._most = most_in_flight

    def admit(
        self, pool: Pool, place: Place, now: float, at_ns: int, *, stands: bool = True
    ) -> Running | tuple[HeadwayError | None, float]:
        """It goes; or why not: an error that is final, or the seconds to wait. `stands`: in line, where it can wait."""
        call = place.call
        if self._most is not None and len(self.running) >= self._most:
            return pool.wait(place, among(self._most), INFINITY, 0.0, now)
        closed_for, wait_s = pool.closed_for(now)
        if closed_for:
            return pool.wait(place, closed_for, wait_s, 0.0, now)
        needs = self.needs(call, now)
        worst = self._books.worst(call, needs)
        if self._budget is not None and not self._budget.fits(worst):
            if self._budget.is_over(worst):
                return over(self._budget, worst), 0.0
            return pool.wait(place, MAX_COST, INFINITY, 0.0, now)
        take = self._books.expected(call, needs) if call.caps else None
        if take is not None:
            may_wait = stands and (place.give_up_at is None or place.give_up_at > now)
            match self._books.caps.decide(call, take, may_wait=may_wait):
                case BudgetExceeded() as error:
                    return error, 0.0
                case Cap(name):
                    return pool.wait_for_budget(place, name, now)
        ticket_id = f"{call.id}-{place.number}"
        short = self._store.take(ticket_id, pool.name, needs.holds, now)
        if short is not None:
            return pool.wait(place, short.limit.unit.value, short.wait_s, short.level, now, str(short.limit))
        queued_s = now - place.joined_at
        ticket = Ticket(
            ticket_id,
            call,
            place.number,
            queued_s,
            now,
            at_ns,
            needs.input_tokens,
            needs.holds[Unit.OUTPUT_TOKENS].need,
            worst,
            pool.waited_for(place) if queued_s >= SEEN_S else "",
        )
        running = Running(
            ticket, pool, needs, self._books.go(ticket, take), LOOK_FIRST * ticket.output_tokens
        )
        self.running[ticket_id] = running
        self._go(running, now)
        return running

    def _go(self, running: Running, now: float) -> None:
        ticket, pool = running.ticket, running.pool
        running.charged = running.seconds
        pool.ceiling.enter()
        if not pool.taught:
            pool.space(running.needs.holds, now)
        pool.ramp.start(now)
        if ticket.number == 1:
            self.retries.earn()
        prefix = ticket.call.estimate.prefix
        if prefix:
            self.prefixes.go(prefix, ticket.call.id, now)

    def needs(self, call: Call, now: float) -> Needs:
        """What a call is expected to take, if it goes now."""
        reads = 0.0
        if call.estimate.prefix and self.cache_is_free(call.identity.model):
            reads = self.prefixes.reads(call.estimate, now)
        return needs_of(call, self.forecast, reads=reads)
