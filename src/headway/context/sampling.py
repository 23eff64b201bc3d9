"""What a job takes, by asking about some of its lines: the ratio of the true count to the estimate, and how sure it is.

Lines are drawn in proportion to their size, at even steps through the file: so every token of the job has the same chance
to be in the sample, and the mean of the ratios is that of the job (Hansen and Hurwitz, 1943). Nothing is left to chance:
the same job gives the same sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import sqrt

from headway.context.counting import NINE_IN_TEN

WANTED = 200  # lines


@dataclass(frozen=True, slots=True)
class Ratio:
    """True count ÷ estimate: the `mean`, and how far it may be off, nine times in ten. `lines` were asked about."""

    mean: float
    spread: float
    lines: int


def drawn(sizes: Sequence[int], wanted: int = WANTED) -> list[int]:
    """Places of lines in proportion to their size (tokens); a line larger than a step is there several times.

    All lines, once each, if there are no more than are wanted.
    """
    if len(sizes) <= wanted:
        return list(range(len(sizes)))
    upto = list(accumulate(max(1, size) for size in sizes))
    step, found, place = upto[-1] / wanted, [], 0
    for number in range(wanted):
        while upto[place] <= (number + 0.5) * step:
            place += 1
        found.append(place)
    return found


def ratio_of(estimates: Sequence[float], truths: Sequence[float], *, is_all: bool) -> Ratio:
    """The ratio by what was drawn. `is_all`: it was every line of the job, so there is nothing to be unsure of."""
    if is_all:
        return Ratio(sum(truths) / max(1.0, sum(estimates)), 0.0, len(truths))
    ratios = [truth / max(1.0, estimate) for estimate, truth in zip(estimates, truths, strict=True)]
    mean = sum(ratios) / len(ratios)
    variance = sum((each - mean) ** 2 for each in ratios) / max(1, len(ratios) - 1)
    return Ratio(mean, NINE_IN_TEN * sqrt(variance / len(ratios)), len(ratios))
