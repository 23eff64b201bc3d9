"""What your own calls measured: how fast models answer, how often they fail, what they really cost. Out of the ledger.

One pass of SQL over the latest attempts; quantiles come from classes of two digits, so they are within 5 % of the value.
Money is whole nanodollars. Replies whose tokens are estimated (cancelled, broken off, lost) are left out of speeds.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from headway.errors import LedgerError
from headway.ledger.file import read_file

LEAST = 20  # of whatever a figure is made of; below that it is chance, and nothing is said
LATEST = 100_000  # attempts that are looked at, at most
DAYS = 30

_INPUT = "(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens)"
_TOLD = "outcome = 'ok' AND estimated = 0 AND first_token_ms > 0"
_FIRST = f"CASE WHEN {_TOLD} AND stream = 1 THEN first_token_ms END"
_SPEED = f"""CASE WHEN {_TOLD} AND total_ms > first_token_ms + 50 AND output_tokens >= 20
    THEN output_tokens * 1000.0 / (total_ms - first_token_ms) END"""
_WHERE = """WHERE id > ? AND at_ns >= ? AND model_served <> '' AND pool <> ''
    AND pool NOT LIKE '%/count_tokens' AND pool NOT LIKE '%/batches'"""
_SUMS = f"""
    SELECT {{key}} AS k, model_served, count(*), sum(number = 1), sum(outcome = 'ok'),
        sum(outcome IN ('rate_limited', 'ramp_limited')),
        sum(outcome IN ('overloaded', 'failed', 'rejected', 'stopped')),
        total((outcome = 'ok') * cache_read_tokens), total((outcome = 'ok') * {_INPUT}),
        sum(cost_nanousd), sum(cost_nanousd IS NULL), sum(estimated)
    FROM attempts {_WHERE} GROUP BY k, model_served"""
_CLASSES = f"""
    SELECT k, model_served, v, count(*) FROM (
        SELECT {{key}} AS k, model_served, {{value}} AS raw,
            CASE WHEN {{value}} < 100 THEN round({{value}}, 0) WHEN {{value}} < 1e3 THEN round({{value}} / 10) * 10
                 WHEN {{value}} < 1e4 THEN round({{value}} / 100) * 100 WHEN {{value}} < 1e5 THEN round({{value}} / 1e3) * 1e3
                 ELSE round({{value}} / 1e4) * 1e4 END AS v
        FROM attempts {_WHERE})
    WHERE raw IS NOT NULL GROUP BY k, model_served, v"""
_DAY = "strftime('%Y-%m-%d', at_ns / 1000000000, 'unixepoch')"


_Steps = Iterable[tuple[float, int]]
_Names = Callable[
    [str, str], tuple[str, ...]
]  # (group, model of the ledger) -> the keys under which it counts


@dataclass(frozen=True, slots=True)
class Measured:
    """What calls of one model measured. None: fewer than `LEAST` to make it of, or a price is not known.

    Shares are of attempts: `failed` without 429s, which are `refused`; `cached` is of the input of replies.
    `nanousd_per_1000_calls` is all that calls cost, retries and broken attempts included.
    """

    key: str
    calls: int
    attempts: int
    replies: int
    timed: int
    first_token_p50_ms: float | None
    first_token_p90_ms: float | None
    tokens_per_s_p50: float | None
    failed: float | None
    refused: float | None
    cached: float | None
    nanousd_per_1000_calls: int | None
    estimated: int


def by_model(path: Path, name: Callable[[str], str], now_ns: int) -> dict[str, Measured]:
    """The last `DAYS` days by model; `name` says which model an id of the ledger is. A ledger that is not there is empty.

    LedgerError for a file that cannot be read.
    """
    return _measured(path, "''", lambda _, served: (name(served),), now_ns)


def by_day(path: Path, name: Callable[[str], str], model: str, now_ns: int) -> dict[str, Measured]:
    """The last `DAYS` days of one model, by day (UTC), in order, and last of all "all". Empty: no calls of it."""
    found = _measured(path, _DAY, lambda day, served: (day, "all") if name(served) == model else (), now_ns)
    return {day: found[day] for day in sorted(found)}


def _measured(path: Path, key: str, name: _Names, now_ns: int) -> dict[str, Measured]:
    if not path.exists():
        return {}
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * 10)
    try:
        with closing(read_file(path)) as db:
            db.execute("BEGIN")
            newest = db.execute("SELECT max(id) FROM attempts").fetchone()[0] or 0
            where = (newest - LATEST, now_ns - DAYS * 86400 * 10**9)
            for group, model, *counts in db.execute(_SUMS.format(key=key), where):
                for each in name(group, model):
                    for place, count in enumerate(counts):
                        sums[each][place] += int(count or 0)
            first = _values(db, key, _FIRST, where, name)
            speed = _values(db, key, _SPEED, where, name)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    return {
        group: _line(group, line, first.get(group, ()), speed.get(group, ())) for group, line in sums.items()
    }


def _values(
    db: sqlite3.Connection, key: str, value: str, where: tuple[int, int], name: _Names
) -> dict[str, list[tuple[float, int]]]:
    found: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for group, model, step, count in db.execute(_CLASSES.format(key=key, value=value), where):
        for each in name(group, model):
            found[each].append((step, count))
    return found


def _line(key: str, sums: list[int], first: _Steps, speed: _Steps) -> Measured:
    attempts, calls, replies, refused, failed, read, prompt, cost, unpriced, estimated = sums
    enough, first, speed = attempts >= LEAST, sorted(first), sorted(speed)
    return Measured(
        key,
        calls,
        attempts,
        replies,
        sum(count for _, count in first),
        _quantile(first, 0.5),
        _quantile(first, 0.9),
        _quantile(speed, 0.5),
        failed / attempts if enough else None,
        refused / attempts if enough else None,
        read / prompt if replies >= LEAST and prompt else None,
        (cost * 1000 + calls // 2) // calls if calls >= LEAST and not unpriced else None,
        estimated,
    )


def _quantile(steps: list[tuple[float, int]], share: float) -> float | None:
    total = sum(count for _, count in steps)
    if total < LEAST:
        return None
    seen = 0
    for value, count in steps:
        seen += count
        if seen >= share * total:
            return value
    return None
