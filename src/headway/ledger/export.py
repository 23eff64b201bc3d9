"""Hands out attempts one by one, for other programs: all columns but fingerprints, in the order of their writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from headway.errors import LedgerError
from headway.ledger.columns import HOUR_NS
from headway.ledger.file import read_file
from headway.ledger.parts import END_NS
from headway.ledger.where import Where, check_where, filter_sql

_BATCH = 10_000  # attempts in memory at a time
_KINDS = {"TEXT": "text", "INTEGER": "int", "REAL": "float"}

Columns = tuple[tuple[str, str], ...]


def read_rows(
    path: Path,
    since_ns: int = 0,
    *,
    until_ns: int = END_NS,
    where: Where = (),
    told: Callable[[int], object] | None = None,
) -> tuple[Columns, Iterator[list[tuple[Any, ...]]]]:
    """The columns (name, and "text", "int" or "float"), and the rows in batches, read as they are taken.

    `told` hears how many are done. LedgerError for a file that cannot be read, or is not there.
    """
    check_where(where)
    if not path.exists():
        raise LedgerError(
            f"there is no ledger at {path}", hint="It appears with the first call through headway."
        )
    try:
        with closing(read_file(path)) as db:
            found = db.execute("SELECT name, type FROM pragma_table_info('attempts')").fetchall()
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    columns = tuple((name, _KINDS[kind]) for name, kind in found if kind in _KINDS)
    return columns, _batches(path, columns, (since_ns, until_ns), where, told or (lambda done: done))


def _batches(
    path: Path, columns: Columns, within: tuple[int, int], where: Where, told: Callable[[int], object]
) -> Iterator[list[tuple[Any, ...]]]:
    """Each batch is a moment of its own, so that writing the rest takes no longer a look back than a batch."""
    condition, values = filter_sql(where)
    names = ", ".join(name for name, _ in columns)
    sql = (
        f"SELECT {names} FROM (SELECT *, at_ns / {HOUR_NS} AS hour FROM attempts)"
        f" WHERE id > ? AND +at_ns >= ? AND +at_ns < ?{condition} ORDER BY id LIMIT {_BATCH}"
    )
    done, last = 0, 0
    try:
        with closing(read_file(path)) as db:
            while batch := db.execute(sql, (last, *within, *values)).fetchall():
                last = batch[-1][0]
                done += len(batch)
                yield batch
                told(done)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
