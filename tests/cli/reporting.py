"""A ledger for the commands that report: three tenants, sessions, retries, waits, over three days."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from headway.ledger.file import open_file
from ledger.test_rollup import Attempt, write

NOW = int(datetime.now(UTC).timestamp()) * 10**9
HOUR = 3600 * 10**9
WILD = "\x1b[31m[red]名前"


def fill(path: Path) -> Path:
    """Alice dear, bob refused once and waiting, a wild name that costs nothing."""
    with closing(open_file(path)) as db:
        write(
            db,
            [
                Attempt("a", 1, NOW - 50 * HOUR, "alice", "s1", tokens=900, cost=2 * 10**9),
                Attempt("b", 1, NOW - 2 * HOUR, "alice", "s1", tokens=90, cost=10**9),
                Attempt(
                    "c", 1, NOW - HOUR // 2, "bob", "s2", outcome="rate_limited", status=429, tokens=0, cost=0
                ),
                Attempt(
                    "c",
                    2,
                    NOW - HOUR // 2 + 9,
                    "bob",
                    "s2",
                    queued_ms=4000.0,
                    cause="requests",
                    cost=5 * 10**8,
                ),
                Attempt(
                    "d", 1, NOW - HOUR // 4, WILD, WILD, cost=None, model=WILD, cause=WILD, queued_ms=9.0
                ),
            ],
        )
    return path
