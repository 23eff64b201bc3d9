"""A pool: what the provider counts together. Its line, what holds its calls back, and for how long it did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from headway.core.call import Unit
from headway.core.ceiling import Ceiling
from headway.core.limit import Limit
from headway.core.line import Line, Place
from headway.core.ramp import Ramp

_OPEN = ("", 0.0)


@dataclass(slots=True)
class Pool:
    """`waits_for` is what the head waits for now, at `level`, until `clears_at`; `bound_s` is how long each such thing has
    bound in all, in seconds.

    `taught` is whether a reply has shown the limits, or that it does not show them. `used` is what calls took.
    `limits` are those that were known last, `capped` those who have joined since the last pump and name budgets.
    """

    name: str
    ceiling: Ceiling
    line: Line = field(default_factory=Line)
    ramp: Ramp = field(default_factory=Ramp)
    taught: bool = False
    waits_for: str = ""
    level: float = 0.0
    clears_at: float = 0.0
    bound_s: dict[str, float] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    used: dict[Unit, float] = field(default_factory=lambda: defaultdict(float))
    capped: list[Place] = field(default_factory=list)
    _looked_at: float = 0.0

    def look(self, now: float) -> None:
        """Add the time since the last look to what bound meanwhile."""
        if self.waits_for and self.line.size:
            passed = max(now - self._looked_at, 0.0)
            self.bound_s[self.waits_for] = self.bound_s.get(self.waits_for, 0.0) + passed
        self._looked_at = now

    def count(self, used: Mapping[Unit, float]) -> None:
        """A call took this."""
        mine = self.used
        for unit, amount in used.items():
            mine[unit] += amount

    def closed_for(self, now: float) -> tuple[str, float]:
        """What closes the pool as a whole, and for how many seconds; ("", 0.0): nothing."""
        if not self.taught and self.ceiling.in_flight:
            return "the first reply, to learn the limits", float("inf")
        wait_s = max(self.ceiling.wait(now), self.ramp.wait(now))
        return ("the provider's capacity", wait_s) if wait_s > 0.0 else _OPEN
