"""One session, attempt by attempt, and what it had used by then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.errors import LedgerError
from headway.ledger.columns import HOUR_NS, INPUT
from headway.ledger.file import read_file
from headway.ledger.parts import END_NS, Parts, find_parts
from headway.ledger.report import prepare
from headway.ledger.where import Where

_COLUMNS = (
    f"id, at_ns, tenant, model_served, outcome, status, {INPUT}, cache_read_tokens, output_tokens, cost_nanousd,"
    " estimated = 1 OR coalesce(status < 400, 0), queued_ms, waited_for, estimated"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One attempt of a session. `input_tokens` is all input, `cached` the part of it that was read from the cache.

    `tokens_sofar`, `nanousd_sofar` and `requests_sofar` are what the session used up to here, this one included.
    `cost_nanousd` None: its price is not known.
    """

    at_ns: int
    tenant: str
    model: str
    outcome: str
    status: int | None
    input_tokens: int
    cached: int
    output_tokens: int
    cost_nanousd: int | None
    taken: bool
    queued_ms: float
    waited_for: str
    estimated: bool
    tokens_sofar: int
    nanousd_sofar: int
    requests_sofar: int


def read_session(path: Path, session: str, tenant: str | None = None, since_ns: int = 0) -> tuple[Step, ...]:
    """Its attempts by time, of all tenants if none is named. What was removed of it is in what it used before.

    LedgerError for a file that cannot be read. A session that nobody knows has none.
    """
    if not path.exists():
        return ()
    prepare(path)
    where: Where = (("session", session), *((("tenant", tenant),) if tenant is not None else ()))
    try:
        with closing(read_file(path)) as db:
            db.execute("BEGIN")
            parts = find_parts(db, since_ns, END_NS, where)
            before = _removed(db, parts)
            rows = sorted(set(_rows(db, parts, session, tenant)), key=lambda row: (row[1], row[0]))
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    return tuple(_steps(rows, before))


def _removed(db: sqlite3.Connection, parts: Parts) -> tuple[int, int, int]:
    """Tokens, nanodollars and requests of hours whose attempts may be gone."""
    tokens = nanousd = requests = 0
    for source in parts.before(parts.pruned_ns).sums():
        sums = f"coalesce(sum({INPUT} + output_tokens), 0), coalesce(sum(cost_nanousd), 0), coalesce(sum(taken), 0)"
        more = db.execute(f"SELECT {sums} FROM ({source.sql})", source.values).fetchone()
        tokens, nanousd, requests = tokens + more[0], nanousd + more[1], requests + more[2]
    return tokens, nanousd, requests


def _rows(
    db: sqlite3.Connection, parts: Parts, session: str, tenant: str | None
) -> Iterator[tuple[Any, ...]]:
    """The sums know in which hours it was there: the rest need not be looked at."""
    for source in parts.sums():
        for (hour,) in db.execute(f"SELECT DISTINCT hour FROM ({source.sql})", source.values).fetchall():
            begin = max(hour * HOUR_NS, parts.pruned_ns, parts.since_ns)
            yield from db.execute(
                f"SELECT {_COLUMNS} FROM attempts WHERE at_ns >= ? AND at_ns < ? AND session = ?"
                " AND (? IS NULL OR tenant = ?)",
                (begin, (hour + 1) * HOUR_NS, session, tenant, tenant),
            )
    single = parts.attempts(_COLUMNS)
    yield from db.execute(single.sql, single.values)


def _steps(rows: list[tuple[Any, ...]], before: tuple[int, int, int]) -> Iterator[Step]:
    tokens, nanousd, requests = before
    row: list[Any]
    for _, *row, queued_ms, waited_for, estimated in rows:
        *told, taken = row
        input_tokens, _, output_tokens, cost = told[5:]
        tokens += input_tokens + output_tokens
        nanousd += cost or 0
        requests += taken
        told += [bool(taken), queued_ms or 0.0, waited_for, bool(estimated), tokens, nanousd, requests]
        yield Step(*told)
