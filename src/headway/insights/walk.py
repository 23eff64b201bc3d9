"""Reads the attempts of a window out of a ledger, in order of time, and shows each to the rules that want it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from headway.insights.finding import Found
from headway.insights.rates import Rates
from headway.insights.traffic import MOST_GROUPS, Group, PoolMinutes, Seen, Traffic, plain_label
from headway.providers.catalog import Catalog

Sees = Literal["ok", "failed", "all"]
_GROUPED = ("provider", "pool", "model_served", "tenant", "class", "job", "label")
_SEEN = (  # the columns of `Seen`, in its order
    *(
        "id",
        "at_ns",
        "session",
        "label",
        "outcome",
        "error_type",
        "ifnull(queued_ms, 0.0)",
        "ifnull(total_ms, 0.0)",
    ),
    *("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens"),
    *("thinking_tokens", "cost_nanousd", "estimated", "max_output_tokens", "waited_for", "stop_reason"),
    *("call_id", "number", "fingerprint", "price_variant"),
    "input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens",
)
_SINCE_0002 = {"max_output_tokens": "0", "waited_for": "''", "stop_reason": "''", "fingerprint": "NULL"}
_EVERY = 20_000  # rows between two words to `progress`


class Rule(Protocol):
    """What looks at the traffic for one thing. `sees` are the attempts it wants to be shown."""

    sees: Sees

    def see(self, seen: Seen, /) -> None:
        """One more attempt, later than all before."""

    def found(self, traffic: Traffic, /) -> list[Found]:
        """All were shown: what there is to say."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which attempts: from `since_ns` until before `until_ns` (ns since 1970 UTC), of one tenant or job if named."""

    since_ns: int
    until_ns: int
    tenant: str | None = None
    job: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """As SQL, with its parameters."""
        parts, values = ["at_ns >= ? AND at_ns < ?"], [self.since_ns, self.until_ns]
        for name, value in (("tenant", self.tenant), ("job", self.job)):
            if value is not None:
                parts.append(f"{name} = ?")
                values.append(value)  # type: ignore[arg-type]  # a list of SQL parameters of any type
        return " AND ".join(parts), values


def walk(
    db: sqlite3.Connection,
    window: Window,
    rules: Sequence[Rule],
    progress: Callable[[int], None] | None = None,
) -> Traffic:
    """Show every attempt of the window to the rules, once, by time. `progress` is told how many rows are done."""
    traffic = Traffic()
    on_ok = [rule.see for rule in rules if rule.sees in ("ok", "all")]
    on_failure = [rule.see for rule in rules if rule.sees in ("failed", "all")]
    for seen in _attempts(db, window, traffic):
        if seen.outcome == "ok":
            for see in on_ok:
                see(seen)
        else:
            for see in on_failure:
                see(seen)
        if progress is not None and not traffic.attempts % _EVERY:
            progress(traffic.attempts)
    return traffic


def _attempts(db: sqlite3.Connection, window: Window, traffic: Traffic) -> Iterator[Seen]:
    rates, groups = Rates(), _Groups(traffic)
    known, rate_of, minutes = groups.known, rates.of, traffic.minutes
    where, values = window.where()
    for row in db.execute(f"SELECT {_select(db)} FROM attempts WHERE {where} ORDER BY at_ns", values):
        key = row[:7]
        group = known.get(key) or groups.make(key)
        at_ns = row[8]
        seen = Seen(group, rate_of(group.model, at_ns, row[29]), *row[7:])
        group.attempts += 1
        if seen.nanousd is None:
            group.unpriced += 1
        else:
            group.nanousd += seen.nanousd
        if seen.outcome == "ok":
            group.ok += 1
            group.input_tokens += seen.fresh
            group.cache_read_tokens += seen.read
            group.cache_write_tokens += seen.write_5m + seen.write_1h
        if group.pool:
            counted = seen.total - seen.read if group.reads_are_free else seen.total
            minutes[group.pool].add(at_ns, counted, seen.output)
        traffic.first_ns = traffic.first_ns or at_ns
        traffic.last_ns = at_ns
        traffic.attempts += 1
        yield seen
    traffic.nanousd = sum(group.nanousd for group in traffic.groups)


class _Groups:
    """Makes the slice of a row that is not among the `known`."""

    def __init__(self, traffic: Traffic) -> None:
        self.known: dict[tuple[str, ...], Group] = {}
        self._traffic = traffic
        self._plain: dict[tuple[str, ...], Group] = {}
        self._catalog = Catalog.load()

    def make(self, key: tuple[str, ...]) -> Group:
        """The slice of these columns, an old one if only numbers in the label are new."""
        provider, pool, model, tenant, class_, job, label = key
        made = len(self._traffic.groups)
        label = plain_label(label) if made < MOST_GROUPS else ""
        job = plain_label(job) if made < 2 * MOST_GROUPS else ""
        tenant = tenant if made < 3 * MOST_GROUPS else "(others)"
        plain = (provider, pool, model, tenant, class_, job, label)
        group = self._plain.get(plain)
        if group is None:
            facts, groups = self._catalog.model(model), self._traffic.groups
            free = facts is not None and facts.cache_reads_free
            group = Group(len(groups), *plain, facts, free)
            self._plain[plain] = group
            groups.append(group)
            self._traffic.minutes.setdefault(pool, PoolMinutes())
        if len(self.known) > 50_000:  # labels that differ from call to call
            self.known.clear()
        self.known[key] = group
        return group


def _select(db: sqlite3.Connection) -> str:
    """The columns; a ledger that was never opened by this headway has fewer, and their defaults instead."""
    there = {row[1] for row in db.execute("PRAGMA table_info(attempts)")}
    absent = {name: value for name, value in _SINCE_0002.items() if name not in there}
    return ", ".join(absent.get(name, name) for name in (*_GROUPED, *_SEEN))
