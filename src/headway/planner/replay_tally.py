"""Counts what a replay did: who waited how long, by tenant and class; waits over time; money. In bounded memory.

Waits are kept as histograms of 64 steps an octave, so a percentile is exact within 1.1 %. Wait is from a call's arrival until
the attempt that was let in was sent, refusals and pauses included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log2

from headway.planner.replay_rows import Asked

WAITS_S = 1.0  # a call that stands longer has waited; less nobody notices
GROUPS, OTHERS = 1_000, "(others)"
BINS = 120  # of time
_STEPS, _LEAST_S = 64, 1e-3


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits of one group. Seconds. `waited` counts calls of more than a second."""

    tenant: str
    class_: str
    calls: int
    waited: int
    p50_s: float
    p90_s: float
    most_s: float


@dataclass(frozen=True, slots=True)
class Bin:
    """The calls that came in one stretch of time, beginning at `at_s`: how many, their mean and longest wait, 429s."""

    at_s: float
    calls: int
    mean_s: float
    most_s: float
    refusals: int


@dataclass(slots=True)
class _Group:
    calls: int = 0
    waited: int = 0
    most: float = 0.0
    steps: dict[int, int] = field(default_factory=dict)

    def add(self, wait_s: float) -> None:
        self.calls += 1
        if wait_s < _LEAST_S:
            return
        if wait_s > WAITS_S:
            self.waited += 1
        if wait_s > self.most:
            self.most = wait_s
        step = int(_STEPS * log2(wait_s / _LEAST_S))
        self.steps[step] = self.steps.get(step, 0) + 1

    def percentile(self, share: float) -> float:
        """Seconds that `share` of the calls did not exceed."""
        seen, wanted = self.calls - sum(self.steps.values()), share * self.calls
        if seen >= wanted:
            return 0.0
        for step in sorted(self.steps):
            seen += self.steps[step]
            if seen >= wanted:
                return min(_LEAST_S * float(2.0 ** ((step + 0.5) / _STEPS)), self.most)
        return self.most

    def waits(self, tenant: str, class_: str) -> Waits:
        return Waits(
            tenant, class_, self.calls, self.waited, self.percentile(0.5), self.percentile(0.9), self.most
        )


class Tally:
    """`span_s` is how long the recording is."""

    def __init__(self, span_s: float) -> None:
        self.calls = 0
        self.refused_by_budget = 0
        self.refused_to_wait = 0
        self.failed = 0
        self.nanousd = 0
        self.unpriced = 0
        self.refused_nanousd = 0
        self.ended_at = 0.0
        self._groups: dict[tuple[str, str], _Group] = {}
        self._all = _Group()
        self._bin_s = max(span_s / BINS, 1e-9)
        self._bins = [[0, 0.0, 0.0, 0] for _ in range(BINS)]

    def answered(self, asked: Asked, wait_s: float, now: float) -> None:
        """A call was answered, after it had waited so long."""
        self._wait(asked, wait_s)
        self.ended_at = now
        if asked.cost is None:
            self.unpriced += 1
        else:
            self.nanousd += asked.cost

    def refused(self, asked: Asked, *, by_budget: bool) -> None:
        """A call was not sent: a budget, or it would have waited too long."""
        self.calls += 1
        if by_budget:
            self.refused_by_budget += 1
        else:
            self.refused_to_wait += 1
        self.refused_nanousd += asked.cost or 0

    def gave_up(self, asked: Asked, wait_s: float, now: float) -> None:
        """A call failed for good, after so long."""
        self.failed += 1
        self.refused_nanousd += asked.cost or 0
        self._wait(asked, wait_s)
        self.ended_at = now

    def all(self) -> Waits:
        """The waits of everybody."""
        return self._all.waits("", "")

    def groups(self) -> tuple[Waits, ...]:
        """By tenant and class, who waited longest first."""
        found = [group.waits(*name) for name, group in self._groups.items()]
        return tuple(
            sorted(found, key=lambda waits: (-waits.p90_s, -waits.most_s, waits.tenant, waits.class_))
        )

    def bins(self) -> tuple[Bin, ...]:
        """Over time, by when calls came."""
        return tuple(
            Bin(index * self._bin_s, int(calls), waited / calls if calls else 0.0, most, int(refusals))
            for index, (calls, waited, most, refusals) in enumerate(self._bins)
        )

    def _wait(self, asked: Asked, wait_s: float) -> None:
        self.calls += 1
        name = (asked.tenant, asked.class_.value)
        group = self._groups.get(name)
        if group is None:
            if len(self._groups) >= GROUPS:
                name = (OTHERS, asked.class_.value)
            group = self._groups.setdefault(name, _Group())
        group.add(wait_s)
        self._all.add(wait_s)
        index = int(asked.arrived_at / self._bin_s)
        bin_ = self._bins[index if index < BINS else BINS - 1]
        bin_[0] += 1
        bin_[1] += wait_s
        bin_[3] += asked.refusals
        if wait_s > bin_[2]:
            bin_[2] = wait_s
