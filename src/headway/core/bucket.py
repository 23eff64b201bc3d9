"""Our mirror of one token bucket that the provider keeps.

Rules
- Refill is continuous; the level may go below zero (debt): a call larger than the bucket goes when the bucket is full.
- What a full bucket holds is mostly unpublished. A bucket of unknown size starts as even spacing: nothing but its refill.
- `spare` is what the bucket is believed to hold beyond our level. It is unlocked by slow start: each admission that the
  provider confirms unlocks as much again as it took. It is not lost meanwhile, because calls leave at the refill rate.
- A header is compared with what the mirror believed when *that* call was admitted, never with what it believes now.
- A refusal is a measurement: it names the level. Only if the belief was no guess does it also teach a smaller capacity.
- `guard_s` is a distance in time: a call goes that much later than the arithmetic allows, because networks do not keep
  distances. It costs its length once, not per call.

Times are monotonic seconds, amounts are in the limit's unit.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.core.limit import Limit

GUARD_S = 0.05
ASSUMED_BURST_S = 2.0  # where no header ever tells; the burst of real APIs is not published


@dataclass(frozen=True, slots=True)
class Belief:
    """What the bucket was believed to hold right after an admission; `shift` dates the corrections made by then."""

    content: float
    shift: float


class Bucket:
    """`level` is what we may use now; `level + spare` is what the bucket is believed to hold."""

    __slots__ = ("_at", "_shift", "_top", "capacity", "guard_s", "level", "limit", "rate", "spare")

    def __init__(self, limit: Limit, now: float, *, guard_s: float = GUARD_S) -> None:
        self.limit = limit
        self.rate = limit.rate
        self.guard_s = guard_s
        self.capacity = limit.burst or 0.0
        self.spare = self.capacity
        self.level = 0.0
        self._top = limit.burst or limit.amount  # no bucket is believed to hold more
        self._at = now
        self._shift = 0.0

    @property
    def content(self) -> float:
        """What the bucket is believed to hold, whether we may use it already or not."""
        return min(self.level + self.spare, self.capacity)

    @property
    def open_capacity(self) -> float:
        """How high the level may stand: what is not locked."""
        return max(self.capacity - self.spare, 0.0)

    def refill(self, now: float) -> None:
        """Move to `now`. A clock that goes back moves nothing."""
        if now <= self._at:
            return
        full = self.open_capacity + self.rate * self.guard_s
        if self.level < full:
            self.level = min(self.level + (now - self._at) * self.rate, full)
        self._at = now

    def wait(self, need: float, now: float) -> float:
        """Seconds until a call that needs `need` may go; 0: now."""
        self.refill(now)
        short = min(need, self.open_capacity) + self.rate * self.guard_s - self.level
        return short / self.rate if short > 1e-9 * self.rate else 0.0

    def charge(self, amount: float, now: float) -> Belief:
        """Take `amount` now: after `wait` said 0, or for what has happened anyway."""
        self.refill(now)
        self.level = min(self.level, self.open_capacity) - amount
        return Belief(self.content, self._shift)

    def shift(self, amount: float) -> None:
        """Correct the content by `amount`, learnt late about the past.

        More goes to the level, less leaves the spare first.
        """
        before = self.content
        if amount < 0:
            locked = min(self.spare, -amount)
            self.spare -= locked
            amount += locked
        self.level = min(self.level + amount, self.open_capacity)
        self._shift += self.content - before

    def confirm(self, took: float) -> None:
        """The provider admitted a call that took `took`: unlock as much again."""
        unlocked = min(self.spare, took)
        self.spare -= unlocked
        self.level += unlocked

    def assume(self) -> None:
        """Nobody will tell how much the bucket holds: suppose a little, so that refill is not lost between calls."""
        if self.limit.burst is None and self.capacity == 0.0:
            self.capacity = self.spare = min(self.rate * ASSUMED_BURST_S, self._top)

    def surprise(self, then: Belief, remaining: float) -> float:
        """How far a reading is from what was believed when its call was admitted."""
        return remaining - (then.content + self._shift - then.shift)

    def read(
        self,
        then: Belief,
        remaining: float,
        *,
        rounding: float,
        below: float,
        above: float,
        gain: float = 0.0,
    ) -> None:
        """Correct the content by a reading, beyond what `below` and `above` explain (rounding, calls in flight).

        What they explain is corrected by `gain` of it, so that a small constant error does not stay. A bucket
        of unknown size is believed to hold what it has shown to hold, up to one period's amount.
        """
        off = self.surprise(then, remaining)
        if self.limit.burst is None:
            self.capacity = max(self.capacity, min(self._top, remaining - rounding))
        if off < -below:
            self.shift(off + below)
        elif off > above:
            change = max(min(off - above, self.capacity - self.content), 0.0)
            self.spare += change
            self._shift += change
        elif gain:
            self.shift(off * gain)

    def refuse(self, need: float, retry_after_s: float, now: float) -> None:
        """The provider refused a call of `need` (already given back) and says when it fits: the level is known now."""
        self.refill(now)
        before = self.content
        self.spare = 0.0
        self.level = min(self.level, min(need, self.capacity) - self.rate * retry_after_s)
        self._shift += self.content - before

    def shrink(self, then: Belief, need: float) -> None:
        """A sure belief was wrong: the bucket holds no more than had been drawn from it when `need` was refused."""
        drawn = self.capacity - (then.content + need)
        self.capacity = self._top = max(min(self.capacity, drawn), 0.0)
        self.spare = min(self.spare, self.capacity)

    def resize(self, limit: Limit, now: float) -> None:
        """The provider says that the limit is another one now."""
        self.refill(now)
        self._top = min(limit.burst or limit.amount, self._top * limit.amount / self.limit.amount)
        self.limit, self.rate = limit, limit.rate
        self.capacity = min(self.capacity, self._top)
        self.spare = min(self.spare, self.capacity)
        self.level = min(self.level, self.open_capacity)
