"""Our mirror of one token bucket that the provider keeps.

Rules
- Refill is continuous; the level may go below zero (debt): a call larger than the bucket goes when the bucket is full.
- What a full bucket holds is mostly unpublished. A bucket of unknown size starts as even spacing: nothing but its refill.
- `spare` is what the bucket is believed to hold beyond our level. It is unlocked by slow start: each admission that the
  provider confirms unlocks as much again as it took. It is not lost meanwhile, because calls leave at the refill rate.
- A header is compared with what the mirror believed when *that* call was admitted, never with what it believes now. Such
  a belief (`then`) is one number: the content right after the admission, less `shifted`, all corrections made by then. So
  `then + shifted` is what was believed then, with what has been learnt about it since.
- A refusal is a measurement: it names the level. If a header showed room at that very moment, headers overstate what is
  there (they may show the minute's limit less what is not refilled yet, of a bucket that holds much less): by how much
  is learnt. Without headers it teaches the capacity, but only if the belief was no guess.
- `guard_s` is a distance in time: a call goes that much later than the arithmetic allows, because networks do not keep
  distances. It costs its length once, not per call.

Times are monotonic seconds, amounts are in the limit's unit.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.core.limit import Limit

GUARD_S, WIDEST_GUARD_S = 0.05, 1.0
DRAW = 5.0  # how many times the refill rate spare is unlocked at most, so that an unexpected end is met by few calls
ASSUMED_BURST_S = 2.0  # where no header ever tells; the burst of real APIs is not published


@dataclass(frozen=True, slots=True)
class Lesson:
    """What refusals taught about the bucket of a limit of `amount` a period: see `Bucket`."""

    amount: float
    capacity: float
    overstated: float


class Bucket:
    """`level` is what we may use now; `level + spare` is what the bucket is believed to hold."""

    __slots__ = (
        "_at",
        "_is_measured",
        "_top",
        "_unlocked_at",
        "_widened_at",
        "capacity",
        "given",
        "guard_s",
        "level",
        "limit",
        "overstated",
        "rate",
        "shifted",
        "spare",
    )

    def __init__(self, limit: Limit, now: float, *, guard_s: float = GUARD_S) -> None:
        self.limit = limit
        self.rate = limit.rate
        self.guard_s = guard_s
        self.capacity = limit.burst or 0.0
        self.spare = self.capacity
        self.level = 0.0
        self.overstated = 0.0  # how much more headers show than there is
        self._top = limit.burst or limit.amount  # no bucket is believed to hold more
        self._is_measured = False
        self._widened_at = float("-inf")
        self._at = self._unlocked_at = now
        self.shifted = 0.0  # the sum of all corrections
        self.given = 0.0  # what the provider has given back

    @property
    def content(self) -> float:
        """What the bucket is believed to hold, whether we may use it already or not."""
        content = self.level + self.spare
        return content if content < self.capacity else self.capacity

    @property
    def open_capacity(self) -> float:
        """How high the level may stand: what is not locked."""
        room = self.capacity - self.spare
        return room if room > 0.0 else 0.0

    def refill(self, now: float) -> None:
        """Move to `now`. A clock that goes back moves nothing."""
        passed = now - self._at
        if passed <= 0.0:
            return
        self._at = now
        room = self.capacity - self.spare
        full = (room if room > 0.0 else 0.0) + self.rate * self.guard_s
        if self.level < full:
            level = self.level + passed * self.rate
            self.level = level if level < full else full

    def wait(self, need: float, now: float) -> float:
        """Seconds until a call that needs `need` may go; 0: now."""
        if now > self._at:
            self.refill(now)
        room = self.capacity - self.spare
        if need > room:
            need = room if room > 0.0 else 0.0
        rate = self.rate
        short = need + rate * self.guard_s - self.level
        return short / rate if short > 1e-9 * rate else 0.0

    def charge(self, amount: float, now: float) -> float:
        """Take `amount` now: after `wait` said 0, or for what has happened anyway. Returns what is believed then."""
        if now > self._at:
            self.refill(now)
        level, spare, capacity = self.level, self.spare, self.capacity
        if spare == 0.0 and level > capacity and (capacity > 0.0 or self._is_measured):
            level = capacity
        self.level = level = level - amount
        content = level + spare
        return (content if content < capacity else capacity) - self.shifted

    def give(self, amount: float) -> None:
        """The provider gives `amount` back now. (`shift` is for what was true all the time, and is learnt late.)"""
        level, full = self.level + amount, self.open_capacity + self.rate * self.guard_s
        self.level = level if level < full else full
        self.given += amount

    def shift(self, amount: float) -> None:
        """Correct the content by `amount`, learnt late about the past.

        More goes to the level, less leaves the spare first.
        """
        spare, capacity = self.spare, self.capacity
        before = self.level + spare
        if amount < 0.0 < spare:
            locked = spare if spare < -amount else -amount
            self.spare = spare = spare - locked
            amount += locked
        level = self.level + amount
        full = (capacity - spare if capacity > spare else 0.0) + self.rate * self.guard_s
        if level > full:
            level = full
        self.level = level
        after = level + spare
        self.shifted += (after if after < capacity else capacity) - (
            before if before < capacity else capacity
        )

    def confirm(self, took: float, now: float) -> None:
        """The provider admitted a call that took `took`: unlock as much again, at a bounded pace."""
        if self.spare <= 0.0:
            return
        draw, since = self.rate * DRAW, now - self._unlocked_at
        unlocked = min(self.spare, took, draw * (since if since < 0.5 else 0.5))
        if unlocked <= 0.0:
            return
        self.spare -= unlocked
        self.level += unlocked
        self._unlocked_at = (now - 0.5 if since > 0.5 else self._unlocked_at) + unlocked / draw

    def unlock(self) -> None:
        """Unlock all spare."""
        self.level += self.spare
        self.spare = 0.0

    def assume(self) -> None:
        """Nobody will tell how much the bucket holds: suppose a little, so that refill is not lost between calls."""
        if self.limit.burst is None and self.capacity == 0.0:
            self.capacity = self.spare = min(self.rate * ASSUMED_BURST_S, self._top)

    def read(
        self,
        then: float,
        remaining: float,
        rounding: float,
        below: float,
        above: float,
        gain: float = 0.0,
        took: float = 0.0,
    ) -> None:
        """Correct the content by a reading, beyond what `below` and `above` explain (rounding, calls in flight).

        What they explain is corrected by `gain` of it, so that a small constant error does not stay. A bucket
        of unknown size is believed to hold what it has shown to hold, up to one period's amount: what remains, and
        what the call `took`.
        """
        off = remaining - self.overstated - then - self.shifted
        if self.limit.burst is None:
            shown = remaining + took - self.overstated - rounding
            if shown > self.capacity:
                self.capacity = shown if shown < self._top else max(self.capacity, self._top)
        if off < -below:
            self.shift(off + below)
        elif off > above:
            change = max(min(off - above, self.capacity - self.content), 0.0)
            forgiven = min(change, max(-self.level, 0.0))  # a debt that is none is no spare, either
            self.level += forgiven
            self.spare += change - forgiven
            self.shifted += change
        elif gain:
            self.shift(off * gain)

    def refuse(self, need: float, retry_after_s: float, now: float) -> None:
        """The provider refused a call of `need` (already given back) and says when it fits: the level is known now."""
        self.refill(now)
        before = self.content
        self.spare = 0.0
        self.level = min(self.level, min(need, self.capacity) - self.rate * retry_after_s)
        self.shifted += self.content - before

    def widen(self, now: float) -> None:
        """A call was refused although the belief was about right: keep a larger distance. Once a second at most."""
        if now - self._widened_at >= 1.0:
            self._widened_at = now
            self.guard_s = min(2.0 * self.guard_s, WIDEST_GUARD_S)

    def overstate(self, remaining: float, rounding: float, need: float, retry_after_s: float) -> None:
        """A header showed `remaining` while a call of `need` was refused: learn by how much headers are off.

        To be told before `refuse`. `retry_after_s` is rounded up to whole seconds, so the last one does not count; less
        than `need` was there, by one at least as headers are whole numbers.
        """
        there = need - max(rounding, 1.0) - self.rate * max(retry_after_s - 1.0, 0.0)
        self.overstated = max(self.overstated, remaining - there)
        self._hold_at_most(self.limit.amount - self.overstated)

    def shrink(self, then: float, need: float) -> None:
        """A sure belief was wrong: the bucket holds no more than had been drawn from it when `need` was refused.

        To be told before `refuse`.
        """
        self._hold_at_most(self.capacity - (then + self.shifted + need))

    def lesson(self) -> Lesson | None:
        """What refusals have taught about this bucket, to be kept for the next run; None: nothing."""
        if not self._is_measured:
            return None
        return Lesson(self.limit.amount, self.capacity, self.overstated)

    def learn(self, lesson: Lesson) -> None:
        """Start from what an earlier run was taught, if the limit is still the same."""
        if lesson.amount == self.limit.amount and self.limit.burst is None:
            self.overstated = lesson.overstated
            self.capacity = self._top = min(lesson.capacity, self.limit.amount)
            self.spare = self.capacity
            self._is_measured = True

    def _hold_at_most(self, amount: float) -> None:
        before = self.content
        self.capacity = self._top = max(min(self.capacity, amount), 0.0)
        self.spare = min(self.spare, self.capacity)
        self._is_measured = True
        self.shifted += self.content - before

    def resize(self, limit: Limit, now: float) -> None:
        """The provider says that the limit is another one now."""
        self.refill(now)
        self._top = min(limit.burst or limit.amount, self._top * limit.amount / self.limit.amount)
        self.limit, self.rate = limit, limit.rate
        self.capacity = min(self.capacity, self._top)
        self.spare = min(self.spare, self.capacity)
        self.level = min(self.level, self.open_capacity)
