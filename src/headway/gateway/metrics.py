"""Prometheus metrics: what `Counts` has counted, and how the engine stands when it is asked.

All metrics are in `series.METRICS`, and no other is shown, but `process_*` as prometheus-client has them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder

from headway.gateway.counts import OTHER, Counts, Names, Row, Spread, kind_of
from headway.gateway.series import METRICS, Metric
from headway.gateway.state import VERSION, BudgetState, PoolState, State, look
from headway.hooks import Hooks
from headway.ledger.sqlite import SqliteLedger
from headway.runtime import Engine

_SCALE = 1e-9  # nanodollars to dollars
TENANTS, BUDGETS = 100, 100  # that have series, at most
_KINDS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
_ENDLESS = re.compile(r"(?:^|, )(?:session|job) ")
_PERIOD = re.compile(r"(?<=, )(hour|day|month) \d{4}-[\d-]+(?: \d\d:00)?")
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Labels = tuple[str, ...]


class Metrics:
    """`Metrics()` first, for its `hooks`; then, with the engine that has them, `page`."""

    def __init__(self, counts: Counts | None = None) -> None:
        self.counts = counts or Counts()

    def hooks(self) -> Hooks:
        """What the engine has to tell."""
        return self.counts.hooks()

    def page(
        self, engine: Engine, started_ns: int, accept: str = "", requests: Mapping[str, int] | None = None
    ) -> tuple[bytes, str]:
        """All metrics as text and its content type: OpenMetrics for who accepts it, else the older form. `requests` are
        counts by answer: "served", "refused"."""
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Scrape(self.counts, engine, look(engine), started_ns, requests or {}))
        encode, kind = choose_encoder(accept)
        return encode(registry), kind


class _Scrape:
    """One answer to Prometheus; a collector of prometheus-client."""

    def __init__(
        self, counts: Counts, engine: Engine, state: State, started_ns: int, requests: Mapping[str, int]
    ) -> None:
        self._counts = counts
        self._engine = engine
        self._state = state
        self._started_ns = started_ns
        self._requests = requests
        self._families: dict[str, Family] = {}
        facts = engine.catalog.models
        self._pools = {pool for each in facts for pool in (each.pool, f"{each.pool}/fast")}
        self._pools |= {"anthropic/count_tokens", "anthropic/batches"}

    def collect(self) -> Iterator[Family]:
        self._families = {metric.name: _family(metric) for metric in METRICS}
        with self._counts.lock:
            self._count()
        for pools in self._by_name():
            self._stand(*pools)
        for name, budget in _of_few(self._state.budgets):
            scale = _SCALE if budget.unit == "usd" else 1.0
            names = (name, budget.unit)
            for what, amount in (("used", budget.spent), ("held", budget.held), ("cap", budget.cap)):
                self._show(f"headway_budget_{what}", names, amount * scale)
        for answer, count in self._requests.items():
            self._show("headway_requests_total", (answer,), count)
        ledger = self._engine.ledger
        self._show("headway_ledger_problem", (), float(ledger.problem is not None))
        self._show(
            "headway_ledger_dropped_total", (), ledger.dropped if isinstance(ledger, SqliteLedger) else 0
        )
        self._show("headway_start_time_seconds", (), self._started_ns * 1e-9)
        self._show("headway_build_info", (VERSION,), 1)
        yield from self._families.values()

    def _show(self, name: str, labels: Labels, value: float) -> None:
        family = self._families[name]
        assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
        family.add_metric(labels, value)

    def _count(self) -> None:
        rows = self._counts.rows
        few = _few_tenants(rows)
        for key, value in _summed(rows, lambda names, row: [(few(names), row.calls)]).items():
            self._show("headway_calls_total", key, value)
        for key, value in _summed(rows, lambda names, row: [(few(names), row.nanousd)]).items():
            self._show("headway_cost_usd_total", key, value * _SCALE)
        for key, value in _summed(rows, lambda names, row: _by_kind(few(names), row)).items():
            self._show("headway_tokens_total", key, value)
        for key, value in _summed(rows, _by_outcome).items():
            self._show("headway_attempts_total", key, value)
        for key, value in _summed(rows, lambda names, row: [(names[:3], row.retries)]).items():
            self._show("headway_retries_total", key, value)
        for key, value in _summed(rows, lambda names, row: [(names[:2], row.unpriced)]).items():
            self._show("headway_unpriced_attempts_total", key, value)
        for refusal, count in self._counts.refusals.items():
            self._show("headway_refusals_total", refusal, count)
        self._spread("headway_wait_seconds", lambda names, row: ((names.pool, names.class_), row.waits))
        self._spread("headway_first_token_seconds", lambda names, row: (names[:2], row.first_tokens))
        self._spread("headway_duration_seconds", lambda names, row: (names[:2], row.durations))

    def _spread(self, name: str, of: Callable[[Names, Row], tuple[Labels, Spread]]) -> None:
        merged: dict[Labels, Spread] = {}
        for names, row in self._counts.rows.items():
            key, spread = of(names, row)
            merged.setdefault(key, Spread(spread.edges)).merge(spread)
        family = self._families[name]
        assert isinstance(family, HistogramMetricFamily)
        for key, spread in merged.items():
            family.add_metric(key, _buckets(spread), spread.total)

    def _by_name(self) -> Iterator[tuple[str, list[PoolState]]]:
        """Pools that the catalog knows, each by itself; all others, of models that it does not know, as one."""
        others = []
        for pool in self._state.pools:
            if pool.pool in self._pools:
                yield pool.pool, [pool]
            else:
                others.append(pool)
        if others:
            yield OTHER, others

    def _stand(self, name: str, pools: list[PoolState]) -> None:
        self._show("headway_in_flight_calls", (name,), sum(pool.in_flight for pool in pools))
        self._show("headway_pool_closed_seconds", (name,), max(pool.closed_s for pool in pools))
        line: dict[str, int] = dict.fromkeys(("interactive", "standard", "bulk"), 0)
        bound: dict[str, float] = defaultdict(float)
        for pool in pools:
            for queue in pool.line:
                line[queue.class_] += queue.waiting
            for what, seconds in pool.bound_s.items():
                bound[kind_of(what)] += seconds
        for class_, count in line.items():
            self._show("headway_line_calls", (name, class_), count)
        for what, seconds in bound.items():
            self._show("headway_bound_seconds_total", (name, what), seconds)
        if name == OTHER:
            return  # levels of different pools are no sum
        for limit in pools[0].limits:
            names = (name, limit.unit)
            self._show("headway_limit", names, limit.amount * 60.0 / limit.period_s)
            self._show("headway_limit_level", names, limit.content)
            self._show("headway_limit_in_flight", names, limit.in_flight)
            if limit.capacity is not None:
                self._show("headway_limit_capacity", names, limit.capacity)


def _family(metric: Metric) -> Family:
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.says, labels=metric.labels)
    if metric.kind == "gauge":
        return GaugeMetricFamily(metric.name, metric.says, labels=metric.labels)
    return HistogramMetricFamily(metric.name, metric.says, labels=metric.labels)


def _of_few(budgets: Sequence[BudgetState]) -> list[tuple[str, BudgetState]]:
    """The budgets that have series: not those of sessions and jobs, whose names have no end. A period is named by its kind,
    and the latest counts, so that the series of a daily budget goes on from day to day."""
    found: dict[tuple[str, str], BudgetState] = {}
    for budget in sorted(budgets, key=lambda each: each.budget):
        if _ENDLESS.search(budget.budget) is None:
            found[_PERIOD.sub(r"\1", budget.budget), budget.unit] = budget
    return [(name, budget) for (name, _), budget in list(found.items())[:BUDGETS]]


def _few_tenants(rows: dict[Names, Row]) -> Callable[[Names], Labels]:
    """Labels of a row: the tenants that came first by name, all others as one."""
    few = set(list(dict.fromkeys(names.tenant for names in rows))[:TENANTS])
    return lambda names: (*names[:3], names.tenant if names.tenant in few else OTHER)


def _by_kind(labels: Labels, row: Row) -> list[tuple[Labels, int]]:
    return [((*labels, kind), getattr(row, kind)) for kind in _KINDS]


def _by_outcome(names: Names, row: Row) -> list[tuple[Labels, int]]:
    return [((*names[:3], outcome), count) for outcome, count in row.attempts.items()]


def _summed(
    rows: dict[Names, Row], of: Callable[[Names, Row], list[tuple[Labels, int]]]
) -> dict[Labels, int]:
    sums: dict[Labels, int] = defaultdict(int)
    for names, row in rows.items():
        for key, value in of(names, row):
            sums[key] += value
    return sums


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    shown, so_far = [], 0
    for edge, count in zip((*spread.edges, float("inf")), spread.counts, strict=True):
        so_far += count
        shown.append(("+Inf" if edge == float("inf") else str(edge), float(so_far)))
    return shown
