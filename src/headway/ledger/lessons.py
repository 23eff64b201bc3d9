"""What refusals taught about a provider's buckets, kept in the ledger from run to run.

A refusal is the only way to learn how much a bucket really holds, so it should be needed once. A lesson is believed for
a week: limits of an organisation change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.errors import LedgerError

BELIEVED_NS = 7 * 86400 * 10**9


class Memory(Protocol):
    """The part of a ledger that lessons are kept in."""

    def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep a value under a key."""

    def recall(self, key: str) -> dict[str, Any] | None:
        """The value under a key, if there is one."""


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


def _key(base_url: str, pool: str) -> str:
    return f"bucket/{base_url}/{pool}"
