"""What of a ledger a report reads, as SQL: sums of whole hours and days, and single attempts where these do not reach.

    since                                                                        until
      |· attempts ·|— hours —|======= days =======|— hours —|··· attempts of the last, partial hour ···|
                          and, wherever they lie: attempts that are not added up yet, and lost ones

Every source has the same columns, so a report asks each of them the same question and adds up the answers.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from headway.errors import LedgerError
from headway.ledger.columns import ATTEMPT, DIMENSIONS, HOUR_NS
from headway.ledger.where import Where, check_where, filter_sql

END_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Source:
    """One part of a report: rows with `hour`, the dimensions and what is added up. `values` go with the SQL."""

    sql: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """Which hours, days and attempts a report reads. Hours since 1970 UTC: sums from `first` to before `last`, of it days
    from `first_day` to before `last_day`. `pruned_ns`: attempts from before that may be gone."""

    since_ns: int
    until_ns: int
    upto: int
    first: int
    last: int
    first_day: int
    last_day: int
    pruned_ns: int
    where: Where = ()

    @property
    def is_rounded(self) -> bool:
        """Whether single attempts would be needed that were removed: then whole hours are counted."""
        return any(moment % HOUR_NS and moment < self.pruned_ns for moment in (self.since_ns, self.until_ns))

    def before(self, moment_ns: int) -> Parts:
        """The same, up to a whole hour: what lies before it, by hours."""
        until_ns = min(max(moment_ns, self.since_ns), self.until_ns)
        last = max(self.first, min(self.last, until_ns // HOUR_NS))
        return replace(self, until_ns=until_ns, last=last, first_day=last, last_day=last)

    def sums(self) -> tuple[Source, ...]:
        """Where sums are."""
        return tuple(self._cells("sums", *span) for span in self._spans())

    def waits(self) -> tuple[Source, ...]:
        """Where waits are."""
        return tuple(self._cells("waits", *span) for span in self._spans())

    def steps(self, named: str) -> tuple[Source, ...]:
        """How long they waited, by k1 and k2 (`named` is SQL for them) and step. Keys are made for cells, not for steps."""
        return tuple(self._steps(named, *span) for span in self._spans())

    def shared(self) -> tuple[Source, ...]:
        """Calls that have attempts in several cells of one of the sources of `sums`."""
        table = "(SELECT shared.*, shares.calls FROM shared JOIN shares ON shares.id = share)"
        return tuple(self._cells(table, *span) for span in self._spans())

    def straddling(self) -> Source:
        """Calls that have attempts in more than one of the sources of `sums`; `part` tells which."""
        part = "CASE WHEN m.start < ? THEN 0 WHEN m.start < ? THEN 1 ELSE 2 END"
        edges = "start >= ? AND start < ? OR start >= ? AND start < ?"
        condition, values = filter_sql(self.where)
        sql = (
            f"SELECT m.share, m.start AS hour, {part} AS part, shares.calls, {', '.join(DIMENSIONS)}"
            f" FROM (SELECT DISTINCT share FROM shared WHERE span = 1 AND ({edges})) AS e"
            " JOIN shared AS m ON m.share = e.share JOIN shares ON shares.id = m.share JOIN kinds ON kinds.id = m.kind"
            f" WHERE m.start >= ? AND m.start < ?{condition}"
        )
        days = (self.first_day, self.last_day)
        around = (self.first, self.first_day, self.last_day, self.last)
        return Source(sql, (*days, *around, self.first, self.last, *values))

    def attempts(self, columns: str = ATTEMPT) -> Source:
        """Single attempts that no sum of this report has."""
        condition, values = filter_sql(self.where)
        not_aside = "id NOT IN (SELECT id FROM aside)"
        pieces, bound = [], []
        low, high = max(self.first * HOUR_NS, self.since_ns), min(self.last * HOUR_NS, self.until_ns)
        edges = (
            [(self.since_ns, low), (high, self.until_ns)] if low < high else [(self.since_ns, self.until_ns)]
        )
        for begin, end in edges:
            if begin < end:
                pieces.append(f"at_ns >= ? AND at_ns < ? AND id <= ? AND {not_aside}{condition}")
                bound += [begin, end, self.upto, *values]
        for which in ("id > ?", "id IN (SELECT id FROM aside) AND id <= ?"):
            pieces.append(f"{which} AND +at_ns >= ? AND +at_ns < ?{condition}")
            bound += [self.upto, self.since_ns, self.until_ns, *values]
        return Source(
            " UNION ALL ".join(f"SELECT {columns} FROM attempts WHERE {piece}" for piece in pieces),
            tuple(bound),
        )

    def is_summed_sql(self) -> tuple[str, tuple[Any, ...]]:
        """The condition on an attempt `s` that is in the sums of this report."""
        hour = f"s.at_ns / {HOUR_NS}"
        sql = f"s.id <= ? AND s.id NOT IN (SELECT id FROM aside) AND {hour} >= ? AND {hour} < ?"
        return sql, (self.upto, self.first, self.last)

    def _spans(self) -> tuple[tuple[int, int, int], ...]:
        spans = (
            (1, self.first, self.first_day),
            (24, self.first_day, self.last_day),
            (1, self.last_day, self.last),
        )
        return tuple(span for span in spans if span[1] < span[2])

    def _steps(self, named: str, span: int, start: int, end: int) -> Source:
        cells = self._cells("sums", span, start, end)
        sql = (
            f"WITH keyed AS (SELECT start, kind, {named} FROM ({cells.sql})),"
            " cells AS MATERIALIZED (SELECT *, dense_rank() OVER (ORDER BY k1, k2) AS number FROM keyed)"
            " SELECT k1, k2, step_us, sum(w.attempts), sum(waited_us), max(longest_ms) FROM cells AS c"
            f" CROSS JOIN waits AS w ON w.span = {span} AND w.start = c.start AND w.kind = c.kind GROUP BY number, step_us"
        )
        return Source(sql, cells.values)

    def _cells(self, table: str, span: int, start: int, end: int) -> Source:
        condition, values = filter_sql(self.where)
        sql = (
            f"SELECT *, start AS hour FROM {table} JOIN kinds ON kinds.id = kind"
            f" WHERE span = ? AND start >= ? AND start < ?{condition}"
        )
        return Source(sql, (span, start, end, *values))


def find_parts(
    db: sqlite3.Connection, since_ns: int, until_ns: int = END_NS, where: Where = (), *, by_hour: bool = False
) -> Parts:
    """How to read what lies between two moments. `by_hour`: single hours or sessions are wanted.

    To be asked in the transaction in which they are read. LedgerError if the file is of an older headway.
    """
    check_where(where)
    try:
        upto, pruned_ns = db.execute("SELECT upto, pruned_ns FROM rolled").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        raise LedgerError(
            "this ledger was written by an older headway and cannot be changed here",
            hint="Run headway usage once as its owner, or copy it to where you may write.",
        ) from None
    first, last = -(-since_ns // HOUR_NS), until_ns // HOUR_NS
    if since_ns < pruned_ns:
        first = since_ns // HOUR_NS
    if until_ns < pruned_ns:
        last = -(-until_ns // HOUR_NS)
    first_day, last_day = -(-first // 24) * 24, last // 24 * 24
    if by_hour or any(name == "session" for name, _ in where) or first_day >= last_day:
        first_day = last_day = last
    if first >= last:
        first = last = first_day = last_day = since_ns // HOUR_NS
    return Parts(since_ns, until_ns, upto, first, last, first_day, last_day, pruned_ns, where)
