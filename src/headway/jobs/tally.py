"""What a job has done so far, in numbers: for the display while it runs, and for the summary at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

FRESH_S = 15.0  # how long trouble is shown


@dataclass(slots=True)
class Tally:
    """Counts of one run. Money in nanodollars; `unpriced` attempts have no known price. `began_at` is monotonic."""

    total: int = 0
    before: int = 0  # results that were there from earlier runs
    before_errored: int = 0  # those of them that are errors
    before_nanousd: int = 0  # what earlier runs cost, where a budget is kept
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
    likely_output: float = 0.0  # tokens of a reply, as far as `max_tokens` tells, until replies do
    heard: int = 0  # replies of any kind
    unheard: int = 0  # attempts in a row that got no connection
    trouble: str = ""  # the last thing that made an attempt fail
    troubled_at: float = float("-inf")

    @property
    def done(self) -> int:
        """Lines that have a result."""
        return self.before + self.bad + self.succeeded + self.errored

    def trouble_now(self, now: float) -> str:
        """What is wrong, if it was just now."""
        return self.trouble if now - self.troubled_at < FRESH_S else ""
