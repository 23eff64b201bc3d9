"""Numbers as people read them: counts, dollars, times, shares."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def humane(count: int) -> str:
    """A count in at most five characters or so: 999, 12.3k, 4.56M."""
    for unit, name in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit * 0.9995:
            scaled = count / unit
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{name}"
    return str(count)


def dollars(nanousd: int) -> str:
    """Three digits or the cent, whichever says more: $1,234.50, $0.123, $0.00012."""
    value = nanousd / 1e9
    if nanousd == 0:
        return "$0"
    if value >= 0.995:
        return f"${value:,.2f}"
    if value < 0.00001:
        return "<$0.00001"
    digits = next(places for places in range(2, 8) if value * 10**places >= 9.95 or places == 7)
    return f"${value:.{min(digits + 1, 5)}f}"


def duration(ms: float | None) -> str:
    """Milliseconds as 12ms, 3.4s, 5.6m, 7.8h, 9.0d; less than one: a dash."""
    if ms is None or ms < 1:
        return "-"
    if ms < 999.5:
        return f"{ms:.0f}ms"
    for seconds, name in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if ms >= seconds * 999.5:
            return f"{ms / 1000 / seconds:.1f}{name}"
    raise AssertionError(ms)


def share(part: int, whole: int) -> str:
    """A part in percent; none: a dash."""
    return f"{part / whole:.0%}" if whole and part else "-"


def trend(values: Sequence[int]) -> str:
    """A line of bars, the highest value being full; nothing is a dot."""
    most = max(values, default=0)
    return "".join(
        "·" if value <= 0 else _BARS[min(len(_BARS) - 1, value * len(_BARS) // most)] for value in values
    )
