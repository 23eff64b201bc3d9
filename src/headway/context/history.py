"""What the ledger remembers that helps to count: the model asked last, and how long replies of a model usually are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from headway.errors import LedgerError
from headway.ledger.file import read_file

_CALLS = 500  # the latest replies that are looked at
_ENOUGH = 20  # of them, to go by
_LAST = "SELECT model_asked FROM attempts WHERE outcome = 'ok' AND model_asked != '' ORDER BY id DESC LIMIT 1"
_OUTPUT = """
    SELECT count(*), avg(output_tokens) FROM (
        SELECT output_tokens FROM attempts
        WHERE outcome = 'ok' AND estimated = 0 AND output_tokens > 0 AND ? IN (model_asked, model_served)
        ORDER BY id DESC LIMIT ?)"""


def last_model(path: Path) -> str | None:
    """The model of the last call that went well. None: no ledger, or nothing in it."""
    row = _row(path, _LAST)
    return str(row[0]) if row else None


def usual_output(path: Path, model: str) -> tuple[int, int] | None:
    """Mean output tokens of the latest replies of a model, and of how many. None: too few to go by."""
    row = _row(path, _OUTPUT, model, _CALLS)
    calls, mean = row or (0, 0.0)
    return (round(mean), calls) if calls >= _ENOUGH else None


def _row(path: Path, query: str, *values: object) -> tuple[Any, ...] | None:
    """One row. A ledger that cannot be read is no reason not to count."""
    if not path.exists():
        return None
    try:
        with closing(read_file(path)) as db:
            row: tuple[Any, ...] | None = db.execute(query, values).fetchone()
            return row
    except (LedgerError, sqlite3.Error):
        return None
