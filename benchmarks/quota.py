"""The buckets of the benchmarks' own API server: what it admits, charges, refuses and writes down.

Written from the provider's documentation and captures alone, without a look at headway's own emulator, so that it is a
second reading of the same facts. Times are seconds since the server's first request unless they are called `now`.

| `admit` | a call is let in when |
|---|---|
| `fit` | every bucket holds what the call is charged at its start (one that is larger than the bucket: when full) |
| `debt` | every bucket holds anything at all; it may end below zero |

| `output` | output tokens are charged |
|---|---|
| `produced` | as they are produced |
| `end` | all at once, when the call is through |
| `start` | all at once, when it is let in (as if its length were known) |
| `reserved` | `max_tokens` when it is let in, corrected to the truth at its end |
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from prompt_cache import Share

UNITS = ("requests", "input_tokens", "output_tokens")
MOST_LOGGED = 2_000


@dataclass(slots=True)
class Bucket:
    """`amount` a minute, refilled continuously up to `size`. `spilt` counts refill that found it full."""

    amount: float
    size: float
    level: float = 0.0
    at: float = 0.0
    spilt: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.size

    @property
    def rate(self) -> float:
        return self.amount / 60.0

    def refill(self, now: float) -> None:
        level = self.level + self.rate * (now - self.at)
        self.spilt += max(0.0, level - self.size)
        self.level, self.at = min(self.size, level), now


@dataclass(slots=True)
class Run:
    """A call that was let in: what it takes, and how far it is. `share` divides the input of one that may use the cache."""

    input: int
    output: int
    most: int
    first_at: float
    tokens_per_s: float
    produced: float = 0.0
    share: Share | None = None

    def due(self, now: float) -> float:
        return min(float(self.output), max(0.0, (now - self.first_at) * self.tokens_per_s))


@dataclass(frozen=True, slots=True)
class Refusal:
    """The limit that was short, and the whole seconds until it would do."""

    unit: str
    retry_after: int


@dataclass(slots=True)
class Quota:
    """All buckets of one organisation, and its books."""

    buckets: dict[str, Bucket]
    admit: str = "fit"
    output: str = "produced"
    overstate: bool = False
    runs: set[int] = field(default_factory=set)
    first_at: float | None = None
    last_admitted_s: float = 0.0
    admitted: int = 0
    completed: int = 0
    broken: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    need: dict[str, int] = field(default_factory=lambda: dict.fromkeys(UNITS, 0))
    produced: float = 0.0
    cache_read: int = 0
    cache_written: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    course: list[tuple[float, ...]] = field(default_factory=list)
    spilt: dict[str, float] = field(default_factory=dict)
    _live: dict[int, Run] = field(default_factory=dict)
    _most_live: int = 0

    def let_in(self, key: int, run: Run, now: float) -> Refusal | None:
        """Charge the call and let it in, or say why not. A refusal takes nothing."""
        self.begin(now)
        self.advance(now)
        charge = {"requests": 1.0, "input_tokens": float(run.input), "output_tokens": self._at_start(run)}
        for unit, bucket in self.buckets.items():
            wanted = min(charge[unit], bucket.size) if self.admit == "fit" else 0.0
            enough = bucket.level >= wanted if wanted else bucket.level > 0
            if not enough:
                return self._refuse(unit, bucket, wanted, now)
        for unit, bucket in self.buckets.items():
            bucket.level -= charge[unit]
        self._note(run, now)
        self._live[key] = run
        self._most_live = max(self._most_live, len(self._live))
        return None

    def begin(self, now: float) -> None:
        """The clock of the books starts with the first request, whatever becomes of it."""
        if self.first_at is None:
            self.first_at = now
            for bucket in self.buckets.values():
                bucket.at = now

    def advance(self, now: float) -> None:
        """Bring every bucket to `now`, production of the running calls included."""
        if self.first_at is None:
            return
        for bucket in self.buckets.values():
            bucket.refill(now)
        charged = self.output == "produced"
        bucket = self.buckets["output_tokens"]
        for run in self._live.values():
            due = run.due(now)
            if charged:
                bucket.level -= due - run.produced
            run.produced = due

    def end(self, key: int, now: float, *, broken: bool = False) -> None:
        """The call is through, or was cut off: settle what is still to be charged."""
        self.advance(now)
        run = self._live.pop(key, None)
        if run is None:
            return
        bucket = self.buckets["output_tokens"]
        self.produced += run.produced
        if self.output == "end":
            bucket.level -= run.produced
        elif self.output == "reserved":
            bucket.level = min(bucket.size, bucket.level + run.most - run.produced)
        if broken:
            self.broken += 1
        else:
            self.completed += 1

    def remaining(self, unit: str) -> int:
        """As a header says it: whole requests, tokens to the nearest thousand, never below zero.

        With `overstate`, as if the bucket held a whole minute's amount.
        """
        bucket = self.buckets[unit]
        level = bucket.level + (bucket.amount - bucket.size if self.overstate else 0.0)
        return max(0, int(level) if unit == "requests" else 1000 * round(level / 1000))

    def sample(self, now: float) -> None:
        """Write the levels down, for looking at a run afterwards."""
        if self.first_at is not None:
            self.advance(now)
            levels = (round(self.buckets[unit].level) for unit in UNITS)
            self.course.append((round(now - self.first_at, 1), *levels, len(self._live), self.admitted))

    def books(self) -> dict[str, Any]:
        """Everything that was counted."""
        return {
            "admitted": self.admitted,
            "completed": self.completed,
            "broken": self.broken,
            "live": len(self._live),
            "most_live": self._most_live,
            "refused": self.refused,
            "last_admitted_s": round(self.last_admitted_s, 3),
            "need": self.need,
            "produced": round(self.produced),
            "cache_read": self.cache_read,
            "cache_written": self.cache_written,
            "spilt_s": {
                unit: round(self.spilt.get(unit, 0.0) / b.rate, 2) for unit, b in self.buckets.items()
            },
            "log": self.log,
            "course": self.course,
        }

    def _at_start(self, run: Run) -> float:
        return {"produced": 0.0, "end": 0.0, "start": float(run.output), "reserved": float(run.most)}[
            self.output
        ]

    def _refuse(self, unit: str, bucket: Bucket, wanted: float, now: float) -> Refusal:
        short = max(wanted, 1.0) - bucket.level
        wait = max(1, math.ceil(short / bucket.rate))
        self.refused[unit] = self.refused.get(unit, 0) + 1
        if len(self.log) < MOST_LOGGED:
            assert self.first_at is not None
            entry = {
                "at_s": round(now - self.first_at, 2),
                "unit": unit,
                "wanted": round(wanted),
                "retry_after": wait,
                "live": len(self._live),
                "admitted": self.admitted,
            }
            self.log.append(entry | {name: round(each.level) for name, each in self.buckets.items()})
        return Refusal(unit, wait)

    def _note(self, run: Run, now: float) -> None:
        assert self.first_at is not None
        self.admitted += 1
        self.last_admitted_s = now - self.first_at
        self.spilt = {unit: bucket.spilt for unit, bucket in self.buckets.items()}
        for unit, amount in zip(UNITS, (1, run.input, run.output), strict=True):
            self.need[unit] += amount
        if run.share is not None:
            self.cache_read += run.share.read
            self.cache_written += run.share.written
