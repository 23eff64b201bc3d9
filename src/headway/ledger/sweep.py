"""Moves attempts whose process has died to the settled ones: outcome "lost", cost by estimate, marked estimated.

They may have been billed, so they are counted by what they were thought to take, until their true end turns up.
"""

from __future__ import annotations

import math
import sqlite3

from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.ledger.owner import Owner, has_ended
from headway.ledger.price import Prices
from headway.ledger.row import SETTLED, settled_row

LOST = "lost"
_COLUMNS = (
    "attempt_id, call_id, number, at_ns, provider, pool, model, tenant, class, session, job, label,"
    " estimated_input_tokens, estimated_output_tokens, queued_ms, stream"
)


def settle_sql(count: int) -> str:
    """Inserts `count` settled rows at once; the end of an attempt wins over its being lost, and nothing else."""
    columns = SETTLED.split()
    holes = f"({', '.join('?' * len(columns))})"
    changes = ", ".join(f"{name}=excluded.{name}" for name in columns[1:])
    return (
        f"INSERT INTO attempts ({', '.join(columns)}) VALUES {', '.join([holes] * count)}"
        f" ON CONFLICT (attempt_id) DO UPDATE SET {changes} WHERE attempts.outcome = '{LOST}'"
    )


def sweep(db: sqlite3.Connection, now_ns: int, prices: Prices | None = None) -> int:
    """Settle what dead processes left open; returns how many. Two sweeps at once do not count anything twice."""
    owners = db.execute(
        "SELECT owner_pid, owner_boot, owner_start, min(at_ns), count(*) FROM open_attempts GROUP BY 1, 2, 3"
    ).fetchall()
    dead = [
        Owner(pid, boot, start)
        for pid, boot, start, oldest, _ in owners
        if has_ended(Owner(pid, boot, start), now_ns - oldest)
    ]
    if not dead:
        return 0
    prices = prices or Prices()
    db.execute("BEGIN IMMEDIATE")
    try:
        count = sum(_bury(db, owner, now_ns, prices) for owner in dead)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return count


def _bury(db: sqlite3.Connection, owner: Owner, now_ns: int, prices: Prices) -> int:
    """Where only age tells (another container), only the attempts that are old enough."""
    where = "WHERE owner_pid = ? AND owner_boot = ? AND owner_start = ?"
    key = (owner.pid, owner.boot, owner.start)
    found = db.execute(f"SELECT {_COLUMNS} FROM open_attempts {where}", key).fetchall()
    opened = [_entry(row) for row in found]
    gone = [entry for entry in opened if has_ended(owner, now_ns - entry.at_ns)]
    for entry in gone:
        db.execute(settle_sql(1), settled_row(entry, _lost(entry), prices, now_ns))
        db.execute("DELETE FROM open_attempts WHERE attempt_id = ?", (entry.attempt_id,))
    return len(gone)


def _entry(row: tuple[object, ...]) -> OpenEntry:
    fields = dict(
        zip(OpenEntry.__struct_fields__, row, strict=False)
    )  # what is not on file while open has defaults
    fields["class_"] = _class(str(fields["class_"]))
    fields["stream"] = bool(fields["stream"])
    return OpenEntry(**fields)  # type: ignore[arg-type]  # the columns are in the order of the fields, as we wrote them


def _class(text: str) -> Class:
    try:
        return Class(text)
    except ValueError:
        return Class.STANDARD


def _lost(entry: OpenEntry) -> Entry:
    usage = Usage(
        input_tokens=entry.estimated_input_tokens,
        output_tokens=entry.estimated_output_tokens,
        model=entry.model,
    )
    return Entry(entry.attempt_id, LOST, None, "process_died", None, usage, True, None, math.nan)
