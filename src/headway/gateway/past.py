"""What was spent of budgets that are not in memory: before this process began, and of those that were put aside.

The first is added up from the ledger, once for a budget as written, as the books of the engine do it: tokens are all input
and output, money is what has a price, and a request is an attempt that the provider took on, or that broke off after it was
sent. Attempts that are still open count by their estimate: a process that was killed, or one that is about to end beside
this one, may be billed for them.

Both are kept in a private temporary database: names of sessions come from outside, and there may be any number of them.
(An index of the ledger by session would cost each attempt as much time as all the rest of its writing.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from headway.core.call import Unit, Usage
from headway.core.rolling import PIECES
from headway.errors import LedgerError
from headway.gateway.grants import Grant, Group
from headway.gateway.period import Rolling, span_at
from headway.ledger.file import read_file
from headway.ledger.price import Prices
from headway.ledger.spent import read_spent

_COLUMNS = {"session": "session", "job": "job", "model": "model"}
_MOST_ASKED_FOR = 500  # tenants by name; beyond that all are read
_NEVER_NS = 2**63 - 1
_OPEN = """
    SELECT tenant, {columns}, at_ns, model, estimated_input_tokens, estimated_output_tokens
    FROM open_attempts WHERE at_ns >= ? AND at_ns < ?{tenants}"""
_ASIDE = """
    CREATE TABLE aside (
        number INTEGER, start_ns INTEGER, a TEXT, b TEXT, c TEXT, at_ns INTEGER, amount INTEGER, kept INTEGER,
        PRIMARY KEY (number, start_ns, a, b, c, at_ns)
    ) WITHOUT ROWID"""
_ADD = "INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"
_WHOSE = "number = ? AND start_ns = ? AND a = ? AND b = ? AND c = ?"

Piece = tuple[int, int]  # when, and how much
_Row = tuple[
    str, tuple[str, ...], int, dict[Unit, int]
]  # of which tenant, session, job and model; when; how much


class Past:
    """`ledger` None: there is none, and nothing was spent. For one thread at a time."""

    def __init__(self, ledger: Path | None, prices: Prices) -> None:
        self._ledger = ledger
        self._prices = prices
        self._aside = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._aside.execute("PRAGMA synchronous=OFF")
        self._aside.execute(_ASIDE)

    def look_back(self, groups: Sequence[Group], at_ns: int) -> None:
        """Read what was spent in the present period of groups with the same period and the same dimensions, in one pass.

        Raises LedgerError if the ledger cannot be read.
        """
        plan = groups[0].plan
        span = span_at(plan.period, at_ns)
        start_ns, width_ns = span.start_ns, None
        if isinstance(plan.period, Rolling):
            start_ns, width_ns = (
                at_ns - plan.period.seconds * 10**9 + 1,
                plan.period.seconds * 10**9 // PIECES,
            )
        tenants: dict[str, list[Group]] = {}
        for group in groups:
            tenants.setdefault(_as_written(group.tenant), []).append(group)
        found = self._read(plan.per, tenants, (start_ns, span.end_ns or _NEVER_NS), width_ns)
        rows = (
            (group.number, span.start_ns, *values, when, took[group.plan.unit], 0)
            for tenant, values, when, took in found
            for group in tenants.get(tenant, ())
        )
        self._aside.execute("BEGIN")
        try:
            self._aside.executemany(_ADD, rows)
            self._aside.execute("COMMIT")
        except BaseException:
            self._aside.execute("ROLLBACK")
            raise

    def recall(self, grant: Grant) -> tuple[list[Piece], bool]:
        """What was spent of a budget, oldest first; and whether it was put aside by this process."""
        rows = self._aside.execute(
            f"SELECT at_ns, amount, kept FROM aside WHERE {_WHOSE} ORDER BY at_ns", _key(grant)
        ).fetchall()
        return [(at_ns, amount) for at_ns, amount, _ in rows], any(kept for _, _, kept in rows)

    def keep(self, grant: Grant, pieces: Iterable[Piece]) -> None:
        """Put aside what was spent of a budget in all."""
        key = _key(grant)
        self._aside.execute(f"DELETE FROM aside WHERE {_WHOSE}", key)
        self._aside.executemany(_ADD, [(*key, at_ns, amount, 1) for at_ns, amount in pieces])

    def forget(self, group: Group, before_ns: int) -> None:
        """Its periods that began before are over."""
        self._aside.execute("DELETE FROM aside WHERE number = ? AND start_ns < ?", (group.number, before_ns))

    def close(self) -> None:
        """Forget all of it."""
        self._aside.close()

    def _read(
        self, per: tuple[str, ...], tenants: Iterable[str], within: tuple[int, int], width_ns: int | None
    ) -> Iterator[_Row]:
        if self._ledger is None or not self._ledger.exists():
            return
        named = tuple(tenants)
        where = f" AND tenant IN ({', '.join('?' * len(named))})"
        if len(named) > _MOST_ASKED_FOR:
            named, where = (), ""
        columns = ", ".join([*(_COLUMNS[each] for each in per), "''", "''", "''"][:3])
        open_ = _OPEN.format(columns=columns, tenants=where)
        try:
            with closing(read_file(self._ledger)) as db:
                db.execute("BEGIN")  # one moment for both
                for each in read_spent(db, per, named, within, width_ns):
                    took = {Unit.USD: each.nanousd, Unit.TOKENS: each.tokens, Unit.REQUESTS: each.requests}
                    yield each.tenant, each.values, each.at_ns, took
                for tenant, a, b, c, at_ns, *estimate in db.execute(open_, (*within, *named)):
                    yield tenant, (a, b, c), at_ns, self._expected(at_ns, *estimate)
        except sqlite3.Error as error:
            raise LedgerError(f"cannot read the ledger {self._ledger}: {error}") from error

    def _expected(self, at_ns: int, model: str, input_tokens: int, output_tokens: int) -> dict[Unit, int]:
        usage = Usage(input_tokens, output_tokens=output_tokens, model=model)
        nanousd = self._prices.cost(model, usage, at_ns).nanousd or 0
        return {Unit.USD: nanousd, Unit.TOKENS: input_tokens + output_tokens, Unit.REQUESTS: 1}


def _key(grant: Grant) -> tuple[int, int, str, str, str]:
    a, b, c = (*map(_as_written, grant.values), "", "", "")[:3]
    return (grant.group.number, grant.start_ns, a, b, c)


def _as_written(name: str) -> str:
    """As the ledger writes what a database cannot hold."""
    return name.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
