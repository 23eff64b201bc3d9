"""What was spent between two moments, by tenant and session, job or model asked: for budgets.

Tokens are all input and output, money is what has a price, and a request is an attempt that the provider took on, or that
broke off after it was sent. What was removed from the ledger still counts: it is in the sums.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from headway.ledger.columns import ATTEMPT, HOUR_NS, INPUT
from headway.ledger.parts import END_NS, Parts, Source, find_parts
from headway.ledger.where import Where, filter_sql

_COLUMNS = {"session": "session", "job": "job", "model": "model_asked"}
_MOST_ASKED_FOR = 500  # tenants by name; beyond that all are read
_SUMS = f"coalesce(sum(cost_nanousd), 0), coalesce(sum({INPUT} + output_tokens), 0), coalesce(sum(taken), 0)"


@dataclass(frozen=True, slots=True)
class Spent:
    """By one tenant, and what else was told apart ("" where it was not), up to `at_ns`."""

    tenant: str
    values: tuple[str, str, str]
    at_ns: int
    nanousd: int
    tokens: int
    requests: int


def read_spent(
    db: sqlite3.Connection,
    per: Collection[str] = (),
    tenants: Collection[str] = (),
    within: tuple[int, int] = (0, END_NS),
    width_ns: int | None = None,
) -> Iterator[Spent]:
    """Attempts that ended, from `within[0]` to before `within[1]`, of these tenants (none: of all), and maybe of others.

    `per`: what to tell apart, of session, job, model. `width_ns`: in pieces of that length. What was removed counts as of
    the end of its hour. To be read in a transaction. LedgerError if the file is of an older headway.
    """
    where: Where = tuple(("tenant", name) for name in tenants) if len(tenants) <= _MOST_ASKED_FOR else ()
    parts = find_parts(db, *within, where, by_hour=width_ns is not None or "session" in per)
    columns = ", ".join([*(_COLUMNS[each] for each in per), "''", "''", "''"][:3])
    for source, at in _sources(parts, width_ns):
        piece = f", {at} / {width_ns}" if width_ns is not None else ""
        for tenant, a, b, c, at_ns, *sums in db.execute(
            f"SELECT tenant, {columns}, max({at}), {_SUMS} FROM ({source.sql}) GROUP BY tenant, 2, 3, 4{piece}",
            source.values,
        ):
            yield Spent(tenant, (a, b, c), at_ns, *sums)


def _sources(parts: Parts, width_ns: int | None) -> Iterator[tuple[Source, str]]:
    """And the time of each of their rows, as SQL. For pieces, all attempts that are still there."""
    hour = f"hour * {HOUR_NS} + {HOUR_NS - 1}"
    whole = f"{ATTEMPT}, at_ns"
    if width_ns is None:
        yield from ((source, hour) for source in parts.sums())
        yield parts.attempts(whole), "at_ns"
        return
    removed = parts.before(parts.pruned_ns)
    yield from ((source, hour) for source in removed.sums())
    if removed.until_ns > removed.since_ns:
        yield removed.attempts(whole), "at_ns"
    condition, values = filter_sql(parts.where)
    begin = max(parts.since_ns, parts.pruned_ns)
    sql = f"SELECT {whole} FROM attempts WHERE at_ns >= ? AND at_ns < ?{condition}"
    yield Source(sql, (begin, parts.until_ns, *values)), "at_ns"
