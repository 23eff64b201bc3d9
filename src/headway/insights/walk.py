"""Reads the attempts of a window out of a ledger, in order of time, and shows each to the rules that want it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from headway.insights.finding import Found
from headway.insights.rates import Rates
from headway.insights.traffic import Group, PoolMinutes, Seen, Traffic, plain_label
from headway.providers.catalog import Catalog

Sees = Literal["ok", "failed", "all"]
_GROUPED = ("provider", "pool", "model_served", "tenant", "class", "job", "label")
_COLUMNS = (
    *("id", "at_ns", "session", "outcome", "error_type", "queued_ms", "total_ms"),
    *("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens"),
    *("thinking_tokens", "cost_nanousd", "estimated", "max_output_tokens", "waited_for", "stop_reason"),
    *("call_id", "number", "fingerprint", "price_variant"),
)
_SINCE_0002 = {
    "max_output_tokens": "0",
    "waited_for": "''",
    "stop_reason": "''",
    "fingerprint": "NULL",
}
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
    traffic = Traffic(limits=_limits(db))
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
    where, values = window.where()
    for row in db.execute(f"SELECT {_select(db)} FROM attempts WHERE {where} ORDER BY at_ns", values):
        group = groups.of(row[:7])
        label, (key, at_ns, session, outcome, error, queued, total_ms, fresh, read, w5, w1, out) = (
            row[6],
            row[7:19],
        )
        thinking, cost, estimated, most, waited, stop, call, number, mark, variant = row[19:]
        total = fresh + read + w5 + w1
        group.attempts += 1
        if cost is None:
            group.unpriced += 1
        else:
            group.nanousd += cost
            traffic.nanousd += cost
        if outcome == "ok":
            group.ok += 1
            group.input_tokens += fresh
            group.cache_read_tokens += read
            group.cache_write_tokens += w5 + w1
            group.output_tokens += out
        if group.pool:
            _count(traffic, group, at_ns, total - read if _reads_are_free(group) else total, out)
        traffic.first_ns = traffic.first_ns or at_ns
        traffic.last_ns = at_ns
        traffic.attempts += 1
        yield Seen(
            key,
            at_ns,
            session,
            label,
            outcome,
            error,
            queued or 0.0,
            total_ms or 0.0,
            fresh,
            read,
            w5,
            w1,
            out,
            thinking,
            cost,
            estimated,
            most,
            waited,
            stop,
            call,
            number,
            mark,
            total,
            group,
            rates.of(group.model, at_ns, variant),
            variant,
        )


def _reads_are_free(group: Group) -> bool:
    return group.facts is not None and group.facts.cache_reads_free


def _count(traffic: Traffic, group: Group, at_ns: int, counted: int, output: int) -> None:
    minutes = traffic.minutes.get(group.pool)
    if minutes is None:
        minutes = traffic.minutes[group.pool] = PoolMinutes()
    minutes.add(at_ns, counted, output)


class _Groups:
    """Finds the slice of a row; makes it the first time."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._known: dict[tuple[str, ...], Group] = {}
        self._plain: dict[tuple[str, ...], Group] = {}
        self._catalog = Catalog.load()

    def of(self, key: tuple[str, ...]) -> Group:
        group = self._known.get(key)
        if group is None:
            group = self._plain_one(key)
            if len(self._known) > 50_000:  # labels that differ from call to call
                self._known.clear()
            self._known[key] = group
        return group

    def _plain_one(self, key: tuple[str, ...]) -> Group:
        label = "" if self._traffic.most_groups_reached else plain_label(key[6])
        plain = (*key[:6], label)
        group = self._plain.get(plain)
        if group is None:
            facts = self._catalog.model(key[2])
            provider, pool, model, tenant, class_, job, _ = key
            number = len(self._traffic.groups)
            group = Group(number, provider, pool, model, tenant, class_, job, label, facts)
            self._plain[plain] = group
            self._traffic.groups.append(group)
        return group


def _select(db: sqlite3.Connection) -> str:
    """The columns; a ledger that was never opened by this headway has fewer, and their defaults instead."""
    there = {row[1] for row in db.execute("PRAGMA table_info(attempts)")}
    names = [name if name in there else _SINCE_0002[name] for name in (*_GROUPED, *_COLUMNS)]
    return ", ".join(names)


def _limits(db: sqlite3.Connection) -> dict[str, dict[str, float]]:
    """Amounts a minute that replies have taught, by pool and unit."""
    found: dict[str, dict[str, float]] = {}
    for key, text in db.execute("SELECT key, value FROM learnt WHERE key LIKE 'bucket/%'"):
        try:
            amounts = {unit: float(lesson["amount"]) for unit, lesson in json.loads(text).items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        pool = "/".join(key.rsplit("/", 2)[-2:])
        found.setdefault(pool, {}).update(amounts)
    return found
