"""The statistics of a comparison: intervals for shares, for paired differences, for ratios of totals. Pure.

The unit is the input, not the call: repeats on one input are averaged first, because they are alike. Sources:

- shares: Wilson's score interval (E. B. Wilson, JASA 22, 1927). With repeats the share is the mean over inputs, and n is the
  number of inputs, which is the careful side.
- paired differences: Tango's score interval (T. Tango, Stat. Med. 17, 1998), which belongs to McNemar's test. It is never
  empty, not even where all inputs agree, so a handful of agreeing inputs prove little. A difference of a half, which
  repeats can give, counts as half an input for one side: the careful side again.
- ratios of totals (cost): percentile bootstrap over inputs, with fixed seed; of more than 500 inputs the linear form
  (W. G. Cochran, Sampling Techniques, 1977, chapter 6), which agrees with it there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from statistics import NormalDist

DRAWS = 2000
POWER = 0.8  # how sure to be of an answer with the number of inputs that is asked for
MOST_INPUTS = 100_000
_SEED = 1
_HALVINGS = 40
_MANY = 500  # inputs, beyond which drawing takes long and says what the linear form says


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with where it may truly be."""

    value: float
    low: float
    high: float


def z_for(confidence: float, comparisons: int = 1) -> float:
    """Standard deviations of a two-sided interval; with several comparisons all hold together (Bonferroni)."""
    return NormalDist().inv_cdf(1.0 - (1.0 - confidence) / (2.0 * max(comparisons, 1)))


def share(passed: float, n: int, z: float) -> Interval:
    """The share `passed` of `n`. Nothing is known of none."""
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    p, zz = passed / n, z * z
    middle = (p + zz / (2 * n)) / (1 + zz / n)
    reach = z / (1 + zz / n) * sqrt(max(p * (1 - p), 0.0) / n + zz / (4 * n * n))
    return Interval(p, min(max(middle - reach, 0.0), p), max(min(middle + reach, 1.0), p))


def difference(pairs: Sequence[float], z: float) -> Interval:
    """The mean of differences that lie between -1 and 1, one for each input."""
    ours, theirs = (sum(max(sign * each, 0.0) for each in pairs) for sign in (1, -1))
    return _difference(len(pairs), ours, theirs, z)


def _difference(n: float, ours: float, theirs: float, z: float) -> Interval:
    """Of `n` inputs `ours` count for us alone and `theirs` for them alone."""
    if n == 0:
        return Interval(0.0, -1.0, 1.0)
    value = (ours - theirs) / n

    def far(supposed: float) -> float:
        """By how many standard deviations the data differ from a supposed difference."""
        b = (2 * n - ours + theirs) * supposed - ours - theirs
        c = -theirs * supposed * (1 - supposed)
        alone = (sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        spread = n * (2 * alone + supposed * (1 - supposed))
        return n * (value - supposed) / sqrt(spread) if spread > 0 else 0.0

    low = _root(lambda supposed: far(supposed) > z, -1.0, value)
    high = _root(lambda supposed: far(supposed) >= -z, value, 1.0)
    return Interval(value, low, high)


def _root(still: Callable[[float], bool], low: float, high: float) -> float:
    """Where `still` ends to hold, between `low`, where it does, and `high`."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if still(middle) else (low, middle)
    return (low + high) / 2


def ratio(ours: Sequence[float], theirs: Sequence[float], confidence: float) -> Interval | None:
    """Our total by theirs over the same inputs; None where theirs is nothing."""
    total = sum(theirs)
    if not total or not ours:
        return None
    value = sum(ours) / total
    if len(ours) > _MANY:
        left = [mine - value * other for mine, other in zip(ours, theirs, strict=True)]
        reach = z_for(confidence) * sqrt(sum(each * each for each in left)) / total
        return Interval(value, max(value - reach, 0.0), value + reach)
    low, high = _drawn(ours, theirs, (1.0 - confidence) / 2.0)
    return Interval(value, min(low, value), max(high, value))


def _drawn(ours: Sequence[float], theirs: Sequence[float], tail: float) -> tuple[float, float]:
    random, places = Random(_SEED), range(len(ours))
    found = []
    for _ in range(DRAWS):
        drawn = random.choices(places, k=len(ours))
        below = sum(theirs[place] for place in drawn)
        if below:
            found.append(sum(ours[place] for place in drawn) / below)
    found.sort()
    return _at(found, tail), _at(found, 1.0 - tail)


def quantile(values: Sequence[float], q: float) -> float | None:
    """The value that a share `q` of the values does not exceed; None of none."""
    return _at(sorted(values), q) if values else None


def _at(ordered: Sequence[float], q: float) -> float:
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def inputs_needed(pairs: Sequence[float], margin: float, z: float) -> int | None:
    """How many inputs in all would tell, if they go on as these did: whether the difference is above -`margin` or below 0.

    With a chance of `POWER`. None: more than `MOST_INPUTS`, or nothing to go by.
    """
    if not pairs:
        return None
    n, surer = len(pairs), z + NormalDist().inv_cdf(POWER)
    ours, theirs = (sum(max(sign * each, 0.0) for each in pairs) / n for sign in (1, -1))

    def tells(count: float) -> bool:
        found = _difference(count, ours * count, theirs * count, surer)
        return found.low > -margin or found.high < 0.0

    low, high = n, n
    while not tells(high):
        low, high = high, high * 2
        if low > MOST_INPUTS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    return high
