"""Adds up a ledger: calls, tokens, money and waiting, by model, tenant, session, job, class, day, hour or status.

One pass of SQL, in a connection that cannot write, so a report can be read while calls are written. Medians come from a
histogram of two significant digits. Days and hours are UTC. Money is whole nanodollars, summed exactly.
"""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from headway.errors import InputError, LedgerError
from headway.ledger.file import open_file, read_file
from headway.ledger.sweep import sweep

By = Literal["model", "tenant", "session", "job", "class", "day", "hour", "status"]

_KEYS: dict[str, str] = {
    "model": "model_served",
    "tenant": "tenant",
    "session": "session",
    "job": "job",
    "class": "class",
    "day": "strftime('%Y-%m-%d', at_ns / 1000000000, 'unixepoch')",
    "hour": "strftime('%Y-%m-%d %H:00', at_ns / 1000000000, 'unixepoch')",
    "status": "CASE WHEN status IS NULL OR outcome = 'ok' THEN outcome ELSE outcome || ' ' || status END",
}
_INPUT = "(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens)"
_JUDGED = f"(outcome = 'ok' AND estimated = 0 AND estimated_input_tokens > 0 AND {_INPUT} > 0)"
_TWO_DIGITS = """CASE
    WHEN queued_ms < 10 THEN round(queued_ms, 1) WHEN queued_ms < 100 THEN round(queued_ms)
    WHEN queued_ms < 1e3 THEN round(queued_ms / 10) * 10 WHEN queued_ms < 1e4 THEN round(queued_ms / 100) * 100
    WHEN queued_ms < 1e5 THEN round(queued_ms / 1e3) * 1e3 WHEN queued_ms < 1e6 THEN round(queued_ms / 1e4) * 1e4
    ELSE round(queued_ms / 1e5) * 1e5 END"""
_ATTEMPTS = f"""
    SELECT {{key}} AS k, {_TWO_DIGITS} AS wait,
        count(*), sum(outcome = 'ok'), sum(outcome IN ('rate_limited', 'ramp_limited')),
        sum(input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens),
        sum(output_tokens), sum(thinking_tokens), sum(web_searches),
        sum(cost_nanousd), sum(cost_nanousd IS NULL), sum(estimated), sum(CASE WHEN estimated THEN cost_nanousd END),
        sum({_JUDGED}), total(CASE WHEN {_JUDGED} THEN abs(estimated_input_tokens - {_INPUT}) * 1.0 / {_INPUT} END),
        max(queued_ms)
    FROM attempts WHERE at_ns >= ? GROUP BY k, wait"""
_CALLS = "SELECT {key} AS k, count(DISTINCT call_id) FROM attempts WHERE at_ns >= ? GROUP BY k"
_ALL_CALLS = "SELECT count(DISTINCT call_id) FROM attempts WHERE at_ns >= ?"


@dataclass(frozen=True, slots=True)
class Line:
    """Sums over the attempts of one group. Tokens are in disjoint classes, only thinking is part of output.

    `cost_nanousd` is without the `unpriced` attempts; `estimated` attempts (cancelled, lost) and what they cost are ours to
    the best of our knowledge. `estimate_error` is the mean of |estimated − true| ÷ true input. None: nothing to say.
    """

    key: str
    calls: int
    attempts: int
    ok: int
    rate_limited: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    thinking_tokens: int
    web_searches: int
    cost_nanousd: int
    unpriced: int
    estimated: int
    estimated_nanousd: int
    estimate_error: float | None
    queued_p50_ms: float | None
    queued_max_ms: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """The lines, dearest first (days and hours: in order), their total, attempts under way, and what to say about it."""

    by: str
    since_ns: int
    lines: tuple[Line, ...]
    total: Line
    under_way: int
    note: str = ""


def usage(path: Path, by: str = "model", since_ns: int = 0) -> Report:
    """What the ledger at `path` says since `since_ns` (ns since 1970 UTC). A ledger that is not there is an empty one.

    InputError for an unknown `by`; LedgerError for a file that is no ledger, broken, or of a newer headway.
    """
    if by not in _KEYS:
        raise InputError(f"cannot group by {by!r}", hint=f"One of: {', '.join(_KEYS)}.")
    if not path.exists():
        note = f"There is no ledger at {path} yet. It appears with the first call that goes through headway."
        return Report(by, since_ns, (), _line("total", 0, []), 0, note)
    _bury_the_dead(path)
    try:
        with closing(read_file(path)) as db:
            return _report(db, by, since_ns)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error


def _bury_the_dead(path: Path) -> None:
    """So that the report shows what a killed process left. A ledger that is busy or not ours to write is read as it is."""
    with suppress(LedgerError, sqlite3.Error), closing(open_file(path, wait_ms=200)) as db:
        sweep(db, time.time_ns())


def _report(db: sqlite3.Connection, by: str, since_ns: int) -> Report:
    db.execute("BEGIN")  # one moment for all that follows
    key = _KEYS[by]
    calls = dict(db.execute(_CALLS.format(key=key), (since_ns,)))
    pieces: dict[str, list[Sequence[float]]] = defaultdict(list)
    for name, *piece in db.execute(_ATTEMPTS.format(key=key), (since_ns,)):
        pieces[name].append([value or 0 for value in piece])
    lines = [_line(str(name), calls.get(name, 0), found) for name, found in pieces.items()]
    lines.sort(key=(lambda line: line.key) if by in ("day", "hour") else _dearest_first)
    all_calls = db.execute(_ALL_CALLS, (since_ns,)).fetchone()[0]
    total = _line("total", all_calls, [piece for found in pieces.values() for piece in found])
    under_way = db.execute("SELECT count(*) FROM open_attempts").fetchone()[0]
    note = "" if lines else "The ledger has no attempts in this time."
    return Report(by, since_ns, tuple(lines), total, under_way, note)


def _dearest_first(line: Line) -> tuple[int, int, str]:
    return (-line.cost_nanousd, -line.attempts, line.key)


def _line(key: str, calls: int, pieces: Sequence[Sequence[float]]) -> Line:
    """Fold the pieces of one group (one for each step of the histogram of waits) into a line."""
    sums = [sum(column) for column in zip(*(piece[1:] for piece in pieces), strict=True)] or [0] * 17
    *counts, judged, error, _ = sums
    whole = dict(zip((field.name for field in fields(Line)[2:16]), map(int, counts), strict=True))
    return Line(
        key=key,
        calls=calls,
        **whole,
        estimate_error=error / judged if judged else None,
        queued_p50_ms=_median((piece[0], int(piece[1])) for piece in pieces),
        queued_max_ms=max((piece[-1] for piece in pieces), default=None),
    )


def _median(steps: Iterable[tuple[float, int]]) -> float | None:
    ordered = sorted(steps)
    half = sum(count for _, count in ordered) / 2
    seen = 0
    for value, count in ordered:
        seen += count
        if seen >= half:
            return value
    return None
