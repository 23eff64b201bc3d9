"""How many calls may be in flight, and when none may start because the provider is overloaded.

A fixed ceiling (`most`) always holds. Where headers are missing there is nothing to pace by, so the ceiling adapts:
it grows by one for each full round of successes and halves on a refusal (additive increase, multiplicative decrease;
V. Jacobson, "Congestion avoidance and control", 1988). Overload (529, 503) and failures (5xx, broken
connections) are the provider's trouble, not our quota: single ones are retried, but a run of nothing else closes the
pool, and one probe at a time opens it again.
"""

from __future__ import annotations

OVERLOADS_THAT_CLOSE = 10
CLOSED_AT_MOST_S = 60.0
FIRST_CEILING = 4.0


class Ceiling:
    """Decides on calls in flight of one pool. Times are monotonic seconds."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.in_flight = 0
        self.adaptive: float | None = FIRST_CEILING  # None once headers tell the limits
        self._overloads = 0
        self._closed_until = 0.0
        self._decreased_at = float("-inf")

    @property
    def height(self) -> float:
        """Calls that may be in flight at once."""
        most = float("inf") if self.most is None else float(self.most)
        return most if self.adaptive is None else min(most, self.adaptive)

    def wait(self, now: float) -> float:
        """Seconds until a place may be free; 0: now, infinity: when a call in flight ends."""
        if self._overloads >= OVERLOADS_THAT_CLOSE:
            if now < self._closed_until:
                return self._closed_until - now
            if self.in_flight:
                return float("inf")
        if self.adaptive is None and self.most is None:
            return 0.0
        return 0.0 if self.in_flight + 1 <= self.height else float("inf")

    def enter(self) -> None:
        """A call goes."""
        self.in_flight += 1

    def leave(self) -> None:
        """A call is over, however it ended."""
        self.in_flight -= 1

    def succeeded(self) -> None:
        """A call was answered."""
        self._overloads = 0
        self._closed_until = 0.0
        if self.adaptive is not None and self.in_flight + 1 >= 0.5 * self.adaptive:
            self.adaptive += 1.0 / self.adaptive

    def overloaded(self, now: float) -> None:
        """A call was turned away for lack of the provider's capacity, or the provider could not be reached."""
        self._overloads += 1
        if self._overloads >= OVERLOADS_THAT_CLOSE:
            doublings = min(self._overloads - OVERLOADS_THAT_CLOSE, 10)
            self._closed_until = now + min(0.5 * 2**doublings, CLOSED_AT_MOST_S)

    def refused(self, now: float, round_trip_s: float) -> None:
        """A call was refused by a limit. One decrease a round trip: the calls sent together say one thing."""
        if self.adaptive is not None and now - self._decreased_at >= round_trip_s:
            self.adaptive = max(1.0, 0.5 * min(self.adaptive, self.in_flight + 1.0))
            self._decreased_at = now
