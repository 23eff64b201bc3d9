"""Removes attempts that are older than they are to be kept. What they add up to stays, so totals and budgets stay right.

First everything is added up; then it is written down from when on attempts may be missing; then they go, some thousands at a
time. Killed in between, it is right at any moment, and the next one goes on. Two at once do not harm each other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from headway.errors import InputError, LedgerError
from headway.ledger.columns import HOUR_NS
from headway.ledger.file import open_file
from headway.ledger.rollup import bring_up_to_date, pending, roll

DAY_NS = 24 * HOUR_NS
_CHUNK = 2000  # attempts removed in one transaction
_OLD = (
    "at_ns < ? AND id <= (SELECT upto FROM rolled) AND id NOT IN (SELECT id FROM aside)"
    " AND id < (SELECT max(id) FROM attempts)"  # the last row stays, so that no number comes twice
    " AND call_id NOT IN (SELECT call_id FROM attempts WHERE id IN (SELECT id FROM aside))"  # they are one call
)


@dataclass(frozen=True, slots=True)
class Info:
    """What a ledger holds. Bytes; times in ns since 1970 UTC (None: no attempts)."""

    attempts: int
    open_attempts: int
    first_ns: int | None
    last_ns: int | None
    not_added_up: int
    removed: int
    pruned_ns: int
    bytes: int
    free_bytes: int


def prune(path: Path, keep_ns: int, now_ns: int, told: Callable[[int], object] | None = None) -> int:
    """Remove the attempts of days (UTC) that ended more than `keep_ns` ago; returns how many. `told` hears how many, so far.

    InputError for less than a day; LedgerError if the file cannot be written.
    """
    if keep_ns < DAY_NS:
        raise InputError("attempts are kept for a day at least", hint="Like --keep 90d.")
    with _opened(path) as db:
        return prune_file(db, (now_ns - keep_ns) // DAY_NS * DAY_NS, told)


def prune_file(
    db: sqlite3.Connection,
    before_ns: int,
    told: Callable[[int], object] | None = None,
    most: int | None = None,
) -> int:
    """The same for an open ledger: what is from before `before_ns`, a whole day; `most`: then let it be for now."""
    if not db.execute("SELECT 1 FROM attempts WHERE at_ns < ? LIMIT 1", (before_ns,)).fetchone():
        return 0
    bring_up_to_date(db)
    while not roll(db, lost_before_ns=before_ns):
        continue
    db.execute(
        "UPDATE rolled SET pruned_ns = ?, serial = serial + 1 WHERE pruned_ns < ?", (before_ns, before_ns)
    )
    removed = 0
    while most is None or removed < most:
        db.execute("BEGIN IMMEDIATE")
        try:
            gone = db.execute(
                f"DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE {_OLD} LIMIT {_CHUNK})",
                (before_ns,),
            ).rowcount
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        removed += gone
        if told is not None:
            told(removed)
        if gone < _CHUNK:
            break
    return removed


def describe(path: Path) -> Info:
    """What is in the file. LedgerError if there is none, or if it cannot be used."""
    with _opened(path) as db:
        (attempts,) = db.execute("SELECT count(*) FROM attempts").fetchone()
        first, last = db.execute(
            "SELECT (SELECT min(at_ns) FROM attempts), (SELECT max(at_ns) FROM attempts)"
        ).fetchone()
        summed = db.execute("SELECT coalesce(sum(attempts), 0) FROM sums WHERE span = 24").fetchone()[0]
        apart = db.execute(
            "SELECT count(*) FROM attempts WHERE id > (SELECT upto FROM rolled) OR id IN (SELECT id FROM aside)"
        ).fetchone()[0]
        page, pages, free = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        return Info(
            attempts=attempts,
            open_attempts=db.execute("SELECT count(*) FROM open_attempts").fetchone()[0],
            first_ns=first,
            last_ns=last,
            not_added_up=pending(db),
            removed=summed - (attempts - apart),
            pruned_ns=db.execute("SELECT pruned_ns FROM rolled").fetchone()[0],
            bytes=page * pages,
            free_bytes=page * free,
        )


def vacuum(path: Path) -> int:
    """Give back the room of what was removed; returns bytes. Takes as much room again meanwhile, and nobody can write.

    LedgerError if there is no room, or if others do not let go of the file.
    """
    with _opened(path) as db:
        before = path.stat().st_size
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return max(0, before - path.stat().st_size)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise LedgerError(
            f"there is no ledger at {path}", hint="It appears with the first call through headway."
        )
    try:
        with closing(open_file(path, wait_ms=5000)) as db:
            yield db
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {path} cannot be changed: {error}") from error
