"""What full buckets hold, as far as earlier traffic shows it: how much more was let in at once than refill explains.

Nobody publishes it, and replies tell only the engine that reads their headers. But a run that was held back by a limit has
drawn its bucket down; so what that run took beyond rate × time is what the bucket held.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from headway.core.call import Unit
from headway.core.limit import Limit
from headway.errors import LedgerError
from headway.ledger.file import read_file

LATEST = 20_000  # attempts that are looked at
PAUSE_NS = 60 * 10**9  # without calls, after which a stretch of traffic is over
HELD_BACK, HELD_SHARE = 20, 0.25  # calls that waited for a limit, in number and of all
SLACK = 0.2  # how far what the later half of them took may be from the refill of that time, chance apart
_ATTEMPTS = """
    SELECT at_ns, input_tokens + cache_write_5m_tokens + cache_write_1h_tokens{reads}, output_tokens, waited_for
    FROM attempts WHERE pool = ? AND at_ns >= ? AND status = 200 ORDER BY at_ns DESC LIMIT ?"""


@dataclass(frozen=True, slots=True)
class Burst:
    """What a bucket was seen to hold, in the unit of its limit; unless `is_whole`, it may well hold more."""

    amount: float
    is_whole: bool


class _Row(NamedTuple):
    at_ns: int
    input: int
    output: int
    waited_for: str


def bursts_of(
    path: Path, pool: str, limits: Sequence[Limit], since_ns: int, *, reads_count: bool
) -> Mapping[Unit, Burst]:
    """What the bucket of each limit was seen to hold in the last stretches of traffic. LedgerError.

    `reads_count`: reads of the prompt cache are charged, too.
    """
    if not path.exists():
        return {}
    reads = " + cache_read_tokens" if reads_count else ""
    try:
        with closing(read_file(path)) as db:
            if "waited_for" not in {row[1] for row in db.execute("PRAGMA table_info(attempts)")}:
                return {}  # a file of an older headway
            sql = _ATTEMPTS.format(reads=reads)
            rows = db.execute(sql, (pool, since_ns, LATEST)).fetchall()
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    rows = [_Row(*row) for row in reversed(rows)]
    found: dict[Unit, Burst] = {}
    for stretch in _stretches(rows):
        for limit in limits:
            amount = _burst(stretch, limit)
            if amount <= limit.amount:  # else other limits were in force then
                is_whole = _is_drawn_down(stretch, limit)
                before = found.get(limit.unit)
                if is_whole or before is None or (not before.is_whole and amount > before.amount):
                    found[limit.unit] = Burst(amount, is_whole)
    return found


def _is_drawn_down(rows: Sequence[_Row], limit: Limit) -> bool:
    """Whether the limit held calls back at its own pace, so that nothing can have been left in the bucket. Slower: the
    engine was only careful, as it is at the start. Faster: the bucket was still drawn."""
    held = [place for place, row in enumerate(rows) if row.waited_for == limit.unit.value]
    if len(held) < max(HELD_BACK, HELD_SHARE * len(rows)):
        return False
    later = rows[held[len(held) // 2] : held[-1]]
    refilled = (rows[held[-1]].at_ns - later[0].at_ns) / 1e9 * limit.rate if later else 0.0
    used = sum(_taken(row, limit.unit) for row in later)
    slack = SLACK + 1.0 / sqrt(max(len(later), 1))
    return refilled > 0.0 and abs(used / refilled - 1.0) <= slack


def _stretches(rows: Sequence[_Row]) -> list[list[_Row]]:
    """Traffic without long pauses, in order."""
    found: list[list[_Row]] = []
    for row in rows:
        if not found or row.at_ns - found[-1][-1].at_ns > PAUSE_NS:
            found.append([])
        found[-1].append(row)
    return found


def _burst(rows: Sequence[_Row], limit: Limit) -> float:
    """The least that a bucket must hold for all this to have been let in. Output counts when its call goes: that is how the
    engine paces it, so a run as long as a few replies shows what the bucket holds."""
    drawn = most = 0.0
    before = rows[0].at_ns
    for row in rows:
        drawn = max(drawn - (row.at_ns - before) / 1e9 * limit.rate, 0.0) + _taken(row, limit.unit)
        most, before = max(most, drawn), row.at_ns
    return most


def _taken(row: _Row, unit: Unit) -> float:
    match unit:
        case Unit.REQUESTS:
            return 1.0
        case Unit.INPUT_TOKENS:
            return float(row.input)
        case Unit.OUTPUT_TOKENS:
            return float(row.output)
        case _:
            return float(row.input + row.output)
