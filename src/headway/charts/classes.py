"""The arithmetic of histograms: classes of equal width (or ratio), and quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MARKED = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Classes:
    """`counts[i]` values lie between `edges[i]` and `edges[i + 1]`; the last class has its upper edge in it."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


def classes(values: Sequence[float], most: int, *, log: bool = False) -> Classes:
    """At most `most` classes, all of them between the least and the greatest value. Values that are not finite are left out.

    With `log` values of 0 and less are left out, too.
    """
    good = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not good:
        return Classes((0.0, 1.0), (0,))
    scaled = [math.log(value) for value in good] if log else good
    low, high = min(scaled), max(scaled)
    if low == high:
        return Classes((math.exp(low), math.exp(low)) if log else (low, low), (len(good),))
    number = max(1, min(most, 2 * math.ceil(len(good) ** 0.5)))
    counts = [0] * number
    for value in scaled:
        counts[min(number - 1, int((value - low) / (high - low) * number))] += 1
    edges = [low + (high - low) * place / number for place in range(number + 1)]
    return Classes(tuple(math.exp(edge) for edge in edges) if log else tuple(edges), tuple(counts))


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed, between two of them by proportion. NaN: there are none."""
    ordered = sorted(value for value in values if math.isfinite(value))
    if not ordered:
        return math.nan
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
