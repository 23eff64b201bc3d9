"""What stands in for provider, ledger and clock, where a driver is what is tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from headway.core.call import Fault, Problem, Reading, Unit, Usage
from headway.core.engine import Engine
from headway.core.limit import Limit
from headway.core.ports import Entry, OpenEntry
from headway.core.steps import Reply
from headway.stores.memory import MemoryStore
from world import POOL

START = 1000.0
UNITS = (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)
PLENTY = tuple(Limit(unit, 6e9, burst=6e9) for unit in UNITS)
TOOK = Usage(100, output_tokens=50, model="model")
OK = Reply(200, {}, message={}, usage=TOOK, total_s=1.0)
# Refused by a limit that is not known, and free again at once: tried again without any wait.
AGAIN = Reply(
    429, {}, problem=Problem(Fault.RATE_LIMITED, "rate_limit_error", "message", 429, retry_after_s=0.0)
)
REFUSED = Reply(
    429,
    {},
    problem=Problem(
        Fault.RATE_LIMITED, "rate_limit_error", "message", 429, retry_after_s=100.0, unit=Unit.REQUESTS
    ),
)


class Clock:
    """Time that passes by a fifth of a second with each look, so that nobody waits long for a meter."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        self.now += 0.2
        return self.now


def wall() -> int:
    return 1_700_000_000_000_000_000


class Written:
    """A ledger that keeps what it is told. `closing` is called with each entry."""

    def __init__(self, closing: Callable[[Entry], object] = lambda _entry: None) -> None:
        self.opened: list[OpenEntry] = []
        self.closed: list[Entry] = []
        self._closing = closing

    def open(self, entry: OpenEntry) -> None:
        self.opened.append(entry)

    def close(self, entry: Entry) -> None:
        self.closed.append(entry)
        self._closing(entry)

    @property
    def outcomes(self) -> list[str]:
        return [entry.outcome for entry in self.closed]


def an_engine(limits: Sequence[Limit] = PLENTY, **options: Any) -> Engine:
    return known_for_long(Engine(MemoryStore(), limits=lambda _pool: limits, **options))


E = TypeVar("E", bound=Engine)


def known_for_long(engine: E) -> E:
    """The engine, with pools that it has known for long."""
    for pool in (POOL, "a", "b"):
        engine.pool(pool, 0.0)
    return engine


def shown(remaining: float = 6e9) -> tuple[Reading, ...]:
    return tuple(Reading(unit, 6e9, remaining) for unit in UNITS)


def nothing_is_left(engine: Engine, written: Written | None = None) -> None:
    """No ticket, no place, no hold; and each attempt that was opened is closed."""
    assert engine.in_flight == 0
    for name, pool in engine.pools.items():
        assert len(pool.line) == 0
        assert pool.ceiling.in_flight == 0
        for level in engine.levels(name, START + 1e6):
            assert level.in_flight == pytest.approx(0.0, abs=1e-6)
    if engine.budget is not None:
        assert engine.budget.held == 0
    if written is not None:
        assert sorted(e.attempt_id for e in written.opened) == sorted(e.attempt_id for e in written.closed)
