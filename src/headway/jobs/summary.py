"""What a job comes to at its end, as numbers for machines and for the summary that people see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway.core.call import Unit
from headway.core.engine import Engine
from headway.jobs.counting import TOKENS
from headway.jobs.ending import Stop
from headway.jobs.tally import Tally


def summarise(
    tally: Tally, engine: Engine, stop: Stop | None, *, output: str, now: float
) -> Mapping[str, Any]:
    """The summary as one JSON object. Times in seconds, money in dollars and nanodollars, shares from 0 to 1."""
    elapsed = max((tally.ended_at or now) - tally.began_at, 1e-9)
    return {
        "calls": tally.total,
        "succeeded": tally.succeeded,
        "errored": tally.errored + tally.bad,
        "already_done": tally.before,
        "already_errored": tally.before_errored,
        "left": max(tally.total - tally.done, 0),
        "attempts": tally.attempts,
        "retried_calls": tally.retried,
        "rate_limited": tally.rate_limited,
        "errors": dict(tally.errors),
        "tokens": {name: tally.tokens[name] for name in TOKENS},
        "cost_usd": tally.nanousd / 1e9,
        "cost_nanousd": tally.nanousd,
        "cost_before_usd": tally.before_nanousd / 1e9,
        "unpriced_attempts": tally.unpriced,
        "estimated_attempts": tally.estimated,
        "elapsed_s": round(elapsed, 3),
        "limits": [limit for name in engine.pools for limit in _limits(engine, name, elapsed, now)],
        "bound_s": _bound(engine),
        "stopped": None if stop is None else {"reason": stop.reason, "hint": stop.hint},
        "output": output,
    }


def _limits(engine: Engine, name: str, elapsed: float, now: float) -> list[dict[str, Any]]:
    pool = engine.pools[name]
    found = []
    for level in engine.levels(name, now):
        unit, rate = level.limit.unit, level.limit.rate
        used = pool.used.get(unit, 0.0)
        found.append(
            {
                "pool": name,
                "unit": unit.value,
                "amount": level.limit.amount,
                "period_s": level.limit.period_s,
                "used": round(used),
                "share_used": round(used / (rate * elapsed), 4),
                "capacity": None if level.capacity is None else round(level.capacity),
                "bound_s": round(pool.bound_s.get(unit.value, 0.0), 3),
            }
        )
    return found


def _bound(engine: Engine) -> dict[str, float]:
    """For how long each thing kept the next call back, over all pools."""
    total: dict[str, float] = {}
    for pool in engine.pools.values():
        for why, seconds in pool.bound_s.items():
            total[why] = total.get(why, 0.0) + seconds
    return {why: round(seconds, 3) for why, seconds in sorted(total.items(), key=lambda item: -item[1])}


def binding(engine: Engine) -> str:
    """What keeps the next call back now, in words ("" if nothing does)."""
    for pool in engine.pools.values():
        if pool.waits_for and len(pool.line):
            return pool.waits_for.replace("_", " ") if pool.waits_for in set(Unit) else pool.waits_for
    return ""
