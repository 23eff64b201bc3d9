"""Counts what happens to calls, for Prometheus: a few integers under a few names, so that a call costs almost nothing.

The names that series are kept under have a bound: a model or pool that the catalog does not know is "other", and so is
every tenant beyond the first `TENANTS`. Sessions, jobs, keys and prompts are in no series.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from headway.core.call import Call, Unit, Usage
from headway.core.events import Admitted, Refused, Settled
from headway.core.pool import WARMING
from headway.hooks import Hooks
from headway.providers.catalog import Catalog

TENANTS, OTHER = 1000, "other"
FOUND = 10_000  # ways of naming a row that are remembered
DAY_NS = 86_400 * 10**9
WAITS_S = (0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
REPLIES_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_REASONS = {
    "the budget": "budget",
    "the provider's capacity": "capacity",
    "the first reply, to learn the limits": "learning",
    WARMING: "warming",
    "its turn": "turn",
}


class Names(NamedTuple):
    """What a series is kept under."""

    pool: str
    model: str
    class_: str
    tenant: str


class Spread:
    """How many values lie in each bucket, and their sum. Seconds."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)  # the last: beyond all edges
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """One value."""
        self.counts[bisect_left(self.edges, seconds)] += 1
        self.total += seconds

    def merge(self, other: Spread) -> None:
        """All values of another with the same edges."""
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


@dataclass(slots=True)
class Row:
    """What is counted under one set of names. Tokens are in disjoint kinds; `unpriced` attempts have no known price."""

    calls: int = 0
    retries: int = 0
    refused: int = 0  # here, not by the provider
    attempts: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # by outcome
    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    nanousd: int = 0
    unpriced: int = 0
    waits: Spread = field(default_factory=lambda: Spread(WAITS_S))
    first_tokens: Spread = field(default_factory=lambda: Spread(REPLIES_S))
    durations: Spread = field(default_factory=lambda: Spread(REPLIES_S))

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self.calls + self.retries - sum(self.attempts.values())

    @property
    def tokens(self) -> int:
        """Of all kinds."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h + self.output

    def take(self, usage: Usage) -> None:
        """An attempt took this, its parts included."""
        self.input += usage.input_tokens
        self.cache_read += usage.cache_read_tokens
        self.cache_write_5m += usage.cache_write_5m_tokens
        self.cache_write_1h += usage.cache_write_1h_tokens
        self.output += usage.output_tokens
        for part in usage.parts:
            self.take(part)


class Counts:
    """Everything counted since the start. Hooks may come from several threads."""

    def __init__(self, catalog: Catalog | None = None, tenants: int = TENANTS) -> None:
        self.rows: dict[Names, Row] = {}
        self.refusals: dict[tuple[str, str, str, str], int] = defaultdict(int)  # pool, class, by whom, limit
        self.lock = Lock()
        self._catalog = catalog or Catalog.load()
        self._most = tenants
        self._tenants: set[str] = set()
        self._found: dict[tuple[str, str, str | None, str], Row] = {}  # by names as they are given
        self._day, self._today = 0, 0

    def hooks(self) -> Hooks:
        """What the engine has to tell."""
        return Hooks(admitted=self.admitted, settled=self.settled, refused=self.refused)

    def spent_on(self, day: int) -> int:
        """Nanodollars of attempts that were sent on this day (days since 1970 UTC), if it is the last one of any."""
        return self._today if day == self._day else 0

    def admitted(self, news: Admitted) -> None:
        """An attempt leaves the line."""
        with self.lock:
            row = self._row(news.call)
            if news.attempt == 1:
                row.calls += 1
            else:
                row.retries += 1
            row.waits.add(news.queued_s)

    def settled(self, news: Settled) -> None:
        """It is over."""
        cost = news.cost_nanousd
        with self.lock:
            row = self._row(news.call)
            row.attempts[news.outcome] += 1
            row.take(news.usage)
            if cost is None:
                row.unpriced += 1
            elif cost:
                row.nanousd += cost
                self._spend(news.at_ns // DAY_NS, cost)
            if news.first_token_s is not None and news.call.stream:
                row.first_tokens.add(news.first_token_s)
            row.durations.add(news.total_s)

    def refused(self, news: Refused) -> None:
        """A call is refused, here or there."""
        limit = "budget" if is_budget(news) else kind_of(news.limit)
        with self.lock:
            names = self._names(news.call)
            row = self._row(news.call)
            if news.by == "headway":
                row.refused += 1
            self.refusals[names.pool, names.class_, news.by, limit] += 1

    def _spend(self, day: int, nanousd: int) -> None:
        if day > self._day:
            self._day, self._today = day, 0
        if day == self._day:
            self._today += nanousd

    def _row(self, call: Call) -> Row:
        """Found by the names as they are; those that have no end are looked at again each time."""
        identity = call.identity
        given = (call.tenant, identity.model, identity.pool, call.class_._value_)
        row = self._found.get(given)
        if row is None:
            names = self._names(call)
            row = self.rows.get(names)
            if row is None:
                row = self.rows[names] = Row()
            if len(self._found) < FOUND:
                self._found[given] = row
        return row

    def _names(self, call: Call) -> Names:
        identity, tenant = call.identity, call.tenant
        if tenant not in self._tenants:
            if len(self._tenants) < self._most:
                self._tenants.add(tenant)
            else:
                tenant = OTHER
        facts = self._catalog.model(identity.model) if identity.model else None
        model = facts.id if facts else OTHER if identity.model else ""
        pool = (identity.pool or "") if identity.known else OTHER
        return Names(pool, model, call.class_.value, tenant)


def is_budget(news: Refused) -> bool:
    """Whether a budget said no: what it names may be anything that people gave."""
    return news.by == "headway" and news.wait_s is None and news.level is not None


def kind_of(what: str) -> str:
    """What a call waits for or was refused by, as one of few words."""
    if what in _REASONS:
        return _REASONS[what]
    if what.startswith("a place among") or " at a time of the key " in what:
        return Unit.IN_FLIGHT.value
    plain = what.replace("_", " ")
    return next((unit.value for unit in Unit if unit.replace("_", " ") in plain), OTHER)
