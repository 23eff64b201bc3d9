"""How long calls waited in line, and for what."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from headway.errors import InputError, LedgerError
from headway.ledger.file import read_file
from headway.ledger.parts import END_NS, find_parts
from headway.ledger.report import prepare
from headway.ledger.spread import at_share
from headway.ledger.where import Where, key_sql

WaitsBy = Literal["cause", "tenant", "model", "pool", "class", "job", "session", "day", "hour"]


@dataclass(frozen=True, slots=True)
class Wait:
    """Attempts that waited a millisecond or more: how many of `attempts`, and how long (median and 90 of 100 to 5 %).

    `cause` is the limit or budget that they waited for last, on `pool` ("": not known).
    """

    key: str
    pool: str
    attempts: int
    waited: int
    total_ms: int
    p50_ms: float | None
    p90_ms: float | None
    longest_ms: float


def read_waits(
    path: Path,
    by: str = "cause",
    since_ns: int = 0,
    *,
    until_ns: int = END_NS,
    where: Where = (),
    told: Callable[[int], object] | None = None,
) -> tuple[Wait, ...]:
    """Those that waited longest in all come first; times in order. By cause they are told apart by pool as well.

    InputError for an unknown `by` or `where`; LedgerError for a file that cannot be read.
    """
    if by not in get_args(WaitsBy):
        raise InputError(
            f"cannot tell waits apart by {by!r}", hint=f"One of: {', '.join(get_args(WaitsBy))}."
        )
    if not path.exists():
        return ()
    prepare(path, told)
    try:
        with closing(read_file(path)) as db:
            return _read(db, by, since_ns, until_ns, where)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error


def _read(db: sqlite3.Connection, by: str, since_ns: int, until_ns: int, where: Where) -> tuple[Wait, ...]:
    db.execute("BEGIN")
    parts = find_parts(db, since_ns, until_ns, where, by_hour=by in ("session", "hour"))
    named = f"{key_sql(by)} AS k, {'pool' if by in ('cause', 'pool') else repr('')} AS p"
    steps: dict[tuple[str, str], Counter[int]] = {}
    totals, longest = Counter[tuple[str, str]](), dict[tuple[str, str], float]()
    for source in (*parts.waits(), parts.attempts()):
        for k, p, step, attempts, waited_us, most_ms in db.execute(
            f"SELECT {named}, step_us, sum(attempts), sum(waited_us), max(longest_ms)"
            f" FROM ({source.sql}) GROUP BY k, p, step_us",
            source.values,
        ):
            key = (str(k), str(p))
            steps.setdefault(key, Counter())[step] += attempts
            totals[key] += waited_us if step else 0
            longest[key] = max(longest.get(key, 0.0), most_ms)
    found = [_wait(key, steps[key], totals[key], longest[key]) for key in steps]
    return tuple(
        sorted(found, key=lambda each: each.key if by in ("day", "hour") else (-each.total_ms, each.key))
    )


def _wait(key: tuple[str, str], steps: Counter[int], total_us: int, longest_ms: float) -> Wait:
    waited = Counter({step: count for step, count in steps.items() if step})
    p50, p90 = at_share(waited, 0.5), at_share(waited, 0.9)
    return Wait(
        *key,
        attempts=steps.total(),
        waited=waited.total(),
        total_ms=total_us // 1000,
        p50_ms=None if p50 is None else p50 / 1000,
        p90_ms=None if p90 is None else p90 / 1000,
        longest_ms=longest_ms if waited else 0.0,
    )
