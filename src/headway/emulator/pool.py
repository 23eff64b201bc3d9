"""What the provider counts together: the buckets of one model class, the admission test, and the headers that show it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from time import gmtime, strftime

from headway.emulator.bucket import Bucket
from headway.emulator.profile import Profile
from headway.emulator.rules import Admit, Output, Refused, Remaining
from headway.emulator.tiers import Limits

Headers = list[tuple[bytes, bytes]]
_TOKEN_UNITS = ("input_tokens", "output_tokens", "tokens")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The limit that binds longest. `limit` is per minute; `retry_after_s` whole seconds: sooner would fail again."""

    unit: str
    limit: float
    retry_after_s: int


@dataclass(frozen=True, slots=True)
class Load:
    """What an admitted request will put on the buckets. Tokens; times in seconds of the same clock as `now`."""

    estimated_input: float
    true_input: int
    max_output: int
    output: int
    starts_at: float
    ends_at: float


class Pool:
    """The buckets of one pool. Pure: times are arguments."""

    def __init__(self, profile: Profile, limits: Limits, now: float) -> None:
        self._profile = profile
        self._limits = {
            unit: limit
            for unit in ("requests", *_TOKEN_UNITS)
            if (limit := getattr(limits, unit)) is not None
        }
        self._buckets = {unit: self._bucket(unit, limit, now) for unit, limit in self._limits.items()}

    def refuse(self, load: Load, now: float) -> Refusal | None:
        """Why a request cannot be let in at `now`; None: it can. Changes nothing."""
        waits = {
            unit: bucket.wait_s(self._need(unit, load), self._rule(unit), now)
            for unit, bucket in self._buckets.items()
        }
        unit = max(waits, key=waits.__getitem__, default="")
        if not unit or waits[unit] == 0.0:
            return None
        return Refusal(unit, self._limits[unit], max(1, ceil(waits[unit])))

    def count_refusal(self, now: float) -> None:
        """A request was refused: where the profile says so, that uses up a request too."""
        if self._profile.refused is Refused.COUNTED and "requests" in self._buckets:
            self._buckets["requests"].charge(1.0, now)

    def charge(self, load: Load, now: float) -> None:
        """Let a request in: what it takes at once is taken, what it will take later is posted."""
        reserved = self._profile.output is Output.RESERVED
        for unit, bucket in self._buckets.items():
            if unit == "requests":
                bucket.charge(1.0, now)
            if unit in ("input_tokens", "tokens"):
                bucket.charge(load.estimated_input, now)
                bucket.charge(load.true_input - load.estimated_input, load.starts_at)
            if unit in ("output_tokens", "tokens") and reserved:
                bucket.charge(load.max_output, now)
                bucket.charge(load.output - load.max_output, load.ends_at)
            elif unit in ("output_tokens", "tokens"):
                bucket.drain(load.output, load.starts_at, load.ends_at)

    def headers(self, now: float, at_utc: float) -> Headers:
        """The rate-limit headers at this moment. Token amounts are rounded to the nearest thousand, none is below 0."""
        shown = {unit: self._show(unit, now) for unit in self._buckets}
        if "tokens" not in shown and "input_tokens" in shown and "output_tokens" in shown:
            parts = shown["input_tokens"], shown["output_tokens"]
            shown["tokens"] = (
                parts[0][0] + parts[1][0],
                parts[0][1] + parts[1][1],
                max(parts[0][2], parts[1][2]),
            )
        headers: Headers = []
        for unit, (limit, left, full_in_s) in shown.items():
            name = b"anthropic-ratelimit-" + unit.replace("_", "-").encode()
            headers.append((name + b"-limit", b"%d" % limit))
            headers.append((name + b"-remaining", b"%d" % left))
            headers.append((name + b"-reset", rfc3339(int(at_utc + full_in_s))))
        return headers

    def levels(self, now: float) -> dict[str, dict[str, float]]:
        """Limit per minute, capacity and level of each bucket."""
        return {
            unit: {"limit": self._limits[unit], "capacity": bucket.capacity, "level": bucket.level(now)}
            for unit, bucket in self._buckets.items()
        }

    def _bucket(self, unit: str, limit: float, now: float) -> Bucket:
        capacity = limit * self._profile.burst_s / 60.0
        return Bucket(max(1.0, capacity) if unit == "requests" else capacity, limit / 60.0, now)

    def _rule(self, unit: str) -> Admit:
        if unit == "requests":
            return Admit.FIT
        if unit == "output_tokens" and self._profile.output is Output.PRODUCED:
            return Admit.DEBT
        return self._profile.admit

    def _need(self, unit: str, load: Load) -> float:
        if unit == "requests":
            return 1.0
        need = 0.0
        if unit != "output_tokens":
            need += load.estimated_input
        if unit != "input_tokens" and self._profile.output is Output.RESERVED:
            need += load.max_output
        return need

    def _show(self, unit: str, now: float) -> tuple[int, int, float]:
        bucket, limit = self._buckets[unit], self._limits[unit]
        level = bucket.level(now)
        missing = bucket.capacity - level
        left = limit - missing if self._profile.remaining is Remaining.MINUTE else level
        rounded = round(left / 1000.0) * 1000 if unit in _TOKEN_UNITS else int(left)
        return int(limit), min(int(limit), max(0, rounded)), missing / bucket.rate


@lru_cache(maxsize=4096)
def rfc3339(at_utc: int) -> bytes:
    """A moment in whole seconds, as headers write it."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at_utc)).encode()
