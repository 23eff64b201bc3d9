"""What calls take, in money and in all: the budget of the engine, the budgets that calls name, the live totals.

Each attempt is priced once, when it is over. Nanodollars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from headway.core.budget import Budget
from headway.core.call import Call, Fault, Unit, Usage
from headway.core.caps import Caps, Held, Take, settle
from headway.core.needs import Needs
from headway.core.steps import Reply, Ticket
from headway.core.totals import Row, Totals, tokens_of
from headway.errors import BudgetExceeded


class Posting(Struct):
    """One attempt in the books: its row among the totals, and what it holds of the budgets it names."""

    row: Row
    held: Held


class Books:
    """See `Engine` for the arguments."""

    def __init__(
        self,
        budget: Budget | None,
        price: Callable[[Call, float], int] | None,
        cost: Callable[[Usage, int], int | None] | None,
        expect: Callable[[Call, float, float], int | None] | None,
    ) -> None:
        self.budget = budget
        self.caps = Caps()
        self.totals = Totals()
        self._price = price
        self._cost = cost
        self._expect = expect

    def worst(self, call: Call, needs: Needs) -> int:
        """What a call can cost at most, as far as there is a budget to hold it on."""
        return self._price(call, needs.input_tokens) if self._price is not None else 0

    def expected(self, call: Call, needs: Needs) -> Take:
        """What a call is expected to take, for the budgets it names."""
        output = needs.holds[Unit.OUTPUT_TOKENS].need
        cost = self._priced(call, needs.input_tokens, output) if _counts_money(call) else None
        return Take(round(needs.input_tokens + output), cost)

    def is_hopeless(self, call: Call) -> bool:
        """Whether a call need not stand in line to be refused: a budget is used up, or cannot be kept."""
        if self.caps.is_used_up(call):
            return True
        return self.caps.counts_money(call) and self._priced(call, call.estimate.input_tokens, 0.0) is None

    def _priced(self, call: Call, input_tokens: float, output_tokens: float) -> int | None:
        return None if self._expect is None else self._expect(call, input_tokens, output_tokens)

    def go(self, ticket: Ticket, take: Take | None) -> Posting:
        """An attempt goes; `take` is what is held on the budgets it names."""
        call = ticket.call
        if self.budget is not None:
            self.budget.hold(ticket.worst_cost)
        held = () if take is None else self.caps.hold(call, take)
        return Posting(self.totals.go(call.session, call.identity.model), held)

    def settle(
        self, posting: Posting, ticket: Ticket, reply: Reply, usage: Usage, *, accepted: bool
    ) -> tuple[int | None, Sequence[tuple[Budget, float]]]:
        """An attempt is over. Returns its cost (None: not known), and the budgets that passed a share of their cap."""
        cost: int | None = 0
        if accepted:
            cost = None if self._cost is None else self._cost(usage, ticket.at_ns)
        if self.budget is not None:
            self.budget.settle(ticket.worst_cost, ticket.worst_cost if cost is None else cost)
        row = posting.row.into or posting.row
        row.in_flight -= 1
        if reply.problem is None and reply.status is not None:
            row.calls += 1
        elif not reply.sent:
            row.attempts -= 1
        elif _is_refusal(reply):
            row.refused += 1
        if accepted:
            row.take(usage, cost)
        if not posting.held:
            return cost, ()
        took = Take(tokens_of(usage), cost) if accepted else Take(0, 0, 0)
        return cost, settle(posting.held, took, ticket.call.identity.model)


def _is_refusal(reply: Reply) -> bool:
    problem = reply.problem
    return reply.status == 429 or (
        problem is not None and problem.fault in (Fault.RATE_LIMITED, Fault.RAMP_LIMITED)
    )


def _counts_money(call: Call) -> bool:
    return any(cap.unit is Unit.USD for cap in call.caps)


def over(budget: Budget, worst: int) -> BudgetExceeded:
    """Why the engine's own budget lets a call that may cost `worst` go no more."""
    used, cap = budget.spent / 1e9, budget.cap / 1e9
    return BudgetExceeded(
        f"budget of ${cap:,.4f}: ${used:,.4f} is used and the next call may cost up to ${worst / 1e9:,.4f}",
        used=used,
        cap=cap,
        hint="Raise the cap to go on; what is done is kept.",
    )
