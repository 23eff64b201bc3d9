"""The engine as it stands: how full each limit is, what binds, who waits for what. One look, under its lock."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from headway.core.engine import Engine as Core
from headway.core.pool import Pool
from headway.core.ports import Level
from headway.runtime import Engine

VERSION = version("headway")


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit. `content` may be sent now (negative: debt), of `capacity` (None: not known yet), both in `unit`.

    `in_flight` is what the calls that run are expected to take. `binds`: the head of the line waits for it.
    `bound_s` is for how long it has bound since the start.
    """

    unit: str
    amount: float
    period_s: float
    content: float
    capacity: float | None
    in_flight: float
    binds: bool
    bound_s: float


@dataclass(frozen=True, slots=True)
class Queue:
    """Calls of one class and tenant that stand in line; the first of them for `longest_s`."""

    class_: str
    tenant: str
    waiting: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class PoolState:
    """What the provider counts together. `waits_for` is what the head of the line waits for ("": nobody waits), until that
    clears in `clears_in_s` (None: when something in flight ends). `closed_s` more seconds it is closed for overload."""

    pool: str
    in_flight: int
    waiting: int
    waits_for: str
    clears_in_s: float | None
    closed_s: float
    limits: tuple[LimitState, ...]
    line: tuple[Queue, ...]
    bound_s: dict[str, float]


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget: so much of `cap` is `spent`, and `held` by `in_flight` calls. Nanodollars, tokens or requests.

    A `soft` one refuses nothing. `clears_ns` is when it has room again if it is used up, wall time (None: not known here).
    """

    budget: str
    unit: str
    cap: int
    spent: int
    held: int
    in_flight: int
    soft: bool = False
    clears_ns: int | None = None


@dataclass(frozen=True, slots=True)
class State:
    """All of it."""

    in_flight: int
    waiting: int
    pools: tuple[PoolState, ...]
    budgets: tuple[BudgetState, ...]


def look(engine: Engine) -> State:
    """How the engine stands now. Takes a time that grows with the number of calls in line, a microsecond for three."""
    now = engine.turnstile.clock()
    return engine.turnstile.look(lambda: _look(engine.core, now))


def _look(core: Core, now: float) -> State:
    pools = tuple(_pool(core, pool, now) for pool in core.pools.values())
    waiting = sum(pool.waiting for pool in pools)
    return State(core.in_flight, waiting, pools, _budgets(core))


def _pool(core: Core, pool: Pool, now: float) -> PoolState:
    clears = pool.clears_at - now
    closed = pool.ceiling.wait(now) if pool.ceiling.adaptive is None and pool.ceiling.most is None else 0.0
    return PoolState(
        pool=pool.name,
        in_flight=pool.ceiling.in_flight,
        waiting=len(pool.line),
        waits_for=pool.waits_for if len(pool.line) else "",
        clears_in_s=max(clears, 0.0) if clears != float("inf") else None,
        closed_s=closed if closed != float("inf") else 0.0,
        limits=tuple(_limit(level, pool) for level in core.levels(pool.name, now)),
        line=_line(pool, now),
        bound_s=dict(pool.bound_s),
    )


def _limit(level: Level, pool: Pool) -> LimitState:
    limit, unit = level.limit, level.limit.unit.value
    return LimitState(
        unit=unit,
        amount=limit.amount,
        period_s=limit.period_s,
        content=level.content,
        capacity=level.capacity,
        in_flight=level.in_flight,
        binds=len(pool.line) > 0 and pool.waits_for == unit,
        bound_s=pool.bound_s.get(unit, 0.0),
    )


def _line(pool: Pool, now: float) -> tuple[Queue, ...]:
    """Who waits, the most urgent class first, and in it the longest queue."""
    queues: dict[tuple[str, str], tuple[int, float]] = {}
    for place in pool.line.places():
        who = (place.call.class_.value, place.call.tenant)
        count, since = queues.get(who, (0, now))
        queues[who] = (count + 1, min(since, place.joined_at))
    ranks = {"interactive": 0, "standard": 1, "bulk": 2}
    ordered = sorted(queues.items(), key=lambda queue: (ranks[queue[0][0]], -queue[1][0], queue[0][1]))
    return tuple(Queue(*who, count, max(now - since, 0.0)) for who, (count, since) in ordered)


def _budgets(core: Core) -> tuple[BudgetState, ...]:
    """The engine's own first, then those that calls named, the fullest first."""
    own = (core.books.budget,) if core.books.budget is not None else ()
    named = sorted(
        core.books.caps.budgets.values(),
        key=lambda budget: -(budget.spent + budget.held) / max(budget.cap, 1),
    )
    return tuple(
        BudgetState(
            each.name or "all calls",
            each.unit.value,
            each.cap,
            each.spent,
            each.held,
            each.in_flight,
            each.soft,
        )
        for each in (*own, *named)
    )
