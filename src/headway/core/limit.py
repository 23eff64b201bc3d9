"""A limit: an amount per period of one unit, and how people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches

from headway.core.call import Unit
from headway.errors import ConfigError

_PERIODS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "min": 60.0,
    "m": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
}
_PERIODS |= {"d": 86400.0, "day": 86400.0}
_SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_AMOUNT = re.compile(r"(\d[\d_,]*(?:\.\d+)?)\s*([kmg]?)(?:\s*/\s*([a-z]+))?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d|)", re.IGNORECASE)
_LIMITED = (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS, Unit.TOKENS)


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` of `unit` per `period_s` seconds, refilled continuously.

    `burst` is what a full bucket holds, in the same unit; None: unknown, to be learnt. `given` limits are yours: the
    provider may tighten them, but a higher limit of the provider does not widen them.
    """

    unit: Unit
    amount: float
    period_s: float = 60.0
    burst: float | None = None
    given: bool = False

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.amount / self.period_s

    def __str__(self) -> str:
        period = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "day"}.get(
            self.period_s, f"{self.period_s:g}s"
        )
        return f"{self.amount:,.0f} {self.unit.replace('_', ' ')}/{period}"


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Read `requests=50/min,input_tokens=30k/min`. Raises ConfigError naming the part that is wrong."""
    limits: dict[Unit, Limit] = {}
    for part in filter(None, (piece.strip() for piece in re.split(r",(?!\d{3}\b)", text))):
        name, _, value = part.partition("=")
        unit = _unit(name.strip())
        amount, period_s = parse_amount(value, of=f"limit {name.strip()}")
        limits[unit] = Limit(unit, amount, period_s, given=True)
    return tuple(limits.values())


def parse_amount(text: str, *, of: str) -> tuple[float, float]:
    """Read `30k/min` as (30000.0, 60.0); without a period it is per minute."""
    match = _AMOUNT.fullmatch(text.strip())
    period = (match[3] or "min").lower() if match else ""
    if match is None or period not in _PERIODS:
        raise ConfigError(
            f"{of}: cannot read {text!r}", hint="Write an amount per period, such as 30k/min or 10/s."
        )
    amount = float(match[1].replace(",", "").replace("_", "")) * _SCALES[match[2].lower()]
    if amount <= 0:
        raise ConfigError(f"{of}: must be more than 0, not {text!r}")
    return amount, _PERIODS[period]


def parse_duration(text: str, *, of: str) -> float:
    """Read `5s`, `10m`, `1.5h`, `250ms` or bare seconds, in seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{of}: cannot read the duration {text!r}", hint="Write it like 30s, 10m or 1.5h.")
    unit = match[2].lower()
    return float(match[1]) * (0.001 if unit == "ms" else _PERIODS[unit or "s"])


def with_burst(limits: tuple[Limit, ...], text: str) -> tuple[Limit, ...]:
    """Set what full buckets hold: `5s` (seconds of refill, for every limit) or `requests=100,input_tokens=50k`."""
    if "=" not in text:
        seconds = parse_duration(text, of="--burst")
        return tuple(replace(limit, burst=max(1.0, limit.rate * seconds)) for limit in limits)
    given = {limit.unit: limit.amount for limit in parse_limits(text)}
    return tuple(replace(limit, burst=given.get(limit.unit, limit.burst)) for limit in limits)


def _unit(name: str) -> Unit:
    known = {unit.value: unit for unit in _LIMITED}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known limits: {', '.join(known)}."
    raise ConfigError(f"unknown limit {name!r}", hint=hint)
