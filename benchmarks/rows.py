"""The rows of the table: which job, against which limits, by which client, and what is to be reached.

Time is until the last call is let in; the bound is `max over limits of (need - burst) / rate`. In the mode `reserved` it
is that of a client who knows every length and sends as soon as the buckets allow.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from work import Draw

A_MINUTE = (1_200, 600_000, 240_000)  # requests, input tokens, output tokens
TTFT_S, TOKENS_PER_S = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `most` is the ratio to reach, `refusals` the share of calls that may meet a 429."""

    kind: str
    most: float | None = None
    refusals: float | None = None
    client: str = "headway"
    lines: int = 1_500
    burst: float = 5
    admit: str = "fit"
    output: str = "produced"
    limits: bool = True
    known_burst: bool = False
    origin: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    a_minute: tuple[int, int, int] = A_MINUTE

    @property
    def rates(self) -> tuple[float, ...]:
        """Units a second: requests, input tokens, output tokens."""
        return tuple(amount / 60 for amount in self.a_minute)


FAULTS = ("--overloaded", "0.05", "--resets", "0.01", "--cuts", "0.01")
ROWS = {
    "mixed": Row("mixed", 1.05, 0.002),
    "mixed-debt": Row("mixed", 1.05, 0.002, admit="debt"),
    "mixed-60s": Row("mixed", 1.05, 0.002, burst=60),
    "mixed-60s-debt": Row("mixed", 1.05, 0.002, burst=60, admit="debt"),
    "mixed-known": Row("mixed", 1.05, 0.002, known_burst=True),
    "mixed-60s-known": Row("mixed", 1.05, 0.002, burst=60, known_burst=True),
    "balanced": Row("balanced", 1.05, 0.002),
    "output-bound": Row("output-bound", 1.06, 0.002),
    "output-bound-debt": Row("output-bound", 1.06, 0.002, admit="debt"),
    "output-bound-known": Row("output-bound", 1.06, 0.002, known_burst=True),
    "short": Row("short", 1.05, 0.002),
    "short-known": Row("short", 1.05, 0.002, known_burst=True),
    "mixed-learnt": Row("mixed", 1.15, 0.01, limits=False),
    "balanced-learnt": Row("balanced", 1.15, 0.01, limits=False),
    "output-bound-learnt": Row("output-bound", 1.15, 0.01, limits=False),
    "short-learnt": Row("short", 1.15, 0.01, limits=False),
    "two-kinds": Row("two-kinds", 1.08),
    "two-kinds-debt": Row("two-kinds", 1.08, admit="debt"),
    "reserved": Row("reserved", 1.10, output="reserved"),
    "reserved-long": Row("reserved-long", 1.10, output="reserved"),
    "faults": Row("mixed", 1.15, origin=FAULTS),
    # beyond the promises
    "mixed-overstated": Row("mixed", origin=("--overstate",)),
    "mixed-whole": Row("mixed", run=("--no-stream",)),
    "mixed-charged-at-end": Row("mixed", output="end"),
    "output-bound-charged-at-end": Row("output-bound", output="end"),
    "output-bound-charged-at-start": Row("output-bound", output="start"),
    "mixed-1s": Row("mixed", burst=1),
    "mixed-tier-1": Row("mixed", lines=60, a_minute=(50, 30_000, 8_000)),
    "mixed-slow-start": Row("mixed", origin=("--first-token", "2.5")),
    "mixed-head-at-once": Row("mixed", origin=("--head", "admit")),
    # for scale
    "600": Row("mixed", lines=600),
    "600-sdk-64": Row("mixed", client="sdk-64", lines=600),
    "600-sdk-16": Row("mixed", client="sdk-16", lines=600),
    "600-sleep-10": Row("mixed", client="sleep-10", lines=600),
    "600-pacer": Row("mixed", client="pacer", lines=600),
    "600-short": Row("short", lines=600),
    "600-short-sdk-64": Row("short", client="sdk-64", lines=600),
}


def bound_of(row: Row, needs: list[Draw]) -> tuple[float, str]:
    """Seconds of the bound, and the limit that says so."""
    total = (len(needs), sum(need[0] for need in needs), sum(need[1] for need in needs))
    seconds = [
        max(0.0, (need - max(1.0, rate * row.burst)) / rate)
        for need, rate in zip(total, row.rates, strict=True)
    ]
    bound = max(seconds)
    unit = ("requests", "input", "output")[seconds.index(bound)]
    if row.output == "reserved":
        return max(bound, reserved_bound(row, needs)), f"{unit}, reserved"
    return bound, unit


def reserved_bound(row: Row, needs: list[Draw]) -> float:
    """When the last call goes if each goes as soon as it fits, in file order, with all lengths known."""
    sizes = [max(1.0, rate * row.burst) for rate in row.rates]
    levels, now = list(sizes), 0.0
    running: list[tuple[float, int]] = []

    def on(to: float) -> None:
        nonlocal now
        levels[:] = [min(s, at + r * (to - now)) for s, at, r in zip(sizes, levels, row.rates, strict=True)]
        now = to

    for spent_in, out, most in needs:
        charge = (1.0, float(spent_in), float(most))
        while any(level < part - 1e-9 for level, part in zip(levels, charge, strict=True)):
            waits = [(p - at) / r for at, p, r in zip(levels, charge, row.rates, strict=True)]
            ready = now + max(waits)
            if running and running[0][0] < ready:
                at_s, back = heapq.heappop(running)
                on(max(at_s, now))
                levels[2] = min(sizes[2], levels[2] + back)
            else:
                on(ready)
        levels[:] = [at - part for at, part in zip(levels, charge, strict=True)]
        heapq.heappush(running, (now + TTFT_S + out / TOKENS_PER_S, most - out))
    return now
