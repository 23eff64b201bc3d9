"""What was learnt of a provider's limits, kept in the ledger from run to run: the amounts that headers showed, what the
buckets were seen to hold, and what refusals taught about them.

A refusal is the only way to learn how much a bucket really holds, so it should be needed once. The amounts and what was seen
are for who wants to know before the first call. All are believed for a week: limits of an organisation change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.core.engine import Engine
from headway.core.limit import Limit
from headway.core.ports import Level
from headway.errors import LedgerError

BELIEVED_NS = 7 * 86400 * 10**9


class Memory(Protocol):
    """The part of a ledger that lessons are kept in."""

    def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep a value under a key."""

    def recall(self, key: str) -> dict[str, Any] | None:
        """The value under a key, if there is one."""


def keep_learnt(memory: Memory, base_url: str, engine: Engine, at_ns: int) -> None:
    """Keep all that an engine was shown and taught by the provider at `base_url`. `at_ns` is wall time."""
    for name, pool in tuple(engine.pools.items()):
        lessons = engine.store.lessons(name)
        keep_lessons(memory, base_url, name, lessons, at_ns)
        if pool.shown:
            keep_limits(memory, base_url, name, engine.store.limits(name), at_ns)
            levels = engine.store.levels(
                name, float("-inf")
            )  # what they hold at most is the same at any time
            _keep_capacities(memory, base_url, name, levels, lessons, at_ns)


def keep_limits(memory: Memory, base_url: str, pool: str, limits: Iterable[Limit], at_ns: int) -> None:
    """Keep what headers showed; what you set yourself is in your settings."""
    shown = {limit.unit.value: [limit.amount, limit.period_s] for limit in limits if not limit.given}
    if shown:
        memory.remember(_limits_key(base_url, pool), {"at_ns": at_ns, "limits": shown})


def recall_limits(memory: Memory, base_url: str, pool: str, now_ns: int) -> tuple[Limit, ...]:
    """The limits that headers showed in the last week; empty: none, or nothing that can be read."""
    try:
        value = memory.recall(_limits_key(base_url, pool)) or {}
        if not value or now_ns - int(value["at_ns"]) >= BELIEVED_NS:
            return ()
        return tuple(
            Limit(Unit(unit), float(amount), float(period))
            for unit, (amount, period) in value["limits"].items()
        )
    except (LedgerError, AttributeError, KeyError, TypeError, ValueError):
        return ()


def recall_capacities(memory: Memory, base_url: str, pool: str, now_ns: int) -> dict[Unit, float]:
    """The most that each bucket of the pool was seen to hold in the last week, in its unit: what a refusal taught if one
    did, else what headers showed. A unit that is missing was not seen: its bucket may hold anything."""
    found = {unit: seen for unit, (_, seen, _) in _capacities(memory, base_url, pool, now_ns).items()}
    taught = recall_lessons(memory, base_url, pool, now_ns)
    return found | {unit: lesson.capacity for unit, lesson in taught.items()}


def keep_lessons(
    memory: Memory, base_url: str, pool: str, lessons: Mapping[Unit, Lesson], at_ns: int
) -> None:
    """Keep what was learnt about `pool` of the provider at `base_url`. `at_ns` is wall time."""
    if lessons:
        value = {
            unit.value: {
                "amount": lesson.amount,
                "capacity": lesson.capacity,
                "overstated": lesson.overstated,
                "at_ns": at_ns,
            }
            for unit, lesson in lessons.items()
        }
        memory.remember(_key(base_url, pool), value)


def recall_lessons(memory: Memory, base_url: str, pool: str, now_ns: int) -> dict[Unit, Lesson]:
    """What was learnt in the last week. A ledger that cannot be read, or has something else there, taught nothing."""
    try:
        value = memory.recall(_key(base_url, pool)) or {}
    except LedgerError:
        return {}
    found = {}
    for unit in Unit:
        kept = value.get(unit.value)
        try:
            if kept is not None and now_ns - int(kept["at_ns"]) < BELIEVED_NS:
                found[unit] = Lesson(
                    float(kept["amount"]), float(kept["capacity"]), float(kept["overstated"])
                )
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _keep_capacities(
    memory: Memory,
    base_url: str,
    pool: str,
    levels: Iterable[Level],
    lessons: Mapping[Unit, Lesson],
    at_ns: int,
) -> None:
    """Keep what the buckets that headers tell of were seen to hold. A run that saw less unlearns nothing, except where a
    refusal has taught better, or the limit is another one now."""
    before = _capacities(memory, base_url, pool, at_ns)
    kept: dict[str, list[float]] = {}
    for level in levels:
        limit, seen, when = level.limit, level.capacity, at_ns
        if limit.given or limit.burst is not None or seen is None:
            continue
        amount, more, earlier = before.get(limit.unit, (0.0, 0.0, 0))
        if more > seen and amount == limit.amount and limit.unit not in lessons:
            seen, when = more, earlier
        kept[limit.unit.value] = [limit.amount, seen, when]
    if kept:
        memory.remember(_capacities_key(base_url, pool), kept)


def _capacities(
    memory: Memory, base_url: str, pool: str, now_ns: int
) -> dict[Unit, tuple[float, float, int]]:
    """Amount of the limit, capacity seen, and when, of each unit."""
    try:
        value = memory.recall(_capacities_key(base_url, pool)) or {}
        every = {
            Unit(unit): (float(amount), float(seen), int(when))
            for unit, (amount, seen, when) in value.items()
        }
    except (LedgerError, AttributeError, TypeError, ValueError):
        return {}
    return {unit: each for unit, each in every.items() if now_ns - each[2] < BELIEVED_NS}


def _key(base_url: str, pool: str) -> str:
    return f"bucket/{base_url}/{pool}"


def _limits_key(base_url: str, pool: str) -> str:
    return f"limits/{base_url}/{pool}"


def _capacities_key(base_url: str, pool: str) -> str:
    return f"capacity/{base_url}/{pool}"
