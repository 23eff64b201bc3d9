"""What your own calls measured: how fast models answer, how often they fail, what they really cost. Out of the ledger.

Counts, shares and money are those of the ledger's sums, exact however many calls there are. Times and speeds are of a bounded
number of attempts of every hour (`catalog.timing`). Money is whole nanodollars.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from headway.catalog.timing import LEAST, Timed, read_times
from headway.errors import LedgerError
from headway.ledger.columns import INPUT
from headway.ledger.distinct import count_calls
from headway.ledger.file import read_file
from headway.ledger.parts import Parts, find_parts
from headway.ledger.report import prepare

DAYS = 30

_DAY_NS = 86400 * 10**9
_DAY = "strftime('%Y-%m-%d', hour * 3600, 'unixepoch')"
_MODEL = """CASE WHEN pool = '' OR pool LIKE '%/count_tokens' OR pool LIKE '%/batches' THEN '' ELSE model_served END"""
_BROKEN = "outcome IN ('overloaded', 'failed', 'rejected', 'stopped')"
_SUMMED = (
    "attempts",
    "(outcome = 'ok') * attempts",
    "(outcome IN ('rate_limited', 'ramp_limited')) * attempts",
    f"({_BROKEN}) * attempts",
    "(outcome = 'ok') * cache_read_tokens",
    f"(outcome = 'ok') * {INPUT}",
    "cost_nanousd",
    "unpriced",
    "estimated",
)
_Name = Callable[[str], str]
_Told = Callable[[int], object] | None


@dataclass(frozen=True, slots=True)
class Measured:
    """What calls of one model measured. None: fewer than `LEAST` to make it of, or a price is not known.

    Shares are of attempts: `failed` without 429s, which are `refused`; `cached` is of the input of replies.
    `nanousd_per_1000_calls` is all that calls cost, retries and broken attempts included. `first_day` to `last_day` (UTC) are
    those with calls; the `timed` replies are from `timed_from` on.
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
    first_day: str = ""
    last_day: str = ""
    timed_from: str = ""


def by_model(path: Path, name: _Name, now_ns: int, told: _Told = None) -> dict[str, Measured]:
    """The last `DAYS` days by model; `name` says which model an id of the ledger is. A ledger that is not there is empty.

    `told` hears how many attempts are still to be added up. LedgerError for a file that cannot be read.
    """
    return _read(path, name, now_ns, told, "")


def by_day(path: Path, name: _Name, model: str, now_ns: int, told: _Told = None) -> dict[str, Measured]:
    """The last `DAYS` days of one model, by day (UTC), in order, and last of all "all". Empty: no calls of it."""
    return _read(path, name, now_ns, told, model)


def _read(path: Path, name: _Name, now_ns: int, told: _Told, model: str) -> dict[str, Measured]:
    if not path.exists():
        return {}
    prepare(path, told)
    since_ns = (now_ns - DAYS * _DAY_NS) // _DAY_NS * _DAY_NS
    try:
        with closing(read_file(path)) as db:
            db.execute("BEGIN")
            counts = _Counts(db, find_parts(db, since_ns), name)
            return counts.days(model) if model else counts.models()
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error


class _Counts:
    """The sums by model and day, of one moment."""

    def __init__(self, db: sqlite3.Connection, parts: Parts, name: _Name) -> None:
        self._db, self._parts, self._name = db, parts, name
        self._sums: dict[str, dict[str, list[int]]] = defaultdict(dict)
        self._served: dict[str, set[str]] = defaultdict(set)
        asked = ", ".join(f"sum({each})" for each in _SUMMED)
        for source in (*parts.sums(), parts.attempts()):
            sql = f"SELECT {_MODEL} AS k1, {_DAY} AS k2, {asked} FROM ({source.sql}) GROUP BY k1, k2"
            for served, day, *found in db.execute(sql, source.values):
                if served:
                    days = self._sums[name(served)]
                    days[day] = _together([days.get(day, [0] * len(_SUMMED)), found])
                    self._served[name(served)].add(served)

    def models(self) -> dict[str, Measured]:
        calls = self._calls("''")
        times = read_times(self._db, self._days_of(self._sums), self._served)
        return {
            model: _line(model, days, calls[model, ""], times.all_of(model))
            for model, days in self._sums.items()
        }

    def days(self, model: str) -> dict[str, Measured]:
        days = self._sums.get(model)
        if days is None:
            return {}
        calls, total = self._calls(_DAY), self._calls("''")[model, ""]
        times = read_times(self._db, self._days_of(self._sums), {model: self._served[model]}, every_day=True)
        found = {
            day: _line(day, {day: days[day]}, calls[model, day], times.of_day(model, day))
            for day in sorted(days)
        }
        return found | {"all": _line("all", days, total, times.all_of(model))}

    def _calls(self, second: str) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = defaultdict(int)
        named = f"{_MODEL} AS k1, {second} AS k2"
        for (served, day), calls in count_calls(self._db, named, self._parts).items():
            found[self._name(served), day] += calls
        return found

    @staticmethod
    def _days_of(sums: dict[str, dict[str, list[int]]]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for model, days in sums.items():
            for day in days:
                found[day].add(model)
        return found


def _together(counts: list[list[int]]) -> list[int]:
    return [sum(each) for each in zip(*counts, strict=True)]


def _line(key: str, days: dict[str, list[int]], calls: int, timed: Timed) -> Measured:
    attempts, replies, refused, failed, read, prompt, cost, unpriced, estimated = _together(
        list(days.values())
    )
    enough = attempts >= LEAST
    return Measured(
        key,
        calls,
        attempts,
        replies,
        len(timed.first_ms),
        timed.first(0.5),
        timed.first(0.9),
        timed.speed(0.5),
        failed / attempts if enough else None,
        refused / attempts if enough else None,
        read / prompt if replies >= LEAST and prompt else None,
        (cost * 1000 + calls // 2) // calls if calls >= LEAST and not unpriced else None,
        estimated,
        min(days),
        max(days),
        timed.since,
    )
