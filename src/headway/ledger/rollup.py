"""Keeps the sums of a ledger up to date: attempts in the order in which they were written, some thousands at a time.

`rolled.upto` is the last row that is in the sums. Rows never change once they are written, but lost ones: these are set
aside, and added when their true end has come. So sums and the attempts beyond them are always exactly all attempts,
whatever their times. What takes long is done before the lock is taken; of two that do it at once, one begins anew.

A call with several attempts is one call in each cell of `sums` that it has attempts in. Those in more than one cell are
kept in `shares`, so that a report can tell how many different calls several cells hold. The attempts of a call are found by
their ids: the call's, a dash, a number.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from headway.ledger.columns import ATTEMPT, DIMENSIONS, HOUR_NS, SUMS
from headway.ledger.distinct import of_call_sql

CHUNK = 10_000  # attempts added up in one transaction, which is held for some 25 ms
_LOST = "lost"
_DIMS = ", ".join(DIMENSIONS)
_OF_S = ", ".join([*(f"s.{name}" for name in DIMENSIONS[:-1]), "coalesce(s.status, 0)"])
_SAME = {
    "fine": " AND ".join(f"k.{name} = new_waits.{name}" for name in DIMENSIONS),
    "coarse": " AND ".join(["k.session = ''", *(f"k.{name} = new_waits.{name}" for name in DIMENSIONS[1:])]),
}
_COARSE = ", ".join(["''", *DIMENSIONS[1:]])
_NEW = ("hour", *DIMENSIONS, "cause", "step_us", "waited_us", "longest_ms", "calls")
_ADDED = ", ".join(f"sum({name})" for name in SUMS)
_MORE = ", ".join(f"{name} = {name} + excluded.{name}" for name in ("calls", *SUMS))
_Cell = tuple[int, int, tuple[str | int, ...]]  # span, start, dimensions


def pending(db: sqlite3.Connection) -> int:
    """How many attempts are not added up yet, about."""
    (last,) = db.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()
    (upto,) = db.execute("SELECT upto FROM rolled").fetchone()
    return max(0, int(last) - int(upto))


def bring_up_to_date(
    db: sqlite3.Connection, told: Callable[[int], object] | None = None, *, least: int = 1
) -> None:
    """Add up all attempts that are not, as long as there are at least so many; `told` how many are left, now and then.

    sqlite3.Error: what was added up until then stays.
    """
    while (left := pending(db)) >= least:
        if told is not None:
            told(left)
        roll(db)


def roll(db: sqlite3.Connection, most: int = CHUNK, *, lost_before_ns: int = 0) -> bool:
    """Add up the next `most` attempts at most, and those set aside that have ended, or are lost since `lost_before_ns`.

    False: another process did something at the same time, try again.
    """
    over = (
        f"SELECT id FROM attempts WHERE id IN (SELECT id FROM aside) AND (outcome != '{_LOST}' OR at_ns < ?)"
    )
    _clear(db)
    db.execute("BEGIN")  # one moment for all that is read; others may write
    try:
        upto, serial = db.execute("SELECT upto, serial FROM rolled").fetchone()
        (high,) = db.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()
        high = min(max(high, upto), upto + most)
        ended = [each for (each,) in db.execute(over, (lost_before_ns,))]
        chunk = _gather(db, upto, high, ended) if high > upto or ended else None
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return chunk is None or add(db, chunk, serial, high, ended)


@dataclass(slots=True)
class Chunk:
    """What is to be added besides the sums, which are in temporary tables: lost rows, and calls of several attempts."""

    lost: list[int]
    calls: Counter[_Cell] = field(default_factory=Counter)
    shares: Counter[tuple[_Cell, ...]] = field(default_factory=Counter)


def _gather(db: sqlite3.Connection, upto: int, high: int, ended: list[int]) -> Chunk:
    """Add up, in temporary tables: no lock is held."""
    rows = f"id > ? AND id <= ? AND outcome != '{_LOST}'"
    _add_up(db, rows, (upto, high))
    if ended:
        _add_up(db, _one_of(ended), ())
    lost = db.execute(
        f"SELECT id FROM attempts WHERE id > ? AND id <= ? AND outcome = '{_LOST}'", (upto, high)
    )
    chunk = Chunk([each for (each,) in lost])
    _count_calls(db, chunk, upto, high, ended)
    return chunk


def _one_of(ids: Iterable[int]) -> str:
    return f"id IN ({_ids(ids)})"


def _ids(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids))


def _clear(db: sqlite3.Connection) -> None:
    """The temporary table of this connection, empty: as fine as `waits`, and as wide as `sums`."""
    if not db.execute("SELECT 1 FROM temp.sqlite_master WHERE name = 'new_waits'").fetchone():
        db.execute("PRAGMA temp_store=MEMORY")
        names = ", ".join((*_NEW, *SUMS, "fine", "coarse"))
        db.execute(f"CREATE TEMP TABLE new_waits ({names})")
    db.execute("DELETE FROM temp.new_waits")


def _add_up(db: sqlite3.Connection, rows: str, values: tuple[int, ...]) -> None:
    db.execute(
        f"INSERT INTO temp.new_waits ({', '.join((*_NEW, *SUMS))})"
        f" SELECT hour, {_DIMS}, cause, step_us, sum(waited_us), max(longest_ms), sum(number <= 1), {_ADDED}"
        f" FROM (SELECT {ATTEMPT} FROM attempts WHERE {rows})"
        f" GROUP BY hour, step_us, {_DIMS}, cause",
        values,
    )


def _count_calls(db: sqlite3.Connection, chunk: Chunk, upto: int, high: int, ended: list[int]) -> None:
    """Attempts that are not the first are no more calls, where the call was counted already."""
    found: dict[str, list[_Attempt]] = defaultdict(list)
    new = set(ended)
    for row in _several(db, upto, high, ended):
        found[row[0]].append(_Attempt(upto < row[1] or row[1] in new, row[2] <= 1, row[3], tuple(row[4:])))
    for attempts in found.values():
        for cell_of in (_fine, _coarse):
            before = {cell_of(each) for each in attempts if not each.is_new}
            after = {cell_of(each) for each in attempts}
            chunk.calls.update(after - before)
            chunk.calls.subtract(cell_of(each) for each in attempts if each.is_new and each.is_first)
            if before != after:
                if len(before) > 1:
                    chunk.shares[tuple(sorted(before))] -= 1
                if len(after) > 1:
                    chunk.shares[tuple(sorted(after))] += 1


@dataclass(frozen=True, slots=True)
class _Attempt:
    is_new: bool
    is_first: bool
    hour: int
    kind: tuple[str | int, ...]


def _several(db: sqlite3.Connection, upto: int, high: int, ended: list[int]) -> Iterator[tuple[Any, ...]]:
    """All attempts of calls that have a new one that may not be their only one: call, row, number, hour, dimensions."""
    new = f"SELECT call_id FROM attempts WHERE id > ? AND id <= ? AND number > 1 AND outcome != '{_LOST}'"
    if ended:
        new += f" UNION ALL SELECT call_id FROM attempts WHERE {_one_of(ended)}"
    counts = f"(s.outcome != '{_LOST}' AND s.id NOT IN (SELECT id FROM aside) OR s.id IN ({_ids(ended)}))"
    yield from db.execute(
        f"WITH c AS MATERIALIZED (SELECT DISTINCT call_id FROM ({new}) WHERE call_id != '')"
        f" SELECT c.call_id, s.id, s.number, s.at_ns / {HOUR_NS}, {_OF_S} FROM c CROSS JOIN {of_call_sql('c.call_id')}"
        f" WHERE s.id <= ? AND {counts}",
        (upto, high, high),
    )


def _fine(attempt: _Attempt) -> _Cell:
    return 1, attempt.hour, attempt.kind


def _coarse(attempt: _Attempt) -> _Cell:
    return 24, attempt.hour // 24 * 24, ("", *attempt.kind[1:])


def add(db: sqlite3.Connection, chunk: Chunk, serial: int, high: int, ended: list[int]) -> bool:
    """Put it on file, whole, unless anything was changed since `serial`."""
    db.execute("BEGIN IMMEDIATE")
    try:
        changed = db.execute(
            "UPDATE rolled SET upto = ?, serial = serial + 1 WHERE serial = ?", (high, serial)
        ).rowcount
        if changed:
            _put(db)
            _put_calls(db, chunk)
            db.executemany("INSERT OR IGNORE INTO aside VALUES (?)", [(each,) for each in chunk.lost])
            db.executemany("DELETE FROM aside WHERE id = ?", [(each,) for each in ended])
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return bool(changed)


def _put(db: sqlite3.Connection) -> None:
    total = ", ".join(f"sum({name})" for name in ("calls", *SUMS))
    for column, dims in (("fine", _DIMS), ("coarse", _COARSE)):
        db.execute(f"INSERT OR IGNORE INTO kinds ({_DIMS}) SELECT DISTINCT {dims} FROM temp.new_waits")
        db.execute(f"UPDATE temp.new_waits SET {column} = (SELECT id FROM kinds AS k WHERE {_SAME[column]})")
    for span, kind in ((1, "fine"), (24, "coarse")):
        start = f"hour / {span} * {span}"
        db.execute(
            f"INSERT INTO sums (span, start, kind, calls, {', '.join(SUMS)})"
            f" SELECT {span}, {start}, {kind}, {total} FROM temp.new_waits WHERE true GROUP BY 2, 3"
            f" ON CONFLICT DO UPDATE SET {_MORE}"
        )
        db.execute(
            f"INSERT INTO waits SELECT {span}, {start}, {kind}, cause, step_us, sum(attempts), sum(waited_us),"
            " max(longest_ms) FROM temp.new_waits WHERE true GROUP BY 2, 3, 4, 5"
            " ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts,"
            " waited_us = waited_us + excluded.waited_us, longest_ms = max(longest_ms, excluded.longest_ms)"
        )


def _put_calls(db: sqlite3.Connection, chunk: Chunk) -> None:
    cells = {cell for share in chunk.shares for cell in share} | set(chunk.calls)
    ids = {cell: _kind(db, cell[2]) for cell in cells}
    db.executemany(
        "UPDATE sums SET calls = calls + ? WHERE span = ? AND start = ? AND kind = ?",
        [
            (more, span, start, ids[span, start, kind])
            for (span, start, kind), more in chunk.calls.items()
            if more
        ],
    )
    for share, more in chunk.shares.items():
        if more:
            _put_share(db, sorted((span, start, ids[span, start, kind]) for span, start, kind in share), more)


def _kind(db: sqlite3.Connection, kind: tuple[str | int, ...]) -> int:
    (found,) = db.execute(
        f"SELECT id FROM kinds WHERE ({_DIMS}) = ({', '.join('?' * len(kind))})", kind
    ).fetchone()
    return int(found)


def _put_share(db: sqlite3.Connection, members: list[tuple[int, int, int]], more: int) -> None:
    text = f"{members[0][0]} " + " ".join(f"{start}:{kind}" for _, start, kind in members)
    (share, calls), *_ = db.execute(
        "INSERT INTO shares (members, calls) VALUES (?, ?) ON CONFLICT DO UPDATE SET calls = calls + excluded.calls"
        " RETURNING id, calls",
        (text, more),
    ).fetchall()
    if calls == 0:
        db.execute("DELETE FROM shares WHERE id = ?", (share,))
        db.execute("DELETE FROM shared WHERE share = ?", (share,))
    else:
        db.executemany(
            "INSERT OR IGNORE INTO shared (span, start, share, kind) VALUES (?, ?, ?, ?)",
            [(span, start, share, kind) for span, start, kind in members],
        )
