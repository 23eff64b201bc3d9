"""Reads medians and other shares out of counts by step."""

from __future__ import annotations

from collections.abc import Mapping


def at_share(steps: Mapping[int, int], share: float) -> int | None:
    """The step that `share` of the counts do not go beyond: 0.5 is the median. None: there are none."""
    wanted, seen = sum(steps.values()) * share, 0
    for step, count in sorted(steps.items()):
        seen += count
        if count and seen >= wanted:
            return step
    return None
