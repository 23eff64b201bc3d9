"""Puts one batch of beginnings and ends on file, in one transaction and as few statements as possible.

An attempt that begins and ends within the batch is written once, settled. One that began in an earlier batch is taken off
the open ones. After an error nothing of the batch is on file, and writing it again is safe.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from headway.core.call import Class
from headway.core.ports import Entry, OpenEntry
from headway.ledger.owner import Owner
from headway.ledger.price import Prices
from headway.ledger.row import OPEN, Row, open_row, settled_row
from headway.ledger.sweep import settle_sql

_SIZES = (
    100,
    50,
    25,
    10,
    5,
    2,
    1,
)  # rows of one statement; a full batch is 50 attempts, or 100 beginnings or ends


def write_batch(
    db: sqlite3.Connection,
    batch: Sequence[Any],
    under_way: MutableMapping[str, OpenEntry],
    owner: Owner,
    prices: Prices,
) -> dict[str, bytes]:
    """Write OpenEntry, Entry and (key, JSON) items; returns what was learnt of them. sqlite3.Error: nothing was written.

    `under_way` has the beginnings that are on file and not ended; it is changed after the commit only.
    """
    now_ns = time.time_ns()
    opened, settled, learnt = _sort(batch, under_way, prices, now_ns)
    ended = [row[0] for row in settled if row[0] in under_way]
    begun = [open_row(entry, owner, now_ns) for entry in opened.values()]
    db.execute("BEGIN IMMEDIATE")
    try:
        _insert(db, _OPEN_SQL, begun)
        _insert(db, _SETTLE_SQL, settled)
        if ended:
            db.execute(
                f"DELETE FROM open_attempts WHERE attempt_id IN ({', '.join('?' * len(ended))})", ended
            )
        for key, text in learnt.items():
            db.execute("INSERT OR REPLACE INTO learnt VALUES (?, ?, ?)", (key, text.decode(), now_ns))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    under_way.update(opened)
    for attempt_id in ended:
        under_way.pop(attempt_id, None)
    return learnt


def _sort(
    batch: Sequence[Any], under_way: Mapping[str, OpenEntry], prices: Prices, now_ns: int
) -> tuple[dict[str, OpenEntry], list[Row], dict[str, bytes]]:
    opened: dict[str, OpenEntry] = {}
    settled: list[Row] = []
    learnt: dict[str, bytes] = {}
    for item in batch:
        match item:
            case OpenEntry():
                opened[item.attempt_id] = item
            case Entry():
                start = opened.pop(item.attempt_id, None) or under_way.get(item.attempt_id)
                settled.append(settled_row(start or _unopened(item, now_ns), item, prices, now_ns))
            case (key, text):
                learnt[key] = text
    return opened, settled, learnt


def _unopened(entry: Entry, now_ns: int) -> OpenEntry:
    """An end without a beginning (its beginning was dropped): what was used still counts."""
    at_ns = now_ns - int(min(max(entry.total_ms, 0.0), 1e9) * 1e6)
    return OpenEntry(
        entry.attempt_id,
        "",
        0,
        at_ns,
        "",
        "",
        entry.usage.model,
        "",
        Class.STANDARD,
        "",
        "",
        "",
        0,
        0,
        0.0,
        False,
    )


def _insert(db: sqlite3.Connection, statements: Mapping[int, str], rows: Sequence[Row]) -> None:
    """As few statements as possible: the interpreter lock changes hands at each, and a busy caller keeps it for 5 ms."""
    done = 0
    for size in _SIZES:
        while len(rows) - done >= size:
            db.execute(statements[size], [value for row in rows[done : done + size] for value in row])
            done += size


def _open_sql(count: int) -> str:
    columns = OPEN.split()
    holes = f"({', '.join('?' * len(columns))})"
    return f"INSERT OR IGNORE INTO open_attempts ({', '.join(columns)}) VALUES {', '.join([holes] * count)}"


_OPEN_SQL = {size: _open_sql(size) for size in _SIZES}
_SETTLE_SQL = {size: settle_sql(size) for size in _SIZES}
