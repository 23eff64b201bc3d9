"""What a job has done so far, in numbers: for the display while it runs, and for the summary at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from headway.core.call import Usage
from headway.core.steps import Outcome
from headway.ledger.price import Prices


@dataclass(slots=True)
class Tally:
    """Counts of one run. Money in nanodollars; `unpriced` attempts have no known price. `began_at` is monotonic."""

    total: int = 0
    before: int = 0  # results that were there from earlier runs
    bad: int = 0
    succeeded: int = 0
    errored: int = 0
    attempts: int = 0
    rate_limited: int = 0
    retried: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    nanousd: int = 0
    unpriced: int = 0
    estimated: int = 0
    began_at: float = 0.0
    ended_at: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    input_left: float = 0.0
    trouble: str = ""  # the last thing that made an attempt fail

    def note(self, outcome: Outcome) -> None:
        """A call is over."""
        self.attempts += outcome.attempts
        self.rate_limited += outcome.refusals
        if outcome.attempts > 1:
            self.retried += 1

    def note_usage(self, usage: Usage, prices: Prices, at_ns: int) -> None:
        """An attempt took this."""
        for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "thinking"):
            self.tokens[name] += getattr(usage, f"{name}_tokens")
        cost = prices.cost(usage.model, usage, at_ns)
        if cost.nanousd is None:
            self.unpriced += 1
        else:
            self.nanousd += cost.nanousd

    @property
    def done(self) -> int:
        """Lines that have a result."""
        return self.before + self.bad + self.succeeded + self.errored
