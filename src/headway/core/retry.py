"""Whether and when a failed attempt is tried again. The only retry layer there is.

| fault | what is done |
|---|---|
| rate_limited, ramp_limited | wait what the provider says, however long, then go through the line again |
| overloaded, failed | exponential back-off with full jitter, or what the provider says if that is longer |
| rejected, stopped | never again |

Retries draw on a budget, so that an outage is not answered with more load: each first attempt earns a share of one.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.core.call import Call, Fault, Problem

BACK_OFF_S = 0.5
BACK_OFF_AT_MOST_S = 60.0
LONG_S = 1.0  # a refusal without `retry-after` waits about this, doubled each time


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `wait_s` seconds."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The problem is final. `why` says what ended the tries."""

    why: str


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` is the most an attempt may be repeated; refusals by a limit do not count unless they never end."""

    retries: int = 8
    refusals: int = 50

    def decide(
        self, problem: Problem, call: Call, failures: int, refusals: int, now: float, draw: float
    ) -> Again | GiveUp:
        """Decide after `failures` failed and `refusals` refused attempts, this one included. `draw` is uniform in [0, 1)."""
        match problem.fault:
            case Fault.REJECTED | Fault.STOPPED:
                return GiveUp("the provider will not change its answer")
            case Fault.RATE_LIMITED | Fault.RAMP_LIMITED:
                if refusals > self.refusals:
                    return GiveUp(f"refused {refusals} times")
                wait = problem.retry_after_s
                if wait is None:
                    wait = min(LONG_S * 2 ** min(refusals - 1, 10) * (1.0 + draw), BACK_OFF_AT_MOST_S)
            case Fault.OVERLOADED | Fault.FAILED:
                if failures > self.retries:
                    return GiveUp(f"failed {failures} times")
                wait = min(BACK_OFF_S * 2 ** min(failures - 1, 10), BACK_OFF_AT_MOST_S) * (0.5 + 0.5 * draw)
                wait = max(wait, problem.retry_after_s or 0.0)
        if call.deadline is not None and now + wait > call.deadline:
            return GiveUp(f"the next try, in {wait:.0f} s, would be after the deadline")
        if call.max_wait_s is not None and wait > call.max_wait_s:
            return GiveUp(
                f"the next try is {wait:.0f} s away, longer than the {call.max_wait_s:.0f} s it may wait"
            )
        return Again(wait)


class RetryBudget:
    """Retries allowed: `share` of one for each first attempt, `floor` of them saved up at most at the start."""

    def __init__(self, share: float = 0.2, floor: float = 20.0) -> None:
        self._share = share
        self._most = floor * 5
        self._saved = floor

    def earn(self) -> None:
        """A first attempt was sent."""
        self._saved = min(self._saved + self._share, self._most)

    def spend(self) -> float:
        """A retry is wanted: returns by how many seconds it must be put off (0: it fits the budget)."""
        self._saved = max(self._saved - 1.0, -self._most)
        return 0.0 if self._saved >= 0 else min(-self._saved / self._share * 0.1, BACK_OFF_AT_MOST_S)
