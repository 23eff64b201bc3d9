"""The budgets that calls name themselves (`Call.caps`): a session, a job, a person.

A call goes if each of its caps has room for what it is expected to take, beside what is spent and what is held by the
calls in flight. If not, it is refused at once: it never waits for money, and calls that run are never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headway.core.budget import Budget
from headway.core.call import Call, Cap, Unit
from headway.errors import BudgetExceeded, ConfigError, HeadwayError

NAMED = 3  # models that a refusal names
_WORDS = {Unit.USD: "usd", Unit.TOKENS: "tokens", Unit.REQUESTS: "requests"}


@dataclass(frozen=True, slots=True)
class Take:
    """What a call takes, or is expected to: all tokens, in and out; nanodollars (None: of unknown price); 1 call or 0."""

    tokens: int
    nanousd: int | None
    requests: int = 1

    def of(self, unit: Unit) -> int | None:
        """How much of the unit of a cap."""
        return self.nanousd if unit is Unit.USD else self.tokens if unit is Unit.TOKENS else self.requests


Held = Sequence[tuple[Budget, int]]


class Caps:
    """All budgets that calls have named, for as long as the engine lives: forgetting one would let it be spent again.

    Unless `recall` is set: it makes the budget of a cap at first sight, with what was spent of it before, so whoever sets
    it may also `forget`. `at_ns` is wall time as of the last look, for budgets that roll.
    """

    def __init__(self) -> None:
        self.budgets: dict[tuple[str, Unit], Budget] = {}
        self.recall: Callable[[Cap], Budget] | None = None
        self.at_ns = 0

    def see(self, call: Call) -> None:
        """A new call: a cap it names is made at first sight, and changed if its amount is another now.

        Raises ConfigError for a unit that no cap can have.
        """
        for cap in call.caps:
            budget = self.budgets.get((cap.name, cap.unit))
            if budget is None:
                if cap.unit not in _WORDS:
                    raise ConfigError(
                        f"budget {cap.name!r}: there are no budgets of {cap.unit.value}",
                        hint="A budget is in usd, tokens or requests.",
                    )
                self.meet(cap)
            elif budget.cap != cap.amount:
                budget.change(cap.amount)

    def meet(self, cap: Cap) -> Budget:
        """The budget of a cap, made if it is not there."""
        budget = self.budgets.get((cap.name, cap.unit))
        if budget is None:
            budget = (
                Budget(cap.amount, name=cap.name, unit=cap.unit) if self.recall is None else self.recall(cap)
            )
            self.budgets[cap.name, cap.unit] = budget
        return budget

    def _of(self, cap: Cap) -> Budget:
        """The budget of a call in line. One that was forgotten and cannot be recalled counts as used up: who raised here
        would hold up all others."""
        budget = self.budgets.get((cap.name, cap.unit))
        if budget is None:
            try:
                budget = self.meet(cap)
            except HeadwayError:
                budget = Budget(cap.amount, cap.amount, name=cap.name, unit=cap.unit)
        return budget

    def forget(self, cap: Cap) -> bool:
        """Forget a budget that can be recalled. False: calls in flight hold some of it."""
        budget = self.budgets.get((cap.name, cap.unit))
        if budget is not None and budget.in_flight:
            return False
        self.budgets.pop((cap.name, cap.unit), None)
        return True

    def is_used_up(self, call: Call) -> bool:
        """Whether a budget of this call has nothing left: then it need not stand in line to be refused."""
        for cap in call.caps:
            budget = self._of(cap)
            budget.look(self.at_ns)
            if budget.spent >= budget.cap and not budget.soft:
                return True
        return False

    def counts_money(self, call: Call) -> bool:
        """Whether this call must have a price."""
        return any(cap.unit is Unit.USD and not self._of(cap).soft for cap in call.caps)

    def refusal(self, call: Call, take: Take) -> BudgetExceeded | None:
        """Why this call may not go, by the first of its caps that has no room for it even if nothing were in flight."""
        for cap in call.caps:
            budget = self._of(cap)
            budget.look(self.at_ns)
            if budget.soft:
                continue
            amount = take.of(cap.unit)
            if amount is None:
                return _unpriced(budget, call)
            if budget.spent >= budget.cap or budget.is_over(amount):
                return _exceeded(budget, call, take)
        return None

    def decide(self, call: Call, take: Take, *, may_wait: bool) -> BudgetExceeded | Cap | None:
        """Whether this call may go (None). If not: why, or the cap that has no room beside the calls in flight, which may
        yet take less than they hold."""
        error = self.refusal(call, take)
        if error is not None:
            return error
        for cap in call.caps:
            budget = self._of(cap)
            if not budget.soft and not budget.fits(take.of(cap.unit) or 0):
                return cap if may_wait else _exceeded(budget, call, take)
        return None

    def hold(self, call: Call, take: Take) -> Held:
        """The call goes. Returns what is to be settled."""
        held = []
        for cap in call.caps:
            budget, amount = self._of(cap), take.of(cap.unit) or 0
            budget.hold(amount)
            held.append((budget, amount))
        return held


def settle(held: Held, took: Take, model: str) -> list[tuple[Budget, float]]:
    """The call is over. Returns the budgets that passed a share of their cap by it, with that share.

    Money that nobody can tell counts as what was held.
    """
    news = []
    for budget, amount in held:
        actual = took.of(budget.unit)
        budget.settle(amount, amount if actual is None else actual, model)
        share = budget.passed()
        if share is not None:
            news.append((budget, share))
    return news


def _exceeded(budget: Budget, call: Call, take: Take) -> BudgetExceeded:
    shown = f"{_amounts(budget.spent, budget.unit)} used{_by(budget)}"
    if budget.in_flight:
        shown += f", {_amounts(budget.held, budget.unit)} held by {_calls(budget.in_flight)} in flight"
    cost = "" if take.nanousd is None else f", expected to cost {_amount(take.nanousd, Unit.USD)}"
    refused = f"a call of {call.identity.model[:100]} of about {take.tokens:,} tokens{cost}"
    scale = 1e-9 if budget.unit is Unit.USD else 1.0
    return BudgetExceeded(
        f"budget {budget.name!r} of {_amount(budget.cap, budget.unit)}: {shown}; refused: {refused}",
        used=budget.spent * scale,
        cap=budget.cap * scale,
        unit=_WORDS[budget.unit],
        budget=budget.name,
        hint="Raise the cap to go on; what is done is kept.",
    )


def _unpriced(budget: Budget, call: Call) -> BudgetExceeded:
    return BudgetExceeded(
        f"budget {budget.name!r} of {_amount(budget.cap, budget.unit)}: the price of "
        f"{call.identity.model[:100]} is not known, so it cannot be kept",
        used=budget.spent * 1e-9,
        cap=budget.cap * 1e-9,
        unit=_WORDS[budget.unit],
        budget=budget.name,
        hint="Use a budget in tokens for models without a known price.",
    )


def _by(budget: Budget) -> str:
    """By how many calls, and of which models most."""
    calls = sum(count for count, _ in budget.by.values())
    if not calls:
        return ""
    most = sorted(budget.by.items(), key=lambda entry: entry[1][1], reverse=True)[:NAMED]
    models = ", ".join(f"{model[:100]} {_amount(used, budget.unit)}" for model, (_, used) in most)
    return f" by {_calls(calls)} ({models})"


def _calls(count: int) -> str:
    return f"{count:,} call{'s' if count != 1 else ''}"


def _amount(amount: int, unit: Unit) -> str:
    if unit is Unit.USD:
        return f"${amount / 1e9:,.4f}"
    return f"{amount:,} {_WORDS[unit].removesuffix('s') if amount == 1 else _WORDS[unit]}"


def _amounts(amount: int, unit: Unit) -> str:
    return f"{_amount(amount, unit)} {'is' if unit is Unit.USD or amount == 1 else 'are'}"
