"""What full buckets hold, as far as earlier traffic shows it: how much more was let in at once than refill explains.

Nobody publishes it, and replies tell only the engine that reads their headers. But a run that was held back by a limit has
drawn its bucket down; so what that run took beyond rate × time is what the bucket held.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from headway.core.call import Unit
from headway.core.limit import Limit
from headway.errors import LedgerError
from headway.ledger.file import read_file

LATEST = 20_000  # attempts that are looked at
PAUSE_NS = 60 * 10**9  # without calls, after which a stretch of traffic is over
HELD_BACK = 20  # calls that waited for a limit, and
HELD_SHARE = 0.25  # of all calls that did, from which on its bucket was surely empty
_ATTEMPTS = """
    SELECT at_ns, input_tokens + cache_write_5m_tokens + cache_write_1h_tokens{reads}, output_tokens, first_token_ms,
        total_ms, {waited_for}
    FROM attempts WHERE pool = ? AND at_ns >= ? AND status = 200 AND total_ms IS NOT NULL ORDER BY at_ns DESC LIMIT ?"""


class _Row(NamedTuple):
    at_ns: int
    input: int
    output: int
    first_ms: float | None
    total_ms: float
    waited_for: str


def bursts_of(
    path: Path, pool: str, limits: Sequence[Limit], since_ns: int, *, reads_count: bool
) -> Mapping[Unit, float]:
    """By limit, what its bucket was seen to hold in the last stretch of traffic that it held back. LedgerError.

    `reads_count`: reads of the prompt cache are charged, too.
    """
    if not path.exists():
        return {}
    reads = " + cache_read_tokens" if reads_count else ""
    try:
        with closing(read_file(path)) as db:
            if "waited_for" not in {row[1] for row in db.execute("PRAGMA table_info(attempts)")}:
                return {}  # a file of an older headway
            sql = _ATTEMPTS.format(reads=reads, waited_for="waited_for")
            rows = db.execute(sql, (pool, since_ns, LATEST)).fetchall()
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    rows = [_Row(*row) for row in reversed(rows)]
    found: dict[Unit, float] = {}
    for stretch in _stretches(rows):
        for limit in limits:
            waited = sum(row.waited_for == limit.unit.value for row in stretch)
            if waited >= max(HELD_BACK, HELD_SHARE * len(stretch)):
                burst = _burst(stretch, limit)
                if burst <= limit.amount:  # else other limits were in force then
                    found[limit.unit] = burst
    return found


def _stretches(rows: Sequence[_Row]) -> list[list[_Row]]:
    """Traffic without long pauses, in order."""
    found: list[list[_Row]] = []
    for row in rows:
        if not found or row.at_ns - found[-1][-1].at_ns > PAUSE_NS:
            found.append([])
        found[-1].append(row)
    return found


def _burst(rows: Sequence[_Row], limit: Limit) -> float:
    """The least that a bucket must hold for all this to have been let in."""
    taken: list[tuple[float, float]] = []
    for at_ns, tokens_in, tokens_out, first_ms, total_ms, _ in rows:
        if limit.unit is Unit.REQUESTS:
            taken.append((at_ns, 1.0))
        if limit.unit in (Unit.INPUT_TOKENS, Unit.TOKENS):
            taken.append((at_ns, tokens_in))
        if limit.unit in (Unit.OUTPUT_TOKENS, Unit.TOKENS):
            began = at_ns + (first_ms or 0.0) * 1e6
            step = (at_ns + total_ms * 1e6 - began) / 4.0
            taken += [(began + (part + 0.5) * step, tokens_out / 4.0) for part in range(4)]
    taken.sort()
    drawn = most = 0.0
    before = taken[0][0]
    for at, amount in taken:
        drawn = max(drawn - (at - before) / 1e9 * limit.rate, 0.0) + amount
        most, before = max(most, drawn), at
    return most
