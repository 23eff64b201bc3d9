"""Adds up what a rule finds: how often, how much, how sure, and the rows that show it best."""

from __future__ import annotations

from collections import Counter
from math import exp, log, sqrt

from headway.insights.rates import MILLION
from headway.insights.traffic import Seen

_SHOWN = 3
_STEPS = 20.0  # of a histogram, in each factor of e: a quantile is right to 2.5 %


class Tally:
    """Cases, their money in millionths of a nanodollar, by slice. Exact; the spread is a float."""

    __slots__ = ("_best", "claims", "count", "micros", "squares")

    def __init__(self) -> None:
        self.count = 0
        self.micros = 0
        self.squares = 0.0
        self.claims: dict[int, int] = {}
        self._best: list[tuple[int, int]] = []

    def add(self, seen: Seen, micros: int) -> None:
        """One more case, in which so much would have been saved (or lost, below 0)."""
        self.count += 1
        self.micros += micros
        self.squares += float(micros) * micros
        number = seen.group.number
        self.claims[number] = self.claims.get(number, 0) + micros
        if len(self._best) < _SHOWN:
            self._best.append((micros, seen.id))
        elif micros > self._best[-1][0]:
            self._best[-1] = (micros, seen.id)
            self._best.sort(reverse=True)

    def join(self, other: Tally) -> None:
        """Take in the cases of another."""
        self.count += other.count
        self.micros += other.micros
        self.squares += other.squares
        for number, micros in other.claims.items():
            self.claims[number] = self.claims.get(number, 0) + micros
        self._best = sorted(self._best + other._best, reverse=True)[:_SHOWN]

    @property
    def nanousd(self) -> int:
        return self.micros // MILLION

    @property
    def nanousd_claims(self) -> dict[int, int]:
        """Whole nanodollars by slice."""
        return {number: micros // MILLION for number, micros in self.claims.items() if micros > 0}

    @property
    def spread(self) -> float:
        """One standard error of the money, in nanodollars, when the same kind of traffic comes again (compound Poisson)."""
        return sqrt(self.squares) / MILLION

    @property
    def ids(self) -> tuple[int, ...]:
        """Rows that show it best, the dearest first."""
        return tuple(key for _, key in sorted(self._best, reverse=True))


class Sketch:
    """A histogram of non-negative numbers whose quantiles are right to a few per cent, in bounded memory."""

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0

    def add(self, value: float) -> None:
        self.count += 1
        self._counts[int(log(value + 1.0) * _STEPS + 0.5) if value > 0.0 else 0] += 1

    def join(self, other: Sketch) -> None:
        self._counts.update(other._counts)
        self.count += other.count

    def quantile(self, share: float) -> float:
        """The value below which `share` of the numbers lie. 0 where there are none."""
        wanted, so_far = share * self.count, 0
        for step in sorted(self._counts):
            so_far += self._counts[step]
            if so_far >= wanted:
                return exp(step / _STEPS) - 1.0
        return 0.0
