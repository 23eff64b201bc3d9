"""Growth, bounded: only after the provider has said that ours was too steep (`ramp_limit_exceeded`, `slow_down`).

The allowed growth is not published by Anthropic; OpenAI publishes 50 % per 15 minutes above 1M input tokens a minute.
So after a bite calls go on at half the rate that bit, and that rate grows by half each minute until nothing bites.
"""

from __future__ import annotations

GROWTH_PER_MINUTE = 1.5
MEMORY_S = 10.0
FORGOTTEN_AFTER_S = 600.0


class Ramp:
    """Decides how soon the next call may start, in seconds; 0 as long as nothing ever bit."""

    def __init__(self) -> None:
        self._recent = 0.0  # calls started, fading over MEMORY_S
        self._last = 0.0
        self._bitten_at: float | None = None
        self._rate = 0.0

    def start(self, now: float) -> None:
        """A call starts."""
        self._recent = self._faded(now) + 1.0
        self._last = now

    def bite(self, now: float) -> None:
        """The provider said that calls grow too fast. One bite counts for a second: calls sent together say one thing."""
        if self._bitten_at is not None and now - self._bitten_at < 1.0:
            return
        rate = self._faded(now) / MEMORY_S
        self._rate = max(0.5 * min(rate, self._allowed(now)), 0.1)
        self._bitten_at = now

    def wait(self, now: float) -> float:
        """Seconds until the next call may start."""
        if self._bitten_at is None:
            return 0.0
        if now - self._bitten_at > FORGOTTEN_AFTER_S:
            self._bitten_at = None
            return 0.0
        return max(self._last + 1.0 / self._allowed(now) - now, 0.0)

    def _allowed(self, now: float) -> float:
        if self._bitten_at is None:
            return float("inf")
        return float(self._rate * GROWTH_PER_MINUTE ** ((now - self._bitten_at) / 60.0))

    def _faded(self, now: float) -> float:
        return self._recent * float(2.718281828 ** (-max(now - self._last, 0.0) / MEMORY_S))
