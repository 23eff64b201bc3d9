"""How amounts are written on charts, and which round amounts an axis shows."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Literal, assert_never

Measure = Literal["count", "seconds", "usd", "share", "moment"]
"""count: of anything; seconds: a duration; usd: dollars; share: 1 is 100 %; moment: seconds since 1970, shown in UTC."""

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_TIMES = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(step * _MINUTE for step in (1, 2, 5, 10, 15, 30)),
    *(step * _HOUR for step in (1, 2, 3, 6, 12)),
    *(step * _DAY for step in (1, 2, 3, 5, 7, 14, 28, 91, 182, 364)),
)


def written(value: float, measure: Measure) -> str:
    """An amount for eyes, in a few characters: 12.3k, 1m 20s, $0.12, 45 %, 14:05."""
    if not math.isfinite(value):
        return "-"
    match measure:
        case "count":
            return _count(value)
        case "seconds":
            return _duration(value)
        case "usd":
            return _dollars(value)
        case "share":
            return f"{value * 100:.3g}%"
        case "moment":
            return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M}"
        case _:
            assert_never(measure)


def ticks(low: float, high: float, measure: Measure, most: int = 6) -> list[tuple[float, str]]:
    """At most `most` round amounts from `low` to `high`, each as it is written on an axis."""
    if not low < high:
        return [(low, written(low, measure))]
    step = _time_step(low, high, most) if measure in ("seconds", "moment") else _round_step(low, high, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    places = [number * step for number in range(first, last + 1)]
    if measure == "moment":
        return [(place, _clock(place, step)) for place in places]
    return [(place, written(place, measure)) for place in places]


def _time_step(low: float, high: float, most: int) -> float:
    fits = (step for step in _TIMES if (high - low) / step <= most - 1)
    return next(fits, None) or _round_step(low / _DAY, high / _DAY, most) * _DAY


def _round_step(low: float, high: float, most: int) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that needs no more than `most` marks."""
    least = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _count(value: float) -> str:
    size = abs(value)
    for bound, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= bound * 0.9995:
            return f"{value / bound:.3g}{name}" if size < bound * 999.5 else f"{value / bound:,.0f}{name}"
    return f"{value:.3g}" if value != round(value) else f"{value:.0f}"


def _duration(value: float) -> str:
    size = abs(value)
    if size < 1.0:
        return f"{value * 1000:.3g}ms" if value else "0s"
    if size < _MINUTE:
        return f"{value:.3g}s"
    for unit, name, part, of_it in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "m"),
        (_MINUTE, "m", 1.0, "s"),
    ):
        if size >= unit:
            whole, rest = divmod(round(size / part), round(unit / part))
            return f"{'-' if value < 0 else ''}{whole}{name}" + (f" {rest}{of_it}" if rest else "")
    return f"{value:.3g}s"


def _dollars(value: float) -> str:
    size, sign = abs(value), "-" if value < 0 else ""
    if size >= 999_950:
        return f"{sign}${size / 1e6:,.3g}M"
    if size >= 1000 or size == round(size):
        return f"{sign}${size:,.0f}"
    if size >= 0.01:
        return f"{sign}${size:.2f}" if size == round(size, 2) or size >= 1 else f"{sign}${size:.3f}"
    return f"{sign}${size:.2g}" if size >= 0.0001 else f"{sign}${size:.1e}"


def _clock(value: float, step: float) -> str:
    moment = datetime.fromtimestamp(value, UTC)
    if step >= 28 * _DAY:
        return f"{moment:%Y-%m-%d}"
    if step >= _DAY:
        return f"{moment:%m-%d}"
    return f"{moment:%H:%M}" if step >= _MINUTE else f"{moment:%H:%M:%S}"
