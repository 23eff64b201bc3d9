"""How many different calls each group has, of the attempts that a report reads.

Each cell of `sums` knows how many calls it has. A call that is in several cells, or in single attempts besides, must be one
call in each group all the same: what was counted twice is taken off.
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from headway.ledger.columns import ATTEMPT
from headway.ledger.parts import Parts
from headway.ledger.where import filter_sql

Key = tuple[str, str]


def count_calls(db: sqlite3.Connection, named: str, parts: Parts) -> dict[Key, int]:
    """Calls by key. `named` is SQL for the columns k1 and k2, out of the dimensions and `hour`."""
    found = Counter[Key]()

    def take(sql: str, values: tuple[object, ...], sign: int = 1) -> None:
        for k1, k2, calls in db.execute(f"{sql} GROUP BY k1, k2", values):
            found[str(k1), str(k2)] += sign * calls

    for source in parts.sums():
        take(f"SELECT {named}, sum(calls) FROM ({source.sql})", source.values)
    for source in parts.shared():
        groups = f"SELECT share, {named}, calls, count(*) AS cells FROM ({source.sql}) GROUP BY share, k1, k2"
        twice = f"SELECT k1, k2, sum(calls * (cells - 1)) FROM ({groups} HAVING cells > 1)"
        take(twice, source.values, -1)
    if len(parts.sums()) > 1:
        source = parts.straddling()
        groups = f"SELECT share, {named}, calls, count(DISTINCT part) AS parts FROM ({source.sql}) GROUP BY share, k1, k2"
        take(f"SELECT k1, k2, sum(calls * (parts - 1)) FROM ({groups} HAVING parts > 1)", source.values, -1)
    single = parts.attempts()
    take(f"SELECT {named}, count(DISTINCT call) FROM ({single.sql})", single.values)
    take(*_summed_too(named, parts), -1)
    return dict(found)


def _summed_too(named: str, parts: Parts) -> tuple[str, tuple[object, ...]]:
    """Calls with single attempts that are counted in a sum of the same group as well. An attempt that is beyond the sums and
    the first of its call has no others in them."""
    single = parts.attempts()
    is_summed, summed = parts.is_summed_sql()
    condition, values = filter_sql(parts.where)
    others = (
        f"SELECT {named} FROM (SELECT {ATTEMPT} FROM (SELECT 1) JOIN {of_call_sql('r.call')}"
        f" WHERE {is_summed}{condition})"
    )
    rows = f"SELECT id, number, call, {named} FROM ({single.sql})"
    pairs = (
        f"SELECT DISTINCT call, k1, k2 FROM ({rows}) AS r WHERE (number > 1 OR id <= ?)"
        f" AND EXISTS (SELECT 1 FROM ({others}) AS o WHERE o.k1 = r.k1 AND o.k2 = r.k2)"
    )
    bound = (*single.values, parts.upto, *summed, *values)
    return f"SELECT k1, k2, count(*) FROM ({pairs})", bound


def of_call_sql(call: str) -> str:
    """The attempts `s` of a call, found by their ids (. comes right after -), for a join. No other index may be used."""
    within = f"s.attempt_id > {call} || '-' AND s.attempt_id < {call} || '.'"
    return f"attempts AS s INDEXED BY sqlite_autoindex_attempts_1 ON {within} AND +s.call_id = {call}"
