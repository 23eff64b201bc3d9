"""Calls that wait in line: for a limit that binds, or while most of the quota is idle.

How long a minute was bound is not in the ledger, but who waited from when to when is: a minute counts as bound if a call
waited in it for more than a second.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from headway.insights.finding import Found
from headway.insights.tally import Sketch
from headway.insights.thresholds import (
    BOUND_SHARE,
    BOUND_SHARE_BULK,
    IDLE_SHARE,
    LEAST_WAITS,
    WAITED_MS,
)
from headway.insights.traffic import MINUTE_NS, PoolMinutes, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import duration, tokens
from headway.providers.catalog import Catalog

_UNITS = ("requests", "input_tokens", "output_tokens")
_LIMITS = (*_UNITS, "tokens")
_AS_IT_SHOULD_BE = ("cache prefix", "overload pause", "first reply")
_LONGEST_MINUTES = 24 * 60
_UNKNOWN = "See what holds them: headway top says what the next call waits for, and new attempts record it."
_SMOOTHED = 10  # minutes, over which a burst evens out
_FULL = 0.9  # of what was used over these minutes: the rest may be a burst


class _Waiting:
    """Calls of one pool, in bulk or not, that waited for one thing."""

    __slots__ = ("ids", "minutes", "pool", "queued", "tenants", "total_ms", "what")

    def __init__(self, pool: str, what: str) -> None:
        self.pool, self.what = pool, what
        self.minutes: set[int] = set()
        self.queued = Sketch()
        self.tenants: Counter[str] = Counter()
        self.total_ms = 0.0
        self.ids: list[tuple[float, int]] = []

    def add(self, seen: Seen) -> None:
        until = seen.at_ns // MINUTE_NS
        start = max((seen.at_ns - int(seen.queued_ms * 1e6)) // MINUTE_NS, until - _LONGEST_MINUTES)
        self.minutes.update(range(start, until + 1))
        self.queued.add(seen.queued_ms)
        self.tenants[seen.group.tenant] += 1
        self.total_ms += seen.queued_ms
        if len(self.ids) < 3 or seen.queued_ms > self.ids[-1][0]:
            self.ids = sorted([*self.ids, (seen.queued_ms, seen.id)], reverse=True)[:3]


class _Waits:
    """Collects who waits for what. Both rules look at the same calls."""

    sees: Sees = "all"

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str, bool], _Waiting] = {}
        self._refused: Counter[str] = Counter()

    def see(self, seen: Seen) -> None:
        if seen.outcome == "rate_limited":
            self._refused[seen.group.pool] += 1
        if seen.queued_ms < WAITED_MS or not seen.group.pool or seen.waited_for in _AS_IT_SHOULD_BE:
            return
        key = (seen.group.pool, seen.waited_for, seen.group.class_ == "bulk")
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(*key[:2])
        waiting.add(seen)

    def _bound(self, traffic: Traffic) -> Iterator[tuple[_Waiting, bool, float, _Use]]:
        """What waited often: whether in bulk, for which share of the time, and the use of the pool then."""
        span = (traffic.last_ns - traffic.first_ns) // MINUTE_NS + 1
        for (pool, _, is_bulk), waiting in self._waiting.items():
            minutes = traffic.minutes[pool]
            of = max(span, 24 * 60) if is_bulk else len(minutes.active())
            share = len(waiting.minutes) / max(of, 1)
            least = BOUND_SHARE_BULK if is_bulk else BOUND_SHARE
            if waiting.queued.count >= LEAST_WAITS and share >= least:
                yield (
                    waiting,
                    is_bulk,
                    share,
                    _Use(pool, minutes, waiting.minutes, traffic.limits.get(pool, {})),
                )


class _Use:
    """How much of a pool's limits was used in the minutes in which calls waited.

    Where replies have not taught the limits, the lowest tier is taken whose published amounts the pool stayed within.
    """

    def __init__(self, pool: str, minutes: PoolMinutes, bound: set[int], known: dict[str, float]) -> None:
        used = [minutes.of(minute) for minute in bound]
        self.pool = pool
        self.at = {unit: sum(each[n] for each in used) / len(used) for n, unit in enumerate(_UNITS)}
        self.busiest = {unit: _busiest(minutes, n) for n, unit in enumerate(_UNITS)}
        self.taught = {unit: known[unit] for unit in _UNITS if unit in known}
        self.limits = {**_published(pool, self.busiest), **self.taught}

    def share(self, unit: str) -> float:
        """Of the limit, or of the busiest minutes where no limit is known."""
        most = self.limits.get(unit) or self.busiest[unit]
        return self.at[unit] / most if most else 0.0

    @property
    def fullest(self) -> str:
        """The unit of which most was used."""
        return max(_UNITS, key=self.share)


class BindingLimit(_Waits):
    """A limit of the provider that calls wait for, often."""

    def found(self, traffic: Traffic, /) -> list[Found]:
        found = []
        for waiting, is_bulk, share, use in self._bound(traffic):
            if waiting.what in _LIMITS or (not waiting.what and not _taught_idle(use)):
                found.append(_binding(waiting, is_bulk, share, use, traffic))
        return found


class IdleQuota(_Waits):
    """Calls wait for a bound of yours, or for nothing that the ledger knows, while the provider would take them."""

    def found(self, traffic: Traffic, /) -> list[Found]:
        return [
            _idle(waiting, share, use)
            for waiting, _, share, use in self._bound(traffic)
            if waiting.what not in _LIMITS and self._is_idle(waiting, use)
        ]

    def _is_idle(self, waiting: _Waiting, use: _Use) -> bool:
        """Whether much is free; where no limit is known, that a bound of yours is what holds, and nobody was refused."""
        if not waiting.what:
            return _taught_idle(use)
        if use.limits:
            return use.share(use.fullest) <= 1 - IDLE_SHARE
        return not self._refused[waiting.pool]


def _taught_idle(use: _Use) -> bool:
    """Whether much of limits that replies have taught is free. Published ones may not be yours: they tell nothing here."""
    return bool(use.taught) and use.share(use.fullest) <= 1 - IDLE_SHARE


def _named(unit: str, limit: float) -> str:
    words = unit.replace("_", " ")
    return f"the limit of {tokens(limit)} {words} a minute" if limit else f"the limit of {words}"


def _binding(waiting: _Waiting, is_bulk: bool, share: float, use: _Use, traffic: Traffic) -> Found:
    unit = waiting.what or use.fullest
    column = "input_tokens" if unit == "tokens" else unit
    limit = use.limits.get(column, 0.0)
    over = f"{share:.0%} of {'the time' if is_bulk else 'the busy time'}"
    title = f"{_named(unit, limit)} binds {over}" if waiting.what else f"calls wait in line {over}"
    queued, nearest = waiting.queued, unit.replace("_", " ")
    return Found(
        rule="binding-limit",
        title=f"{waiting.pool}: {title}",
        where={"pool": waiting.pool, "class": "bulk" if is_bulk else "", "unit": unit},
        certainty="sure" if waiting.what else "likely",
        nature="wait",
        sample=queued.count,
        least=LEAST_WAITS,
        evidence=(
            f"{queued.count:,} calls waited {duration(queued.quantile(0.5) / 1000)} (P50) to"
            f" {duration(queued.quantile(0.95) / 1000)} (P95);"
            f" {_most(waiting.tenants)}.",
            *(() if waiting.what else (f"For what is not recorded; {nearest} come nearest to a limit.",)),
        ),
        numbers={
            "calls_waited": queued.count,
            "share_of_time": round(share, 4),
            "p50_ms": round(queued.quantile(0.5)),
            "p95_ms": round(queued.quantile(0.95)),
            "waited_ms": round(waiting.total_ms),
            "limit_a_minute": round(limit),
            "used_a_minute": round(use.at[column]),
        },
        change=_way_out(waiting.pool, column, limit, traffic) if waiting.what else _UNKNOWN,
        ids=tuple(key for _, key in waiting.ids),
    )


def _idle(waiting: _Waiting, share: float, use: _Use) -> Found:
    what = waiting.what or "a place in line"
    fullest = use.fullest
    used = use.share(fullest) if use.limits else 0.0
    idle = f"while {1 - used:.0%} of the quota is idle" if use.limits else "and not for the provider"
    then = f"; in those, {fullest.replace('_', ' ')} were at {used:.0%} of the limit" if use.limits else ""
    then = then or "; the provider refused none"
    queued = waiting.queued
    changes = {
        "in_flight": "Raise max_in_flight, or leave it out: headway finds how many calls the quota carries."
    }
    change = changes.get(waiting.what, "")
    if waiting.what.startswith("budget"):
        change = f"Raise the {waiting.what}, or let its calls be fewer: it holds them back, not the provider."
    if waiting.what == "ramp":
        change = "Start earlier and grow evenly: how fast usage may grow is bounded, not how much there is."
    return Found(
        rule="idle-quota",
        title=f"{waiting.pool}: calls wait for {what} {idle}",
        where={"pool": waiting.pool, "waited_for": waiting.what},
        certainty="sure" if waiting.what and use.limits else "likely",
        nature="wait",
        sample=queued.count,
        least=LEAST_WAITS,
        evidence=(
            f"{queued.count:,} calls waited {duration(queued.quantile(0.5) / 1000)} (P50) to"
            f" {duration(queued.quantile(0.95) / 1000)} (P95) in {share:.0%} of the minutes{then};"
            f" {_most(waiting.tenants)}.",
        ),
        numbers={
            "calls_waited": queued.count,
            "share_of_time": round(share, 4),
            "idle_share": round(1 - used, 4),
            "p50_ms": round(queued.quantile(0.5)),
            "p95_ms": round(queued.quantile(0.95)),
            "waited_ms": round(waiting.total_ms),
            "waited_for": waiting.what,
        },
        change=change
        or "See what holds them: max_in_flight, a budget or a cap of one tenant; headway top shows it live.",
        ids=tuple(key for _, key in waiting.ids),
    )


def _most(tenants: Counter[str]) -> str:
    name, count = tenants.most_common(1)[0]
    share = count / tenants.total()
    return f"all of tenant {name}" if share == 1.0 else f"{share:.0%} of tenant {name}"


def _busiest(minutes: PoolMinutes, unit: int) -> float:
    """The most a minute over ten minutes on end: more than a limit's amount only by what a full bucket holds."""
    best = so_far = 0
    window: deque[tuple[int, int]] = deque()
    for minute in minutes.active():
        used = minutes.of(minute)[unit]
        window.append((minute, used))
        so_far += used
        while window[0][0] <= minute - _SMOOTHED:
            so_far -= window.popleft()[1]
        best = max(best, so_far)
    return best / _SMOOTHED


def _published(pool: str, busiest: dict[str, float]) -> dict[str, float]:
    """Amounts a minute of the lowest tier that leaves room for what was used. Empty: none is published."""
    fitting = [
        amounts
        for _, amounts in _tiers(pool)
        if all(amount >= _FULL * busiest[unit] for unit, amount in amounts.items())
    ]
    return min(fitting, key=lambda amounts: tuple(sorted(amounts.values())), default={})


def _tiers(pool: str) -> list[tuple[str, dict[str, float]]]:
    catalog = Catalog.load()
    found = []
    for name in catalog.tiers:
        tier = catalog.tier(pool, name)
        if tier is not None:
            amounts = {unit: getattr(tier, unit) for unit in _UNITS}
            found.append((name, {unit: float(amount) for unit, amount in amounts.items() if amount}))
    return found


def _way_out(pool: str, unit: str, limit: float, traffic: Traffic) -> str:
    higher = [(amounts[unit], name) for name, amounts in _tiers(pool) if amounts.get(unit, 0) > 1.01 * limit]
    words = unit.replace("_", " ")
    ways = []
    if limit and higher:
        amount, name = min(higher)
        ways.append(
            f"{name.capitalize()} has {tokens(amount)} {words} a minute, {amount / limit:.1f} times as many."
        )
    if unit == "input_tokens":
        groups = [group for group in traffic.groups if group.pool == pool]
        read = sum(group.cache_read_tokens for group in groups)
        whole = read + sum(group.input_tokens + group.cache_write_tokens for group in groups)
        ways.append(
            f"Cache reads do not count against it: they are {read / max(whole, 1):.0%} of the input now."
        )
    elif unit == "requests":
        ways.append(
            "Ask for more in one request, or move bulk work to the Batch API, which has limits of its own."
        )
    else:
        ways.append(
            "Ask for shorter replies, or move bulk work to the Batch API, which has limits of its own."
        )
    return " ".join(ways)
