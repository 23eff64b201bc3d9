"""One limit as the provider keeps it: a token bucket with continuous refill that may go into debt."""

from __future__ import annotations

from heapq import heappop, heappush

from headway.emulator.rules import Admit

_SLACK = 1e-6
_INSTANT_S = 1e-3


class Bucket:
    """The level of one limit over time. Pure: every time is an argument, in seconds, and never goes back.

    `capacity` is in units (the burst), `rate` in units per second. What will be used later (output while it is produced,
    a correction at the start of the reply) is posted ahead and takes effect when its time comes: no timers.
    """

    __slots__ = ("_at", "_drain", "_level", "_posted", "capacity", "rate")

    def __init__(self, capacity: float, rate: float, now: float) -> None:
        self.capacity = capacity
        self.rate = rate
        self._level = capacity
        self._at = now
        self._drain = 0.0
        self._posted: list[tuple[float, float, float]] = []

    def level(self, now: float) -> float:
        """Units held at `now`; negative is debt."""
        while self._posted and self._posted[0][0] <= now:
            at, amount, drain = heappop(self._posted)
            self._run_to(at)
            self._level = min(self.capacity, self._level - amount)
            self._drain = self._drain + drain if self._posted else 0.0
        self._run_to(now)
        return self._level

    def wait_s(self, need: float, admit: Admit, now: float) -> float:
        """Seconds until a request of `need` units would be let in if nothing else came; 0.0: now."""
        level = self.level(now)
        if admit is Admit.DEBT:
            return 0.0 if level > 0.0 else (_SLACK - level) / self.rate
        missing = min(need, self.capacity) - level - _SLACK
        return missing / self.rate if missing > 0.0 else 0.0

    def charge(self, amount: float, at: float) -> None:
        """Take `amount` units (negative: give back) once time reaches `at`."""
        heappush(self._posted, (at, amount, 0.0))

    def drain(self, amount: float, start: float, end: float) -> None:
        """Take `amount` units evenly between `start` and `end`; at once if that is less than a millisecond."""
        if end - start < _INSTANT_S:  # a speed without bound would drown the others in rounding
            self.charge(amount, start)
            return
        speed = amount / (end - start)
        heappush(self._posted, (start, 0.0, speed))
        heappush(self._posted, (end, 0.0, -speed))

    def _run_to(self, now: float) -> None:
        if now > self._at:
            net = self.rate - self._drain
            self._level = min(self.capacity, self._level + net * (now - self._at))
            self._at = now
