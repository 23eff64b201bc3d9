"""Refusals: which limit the provider's is about, and what ours says."""

from __future__ import annotations

from collections.abc import Sequence

from headway.core.call import Problem, Reading, Unit
from headway.errors import WouldWaitTooLong

INFINITY = float("inf")


def limit_behind(problem: Problem, readings: Sequence[Reading]) -> Unit | None:
    """The limit behind a refusal: the one the provider names, else one that its headers show as used up."""
    if problem.unit is not None:
        return problem.unit
    empty = [
        r.unit for r in readings if r.remaining is not None and r.amount and r.remaining <= 0.01 * r.amount
    ]
    return empty[0] if len(empty) == 1 else None


def too_long(limit: str, level: float, wait_s: float) -> WouldWaitTooLong:
    """Why a call does not wait any longer: `wait_s` more seconds for `limit`, which holds `level`."""
    clears = f", clears in {wait_s:,.1f} s" if 0.0 < wait_s < INFINITY else ""
    return WouldWaitTooLong(
        f"would wait for {limit} longer than it may: at level {level:,.0f}{clears}",
        limit=limit,
        level=level,
        wait_s=wait_s,
        hint="Allow a longer wait, a smaller request, or a higher limit.",
    )
