"""A pool: what the provider counts together. Its line, what holds its calls back, and for how long it did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headway.core.call import Unit
from headway.core.ceiling import Ceiling
from headway.core.events import LimitLearnt
from headway.core.limit import Limit
from headway.core.line import Line, Place
from headway.core.meter import Hold
from headway.core.ramp import Ramp
from headway.core.refusal import INFINITY, too_long
from headway.errors import HeadwayError

WARMING = "the first reply with the same prompt prefix"
GAP_MEMORY = 0.1
SURELY = 0.6  # of the pace that one limit alone would set: calls that draw on different limits go together
CAPACITY, GROWTH = "the provider's capacity", "the ramp limit, which bounds how fast your usage may grow"
UNTAUGHT = "the first reply, to learn the limits"
MAX_COST = "the budget"
_IN_FLIGHT = "a place among "
_WORDS = {
    WARMING: "cache prefix",
    CAPACITY: "overload pause",
    GROWTH: "ramp",
    UNTAUGHT: "first reply",
    MAX_COST: "budget max_cost",
}
_OPEN = ("", 0.0)
_BUDGET = "budget "
ASIDE_S = 60.0  # then a call whose budget is held by others is looked at again, whatever happens


def held_by(budget: str) -> str:
    """What a call is set aside for whose budget has no room beside the calls in flight."""
    return f"{_BUDGET}{budget}"


def among(most: int) -> str:
    """What a call waits for that finds so many in flight."""
    return f"{_IN_FLIGHT}{most} calls in flight"


def _reason(aside: str) -> str:
    if aside.startswith(_BUDGET):
        return f"calls in flight to settle, which hold the rest of the budget {aside.removeprefix(_BUDGET)!r}"
    return WARMING


@dataclass(slots=True)
class Pool:
    """`waits_for` is what the head waits for now, at `level`, until `clears_at`; `bound_s` is how long each such thing has
    bound in all, in seconds.

    `taught` is whether a reply has shown the limits, or that it does not show them; `shown`, that it did. `used` is what
    calls took.
    `assumed` are limits to go by until it is taught, `opens_at` is when they let the next call go.
    `limits` are those that were known last. `newcomers` have joined since the last pump and name budgets, or when they must
    have left the line. `gap_s` is the time between two calls at this pace, as far as calls lately served tell.
    """

    name: str
    ceiling: Ceiling
    line: Line = field(default_factory=Line)
    ramp: Ramp = field(default_factory=Ramp)
    taught: bool = False
    shown: bool = False
    assumed: tuple[Limit, ...] = ()
    opens_at: float = 0.0
    waits_for: str = ""
    level: float = 0.0
    clears_at: float = 0.0
    bound_s: dict[str, float] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    used: dict[Unit, float] = field(default_factory=lambda: defaultdict(float))
    newcomers: list[Place] = field(default_factory=list)
    gap_s: float = 0.0
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

    def learn(self, limits: tuple[Limit, ...]) -> Sequence[LimitLearnt]:
        """These limits are known now. Returns those that are not what they were."""
        if limits is self.limits or limits == self.limits:
            return ()
        before = {limit.unit: limit for limit in self.limits}
        self.limits = limits
        changed = (limit for limit in limits if before.get(limit.unit) != limit)
        return [LimitLearnt(self.name, limit, before.get(limit.unit)) for limit in changed]

    def closed_for(self, now: float) -> tuple[str, float]:
        """What closes the pool as a whole, and for how many seconds; ("", 0.0): nothing."""
        if not self.taught and self.ceiling.in_flight:
            wait_s = self.opens_at - now if self.assumed else INFINITY
            if wait_s > 0.0:
                return UNTAUGHT, wait_s
        capacity_s, growth_s = self.ceiling.wait(now), self.ramp.wait(now)
        if capacity_s <= 0.0 and growth_s <= 0.0:
            return _OPEN
        return (CAPACITY, capacity_s) if capacity_s >= growth_s else (GROWTH, growth_s)

    def wait(
        self, place: Place, why: str, wait_s: float, level: float, now: float, limit: str = ""
    ) -> tuple[HeadwayError | None, float]:
        """The front waits for `why`. Returns the seconds, or the error if that is longer than it may wait."""
        self.waits_for = place.waited_for = why
        self.level, self.clears_at = level, now + wait_s
        end = place.give_up_at
        if end is None or (now < end and (wait_s == INFINITY or now + wait_s <= end)):
            return None, wait_s
        return too_long(limit or why, level, wait_s), 0.0

    def waited_for(self, place: Place) -> str:
        """What a call that goes now waited for last, in a word for the ledger: a unit, "budget NAME", "in_flight" and so on.

        Who never was in front waited for what the front waited for.
        """
        why = place.waited_for or self.waits_for
        return "in_flight" if why.startswith(_IN_FLIGHT) else _WORDS.get(why, why)

    def space(self, holds: Mapping[Unit, Hold], now: float) -> None:
        """A call goes although nothing is known yet: the next one as much later as the assumed limits refill."""
        seconds = (holds[limit.unit].need / limit.rate for limit in self.assumed)
        self.opens_at = max(self.opens_at, now) + max(seconds, default=0.0)

    def serve(self, seconds: float, passing: Place | None = None) -> None:
        """The front goes (or one that need not stand in line), and takes so many seconds of the limit it draws on most."""
        if passing is None:
            self.line.serve(seconds)
        else:
            self.line.pass_by(passing, seconds)
        self.gap_s += (seconds - self.gap_s) * GAP_MEMORY

    def least_wait(self, place: Place, now: float) -> float:
        """Seconds that a newcomer will surely stand in line, by who will go before it. 0: it may be its turn."""
        if not place.ahead or self.clears_at == INFINITY or not self.waits_for:
            return 0.0
        return max(self.clears_at - now, 0.0) + (self.line.before(place) - 1.0) * self.gap_s * SURELY

    def wait_for_budget(self, place: Place, budget: str, now: float) -> tuple[None, float]:
        """Others pass the front, whose budget is held by calls in flight, until one of them is over."""
        place.waited_for = aside = held_by(budget)
        self.line.set_aside(place, aside, now + ASIDE_S)
        return None, 0.0

    def reason_aside(self) -> str:
        """What the first of those set aside waits for, in words; empty: nobody is set aside."""
        place = self.line.head()
        return "" if place is None else _reason(place.aside)

    def refuse(self, late: Sequence[Place], now: float) -> list[tuple[Place, HeadwayError]]:
        """Take those out of the line whose time is up, and say what they waited for."""
        refused: list[tuple[Place, HeadwayError]] = []
        for place in late:
            error = (
                too_long(_reason(place.aside), 0.0, INFINITY)
                if place.aside
                else too_long(self.waits_for or "its turn", self.level, max(self.clears_at - now, 0.0))
            )
            self.line.leave(place)
            refused.append((place, error))
        return refused
