"""Meters: how one limit is charged over the life of a call.

Two kinds, because providers charge in two ways. Requests and input are charged when the call is admitted
(`StartMeter`). Output is charged while it is produced, or reserved from `max_tokens` and corrected at the end; which of
the two is not published for sure and has changed before, so `OutputMeter` keeps a mirror of both and believes the one
that the headers bear out.

Output is paced by what was *promised* (every call in flight counts with its expected whole output, in `pace`) and
gated by what is *there* (`content`, charged as output comes). Pace keeps the rate right from the first second, although
output comes late; content keeps a change of mix from overdrawing. Reserving `max_tokens` instead would use 1-2 % of
the quota where it is not reserved.
"""

from __future__ import annotations

from math import sqrt

from msgspec import Struct

from headway.core.bucket import Bucket
from headway.core.call import Reading
from headway.core.limit import Limit

INPUT_CERTAINTY = 2.0  # standard deviations of the calls in flight that are kept back
OUTPUT_CERTAINTY = 1.0  # less, because output comes late: what is promised is mostly still there
PROMISED_AT_LEAST = 0.5  # of a bucket must be promised to nobody before a call goes that takes more than that
KEPT_AT_MOST = 0.25  # of a bucket, however uncertain: or a small one would never be used
READING_GAIN = 0.1  # of a difference that rounding and calls in flight can explain, how much is believed
READINGS_THAT_TELL = 4  # how output is charged is not believed on less
SURPRISE_MEMORY = 0.9


class Hold(Struct, frozen=True):
    """What a call is expected to take of one limit, with the variance of that guess, and the most it can take."""

    need: float
    variance: float = 0.0
    most: float = 0.0


class Mark(Struct):
    """What one ticket has on one meter: its hold, and what the meter believed when it was taken (see `Bucket`).

    Of output also: `content` and `reserved`, what these mirrors believed; `given`, what the provider had given back by
    then; `beside`, what was held beside it; `was_reserved`, whether output was believed to be reserved.
    """

    hold: Hold
    then: float
    content: float = 0.0
    reserved: float = 0.0
    given: float = 0.0
    beside: float = 0.0
    was_reserved: bool = False
    produced: float = 0.0


class StartMeter:
    """A limit that is charged at admission, by the provider's own estimate, and corrected when the usage is known."""

    def __init__(self, limit: Limit, now: float) -> None:
        self.bucket = Bucket(limit, now)
        self.buckets = (self.bucket,)
        self.in_flight = 0.0
        self._variance = 0.0

    @property
    def level(self) -> Bucket:
        """The bucket that says how full the limit is."""
        return self.bucket

    def wait(self, hold: Hold, now: float) -> float:
        """Seconds until `hold` fits; 0: now."""
        return self.bucket.wait(hold.need + INPUT_CERTAINTY * sqrt(self._variance + hold.variance), now)

    def take(self, hold: Hold, now: float) -> Mark:
        self.in_flight += hold.need
        self._variance += hold.variance
        return Mark(hold, self.bucket.charge(hold.need, now))

    def adopt(self, hold: Hold) -> Mark:
        """Take over a call that was admitted before the limit was known; the provider has charged it already."""
        self.in_flight += hold.need
        self._variance += hold.variance
        return Mark(hold, self.bucket.content)

    def confirm(self, mark: Mark, now: float) -> None:
        if self.bucket.spare > 0.0:
            self.bucket.confirm(mark.hold.need, now)

    def settle(self, mark: Mark, actual: float) -> None:
        """The call is over and took `actual`."""
        self.in_flight -= mark.hold.need
        variance = self._variance - mark.hold.variance
        self._variance = variance if variance > 0.0 else 0.0
        self.bucket.shift(mark.hold.need - actual)

    def void(self, mark: Mark) -> None:
        """The call was refused: it took nothing."""
        self.settle(mark, 0.0)

    def read(self, mark: Mark, reading: Reading) -> None:
        shown, rounding, need = reading.remaining, reading.rounding, mark.hold.need
        if shown is not None:
            tolerance = rounding + 2.0 * sqrt(self._variance) + self._reorder(need)
            self.bucket.read(mark.then, shown, rounding, tolerance, tolerance, READING_GAIN, need)

    def refuse(
        self, mark: Mark, shown: float | None, rounding: float, retry_after_s: float, now: float
    ) -> None:
        """The provider refused this call (already settled with nothing taken), and its headers showed `shown`."""
        need, then, bucket = mark.hold.need, mark.then, self.bucket
        if shown is not None:
            if shown - bucket.overstated >= need + rounding:
                bucket.overstate(shown, rounding, need, retry_after_s)
            else:
                bucket.widen(now)
        elif then + bucket.shifted > 2.0 * sqrt(self._variance) + self._reorder(need):
            bucket.shrink(then, need)
        bucket.refuse(need, retry_after_s, now)

    def _reorder(self, need: float) -> float:
        """What calls that overtake each other on the way may explain."""
        return need + self.bucket.rate * self.bucket.guard_s


class OutputMeter:
    """The output limit: promised, produced and reserved side by side."""

    def __init__(self, limit: Limit, now: float) -> None:
        self.pace = Bucket(limit, now)
        self.content = Bucket(limit, now)
        self.reserved = Bucket(limit, now)
        self.buckets = (self.pace, self.content, self.reserved)
        self.is_reserved = False
        self.in_flight = 0.0
        self._variance = 0.0
        self._produced = 0.0  # by the calls in flight
        self._if_produced = self._if_reserved = 0.0  # how far readings are from each belief, of late
        self._usual_most = 0.0
        self._readings = self._heads = 0
        self._rounding = 0.0
        self.content.unlock()

    @property
    def level(self) -> Bucket:
        """The bucket that says how full the limit is."""
        return self.reserved if self.is_reserved else self.pace

    def wait(self, hold: Hold, now: float) -> float:
        """Seconds until `hold` fits; 0: now."""
        if self.is_reserved:
            return self.reserved.wait(hold.most + self._rounding, now)
        if self._heads < READINGS_THAT_TELL and self.reserved.capacity > 0:
            return max(self.pace.wait(hold.need, now), self.reserved.wait(hold.most, now))
        kept = OUTPUT_CERTAINTY * sqrt(self._variance + hold.variance)
        kept = min(kept, KEPT_AT_MOST * self.pace.capacity)
        # Half a bucket of promises is enough to go on: the rest is slack for the time in which another limit binds.
        wait = self.pace.wait(min(hold.need + kept, PROMISED_AT_LEAST * self.pace.capacity), now)
        if self.content.capacity > 0:
            wait = max(wait, self.content.wait(0.0, now))
        return wait

    def take(self, hold: Hold, now: float) -> Mark:
        self.in_flight += hold.need
        self._variance += hold.variance
        return Mark(
            hold,
            self.pace.charge(hold.need, now),
            self.content.charge(0.0, now),
            self.reserved.charge(hold.most, now),
            self.reserved.given,
            self.in_flight,
            self.is_reserved,
        )

    def adopt(self, hold: Hold) -> Mark:
        """Take over a call that was admitted before the limit was known."""
        self.in_flight += hold.need
        self._variance += hold.variance
        self.pace.level -= hold.need
        return Mark(
            hold,
            self.pace.content,
            self.content.content,
            self.reserved.content,
            self.reserved.given,
            self.in_flight,
        )

    def confirm(self, mark: Mark, now: float) -> None:
        self._heads += 1
        if self.pace.spare > 0.0:
            self.pace.confirm(mark.hold.need, now)
        if self.reserved.spare > 0.0:
            self.reserved.confirm(mark.hold.most, now)

    def produce(self, mark: Mark, produced: float, hold: Hold, now: float) -> None:
        """A call has produced `produced` tokens so far and is now expected to take `hold`."""
        more = produced - mark.produced
        if more > 0.0:
            self.content.refill(now)
            self.content.level -= more
            self._produced += more
            mark.produced = produced
        before = mark.hold
        if hold is not before:
            self.pace.shift(before.need - hold.need)
            self.in_flight += hold.need - before.need
            self._variance = max(self._variance + hold.variance - before.variance, 0.0)
            mark.hold = hold

    def settle(self, mark: Mark, actual: float) -> None:
        """The call is over and took `actual`. What was reserved beyond comes back now."""
        self._release(mark, actual)
        self.reserved.give(mark.hold.most - actual)

    def void(self, mark: Mark) -> None:
        """The call was refused: it took nothing, and nothing ever was reserved."""
        self._release(mark, 0.0)
        self.reserved.shift(mark.hold.most)

    def _release(self, mark: Mark, actual: float) -> None:
        self.in_flight -= mark.hold.need
        self._variance = max(self._variance - mark.hold.variance, 0.0)
        self.pace.shift(mark.hold.need - actual)
        self.content.level -= actual - mark.produced
        self._produced -= mark.produced

    def read(self, mark: Mark, reading: Reading) -> None:
        if reading.remaining is None:
            return
        shown, rounding = reading.remaining, reading.rounding
        pace, content, reserved = self.pace, self.content, self.reserved
        self._rounding = rounding
        noise = rounding + 2.0 * sqrt(self._variance) + content.rate * 0.25
        self._weigh(
            mark,
            abs(shown - content.overstated - mark.content - content.shifted),
            abs(shown - reserved.overstated - mark.reserved - reserved.shifted),
        )
        # What has been produced by calls that still run may not have been charged yet.
        content.read(mark.content, shown, rounding, noise, noise + self._produced, READING_GAIN)
        if content.spare:
            content.unlock()
        if content.capacity > pace.capacity:
            pace.spare += content.capacity - pace.capacity
        # However output is charged: what shows is no less than what is promised to nobody, and more by the calls
        # in flight at most.
        pace.read(mark.then, shown, rounding, noise, noise + mark.beside)
        if mark.was_reserved is self.is_reserved:  # else it was sent among calls that were not held back
            given = reserved.given - mark.given  # before the call had arrived, or after
            reserved.read(mark.reserved, shown, rounding, rounding, rounding + given)

    def refuse(
        self, mark: Mark, shown: float | None, rounding: float, retry_after_s: float, now: float
    ) -> None:
        """The provider refused this call (already settled with nothing taken), and its headers showed `shown`."""
        held = mark.content + self.content.shifted
        kept = mark.reserved + self.reserved.shifted
        if max(held, kept) > 0.0:  # else both expected it
            self._weigh(mark, max(held, 0.0), max(kept, 0.0))
        there = None if shown is None else shown - self.content.overstated
        if there is not None and rounding < there < mark.hold.most + 2.0 * rounding:
            self.is_reserved = (
                True  # refused although something is there: not a token, but a whole reply had to fit
            )
        need = mark.hold.most if self.is_reserved else 0.0
        if shown is not None:
            for bucket in self.buckets:
                if shown - bucket.overstated >= mark.hold.most + 2.0 * rounding:
                    bucket.overstate(shown, rounding, need, retry_after_s)
        elif held > 2.0 * sqrt(self._variance) + self.in_flight and not self.is_reserved:
            self.pace.shrink(mark.then, mark.hold.need)
            self.content.shrink(mark.content, 0.0)
        for bucket in self.buckets:
            bucket.refuse(need, retry_after_s, now)

    def _weigh(self, mark: Mark, produced: float, reserved: float) -> None:
        """Believe the way of charging that surprises less. The first reading only sets the size.

        Charged as produced is the documented way, so it is left only for a much better explanation, and reserving is
        left again when it is off by several whole reservations each time.
        """
        self._readings += 1
        if self._readings == 1 or mark.was_reserved is not self.is_reserved:
            return
        self._if_produced += (1.0 - SURPRISE_MEMORY) * (produced - self._if_produced)
        self._if_reserved += (1.0 - SURPRISE_MEMORY) * (reserved - self._if_reserved)
        self._usual_most += (1.0 - SURPRISE_MEMORY) * (mark.hold.most - self._usual_most)
        if self._readings < READINGS_THAT_TELL:
            return
        if self.is_reserved:
            self.is_reserved = self._if_reserved < 3.0 * max(self._usual_most, self._if_produced)
        else:
            self.is_reserved = self._if_reserved < 0.33 * self._if_produced and self._if_produced > 200.0


Meter = StartMeter | OutputMeter
