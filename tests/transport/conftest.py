"""Engines and servers for the tests of the SDK door; whatever a test does, its engine must be left clean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headway.core.engine import Pumped
from headway.core.retry import Again, GiveUp, Retry
from headway.runtime import Engine
from transport.flavours import FLAVOURS, Flavour
from transport.provider import Answer, Provider, wait_until
from transport.replies import as_the_api


@pytest.fixture(params=FLAVOURS, ids=lambda flavour: flavour.name)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    chosen: Flavour = request.param
    return chosen


@pytest.fixture
def provide() -> Iterator[Callable[[Answer], Provider]]:
    """Start servers that answer as the test says; they end with the test."""
    running: list[Provider] = []

    def start(answer: Answer) -> Provider:
        running.append(Provider(answer))
        return running[-1]

    yield start
    for provider in running:
        provider.close()


@pytest.fixture
def provider(provide: Callable[[Answer], Provider]) -> Provider:
    """A server on which every call succeeds; a test may set another `answer`."""
    return provide(as_the_api)


class Soon(Retry):
    """Decides as it should about trying again, but has no patience: whatever is tried again is tried at once."""

    def decide(self, *said: Any) -> Again | GiveUp:
        decided = super().decide(*said)
        return Again(0.0) if isinstance(decided, Again) else decided


class Ours:
    """An engine with a ledger of its own, which tries once more, at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = Engine(ledger=str(path))
        self.engine.retry = Soon(retries=1, refusals=1)

    def again(self, **settings: Any) -> Engine:
        """The engine, with settings of the test."""
        self.engine.close()
        self.engine = Engine(ledger=str(self.path), **settings)
        self.engine.retry = Soon(retries=1, refusals=1)
        return self.engine

    def closed_gate(self) -> Callable[[], None]:
        """Let nobody out of the line until what this returns is called."""
        core, pump = self.engine.core, self.engine.core.pump
        core.pump = lambda *_asked: Pumped()  # type: ignore[method-assign] # as if every limit were used up

        def let_go() -> None:
            core.pump = pump  # type: ignore[method-assign] # as it was
            self.engine.turnstile.look(self.engine.turnstile._pump_all)

        return let_go

    def rows(self) -> list[dict[str, Any]]:
        """What the ledger has, in the order of sending. Each attempt that was opened must be closed, once."""
        wait_until(lambda: self.engine.core.in_flight == 0)
        self.engine.flush()
        with closing(sqlite3.connect(self.path)) as db:
            db.row_factory = sqlite3.Row
            assert db.execute("SELECT count(*) FROM open_attempts").fetchone()[0] == 0
            rows = [dict(row) for row in db.execute("SELECT * FROM attempts ORDER BY at_ns, id")]
        assert len({row["attempt_id"] for row in rows}) == len(rows)
        return rows

    def outcomes(self) -> list[str]:
        return [row["outcome"] for row in self.rows()]

    def is_clean(self) -> None:
        """No ticket, no place in line, no attempt on file that has not ended."""
        self.rows()
        for pool in self.engine.core.pools.values():
            assert len(pool.line) == 0
        assert not self.engine.turnstile._slots
        assert not self.engine.turnstile._held


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Ours]:
    made = Ours(tmp_path / "ledger.sqlite3")
    yield made
    made.is_clean()
    made.engine.close()


@pytest.fixture
def engine(ours: Ours) -> Engine:
    return ours.engine
