"""Numbers as findings say them."""

from __future__ import annotations


def tokens(count: float) -> str:
    """Three digits: 950, 12.3k, 4.56M."""
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit * 0.9995:
            scaled = count / unit
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{letter}"
    return f"{count:.0f}"


def money(nanousd: int) -> str:
    """Cents, or three digits below one dollar: $1,234.50, $0.123."""
    value = nanousd / 1e9
    if value >= 0.995 or value == 0:
        return f"${value:,.2f}"
    return f"${value:.3f}" if value >= 0.00995 else f"${value:.2g}"


def duration(seconds: float) -> str:
    """40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def who(where: dict[str, str]) -> str:
    """A slice in a few words: its job or tenant, then its label."""
    tenant, job, label = (where.get(name, "") for name in ("tenant", "job", "label"))
    named = f"job {job}" if job else tenant
    return f"{named}/{label}" if label and named not in ("", "default") else label or named or "default"
