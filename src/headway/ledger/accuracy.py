"""How good estimates were: input and output as expected before sending, against what the provider says it was.

Only attempts that ended well and whose usage is the provider's own. Read from the attempts themselves, in one pass: old ones
that were removed are not judged any more.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from headway.errors import InputError, LedgerError
from headway.ledger.columns import HOUR_NS, INPUT, JUDGED
from headway.ledger.file import read_file
from headway.ledger.parts import END_NS
from headway.ledger.report import prepare
from headway.ledger.spread import at_share
from headway.ledger.where import Where, check_where, filter_sql, key_sql

BY = ("model", "tenant", "job", "class", "session", "day")
_OUTPUT_JUDGED = "(outcome = 'ok' AND estimated = 0 AND estimated_output_tokens > 0 AND output_tokens > 0)"
_SIDES = (
    ("input", JUDGED, "estimated_input_tokens", INPUT),
    ("output", _OUTPUT_JUDGED, "estimated_output_tokens", "output_tokens"),
)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of one side ("input" or "output") of one group: `expected` and `took` are tokens in all.

    In percent of what it took: `mean_error` is how far off it was, `bias` how much too high on average (below 0: too low),
    `p50` and `p90` what 50 and 90 of 100 estimates were not further off than, to the percent (beyond 20: to 5).
    """

    key: str
    side: str
    attempts: int
    expected: int
    took: int
    mean_error: float
    bias: float
    p50: int
    p90: int


def read_accuracy(
    path: Path, by: str = "model", since_ns: int = 0, *, until_ns: int = END_NS, where: Where = ()
) -> tuple[Accuracy, ...]:
    """By group, those with the most attempts first, input before output. InputError, LedgerError as all reports."""
    if by not in BY:
        raise InputError(f"cannot judge estimates by {by!r}", hint=f"One of: {', '.join(BY)}.")
    check_where(where)
    if not path.exists():
        return ()
    prepare(path)
    try:
        with closing(read_file(path)) as db:
            found = [each for side in _SIDES for each in _read(db, side, by, (since_ns, until_ns), where)]
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    most = Counter[str]()
    for each in found:
        most[each.key] = max(most[each.key], each.attempts)
    return tuple(sorted(found, key=lambda each: (-most[each.key], each.key, each.side)))


def _read(
    db: sqlite3.Connection, side: tuple[str, str, str, str], by: str, within: tuple[int, int], where: Where
) -> list[Accuracy]:
    name, judged, expected, took = side
    condition, values = filter_sql(where)
    off = f"CAST(min(({expected} - {took}) * 1e6 / {took}, 1e9) AS INTEGER)"
    rows = (
        f"SELECT *, at_ns / {HOUR_NS} AS hour, {off} AS ppm, {expected} AS expected, {took} AS took"
        f" FROM attempts WHERE at_ns >= ? AND at_ns < ? AND {judged}{condition} LIMIT -1"  # the limit: reckon it once
    )
    groups: dict[str, tuple[Counter[int], list[int]]] = {}
    for key, step, *sums in db.execute(
        f"SELECT {key_sql(by)} AS k, {_STEP} AS step, count(*), sum(abs(ppm)), sum(ppm), sum(expected), sum(took)"
        f" FROM ({rows}) GROUP BY k, step",
        (*within, *values),
    ):
        steps, total = groups.setdefault(str(key), (Counter(), [0] * 5))
        steps[step] += sums[0]
        total[:] = [mine + more for mine, more in zip(total, sums, strict=True)]
    return [_judge(key, name, steps, total) for key, (steps, total) in groups.items()]


def _judge(key: str, side: str, steps: Counter[int], total: list[int]) -> Accuracy:
    attempts, off, bias, expected, took = total
    return Accuracy(
        *(key, side, attempts, expected, took),
        mean_error=off / attempts / 1e4,
        bias=bias / attempts / 1e4,
        p50=at_share(steps, 0.5) or 0,
        p90=at_share(steps, 0.9) or 0,
    )


_PERCENT = "((abs(ppm) + 5000) / 10000)"
_STEP = f"CASE WHEN abs(ppm) < 205000 THEN {_PERCENT} ELSE ({_PERCENT} + 2) / 5 * 5 END"
