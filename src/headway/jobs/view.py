"""A running job as people see it: one frozen picture, made in the loop that runs the job, drawn elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from headway.core.call import Unit
from headway.core.engine import Engine
from headway.jobs.job import Job
from headway.jobs.summary import binding
from headway.jobs.tally import Tally

ENOUGH_REPLIES, ENOUGH_FOR_PACE = 5, 20


@dataclass(frozen=True, slots=True)
class LimitView:
    """One limit now. `fullness` from 0 to 1 (None: not known yet); `share_used` of the whole quota since the start."""

    name: str
    fullness: float | None
    share_used: float
    binds: bool


@dataclass(frozen=True, slots=True)
class View:
    """One moment of a job. Money in dollars; `left_s` and `expected_usd` are None until there is ground for them."""

    total: int
    done: int
    failed: int
    in_flight: int
    elapsed_s: float
    left_s: float | None
    input_tokens: int
    output_tokens: int
    expected_input: float
    expected_output: float
    usd: float
    expected_usd: float | None
    rate_limited: int
    limits: tuple[LimitView, ...]
    waits_for: str
    note: str


def look(job: Job, now: float) -> View:
    """Take the picture."""
    tally, engine = job.tally, job.engine
    left = max(tally.total - tally.done, 0)
    answered = tally.succeeded
    sent_in = sum(tally.tokens[name] for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h"))
    sent_out = tally.tokens["output"]
    mean_out = sent_out / answered if answered >= ENOUGH_REPLIES else tally.likely_output
    usd = tally.nanousd / 1e9
    return View(
        total=tally.total,
        done=tally.done,
        failed=tally.errored + tally.bad,
        in_flight=engine.in_flight,
        elapsed_s=now - tally.began_at,
        left_s=_left_s(tally, engine, left, mean_out, now),
        input_tokens=sent_in,
        output_tokens=sent_out,
        expected_input=sent_in + max(tally.input_left, 0.0),
        expected_output=sent_out + left * mean_out,
        usd=usd,
        expected_usd=usd + left * usd / answered if answered >= ENOUGH_REPLIES else None,
        rate_limited=tally.rate_limited,
        limits=_limits(job, now),
        waits_for=binding(engine) or _next_try(job),
        note=_note(job, now),
    )


def _left_s(tally: Tally, engine: Engine, left: int, mean_out: float, now: float) -> float | None:
    """Seconds to go: what the scarcest limit needs to let the rest through, or as it went so far if that is slower."""
    needs = {
        Unit.REQUESTS: float(left),
        Unit.INPUT_TOKENS: tally.input_left,
        Unit.OUTPUT_TOKENS: left * mean_out,
    }
    by_limit = 0.0
    for name in engine.pools:
        for level in engine.levels(name, now):
            need = needs.get(level.limit.unit, 0.0) - max(level.content, 0.0)
            by_limit = max(by_limit, need / level.limit.rate)
    answered = tally.succeeded + tally.errored
    if answered < ENOUGH_FOR_PACE:
        return by_limit or None
    by_pace = (now - tally.began_at) / answered * left
    return max(by_limit, min(by_pace, 2.0 * by_limit) if by_limit else by_pace)


def _limits(job: Job, now: float) -> tuple[LimitView, ...]:
    engine = job.engine
    views = []
    elapsed = max(now - job.tally.began_at, 1e-9)
    for name, pool in engine.pools.items():
        prefix = f"{name} " if len(engine.pools) > 1 else ""
        for level in engine.levels(name, now):
            unit = level.limit.unit
            views.append(
                LimitView(
                    name=f"{prefix}{level.limit}",
                    fullness=None
                    if level.capacity is None
                    else min(max(level.content / level.capacity, 0.0), 1.0),
                    share_used=pool.used.get(unit, 0.0) / (level.limit.rate * elapsed),
                    binds=bool(len(pool.line)) and pool.waits_for == unit.value,
                )
            )
    return tuple(views)


def _next_try(job: Job) -> str:
    if job.engine.in_flight or not job.put_off:
        return ""
    return f"the next try of {job.put_off:,} call{'s' if job.put_off != 1 else ''}"


def _note(job: Job, now: float) -> str:
    if job.is_blocked:
        return job.results.blocked
    if job.stopped is not None:
        again = " again" if job.stopped.exit_code > 128 else ""
        return f"stopping ({job.stopped.reason}): waiting for calls in flight; Ctrl-C{again} breaks them off"
    return job.tally.trouble_now(now)
