"""The acceleration limit: a minute may hold only so many times the requests of the minute before it."""

from __future__ import annotations

from bisect import bisect_right

_KEEP_MINUTES = 2.0


class Ramp:
    """Admissions of the last two minutes. Times in seconds, `minute_s` is how long a minute takes."""

    def __init__(self, factor: float, floor: float, minute_s: float) -> None:
        self._factor = factor
        self._floor = floor
        self._minute_s = minute_s
        self._times: list[float] = []

    def wait_s(self, now: float) -> float:
        """Seconds until one more request would be let in if nothing else came; 0.0: now."""
        if self._fits(now):
            return 0.0
        step = self._minute_s / 60.0
        return next(
            (tries * step for tries in range(1, 60) if self._fits(now + tries * step)), self._minute_s
        )

    def admit(self, now: float) -> None:
        """One more was let in."""
        self._times.append(now)
        if len(self._times) > 1024 and self._times[512] < now - _KEEP_MINUTES * self._minute_s:
            del self._times[:512]

    def _fits(self, now: float) -> bool:
        minute = bisect_right(self._times, now - self._minute_s)
        before = minute - bisect_right(self._times, now - 2 * self._minute_s)
        return len(self._times) - minute < max(self._floor, self._factor * before)
