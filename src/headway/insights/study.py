"""Looks through a ledger for what to change. `study` reads the file once and returns what was found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from headway.config import Config
from headway.errors import LedgerError
from headway.insights.finding import Example, Finding, Quota
from headway.insights.known import amounts
from headway.insights.overlap import Ranked, rank
from headway.insights.rules import choose
from headway.insights.traffic import Traffic
from headway.insights.walk import Window, walk
from headway.ledger.file import read_file

_DAY_NS = 86400 * 10**9


@dataclass(frozen=True, slots=True)
class Study:
    """What was looked at and what was found, the dearest first.

    `days` is the time from the first attempt to the last. `spent_nanousd` is all cost in it, `saving_nanousd` what all
    findings but the questions would save together, no call counted twice.
    """

    window: Window
    attempts: int
    first_ns: int
    last_ns: int
    spent_nanousd: int
    unpriced: int
    saving_nanousd: int
    findings: tuple[Finding, ...]
    note: str = ""

    @property
    def days(self) -> float:
        return (self.last_ns - self.first_ns) / _DAY_NS

    def a_week(self, nanousd: int) -> int | None:
        """Money of this window in a week of such traffic. None: less than a day was seen, which is no week's measure."""
        return round(nanousd * 7 / self.days) if self.days >= 1.0 else None


def study(
    path: Path,
    window: Window,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    config: Config | None = None,
    progress: Callable[[int], None] | None = None,
) -> Study:
    """Look through the ledger at `path`. A ledger that is not there has nothing to change. `config` has your limits.

    InputError for a rule that there is none; LedgerError for a file that is no ledger, broken, or of a newer headway.
    """
    rules = choose(only, skip)
    if not path.exists():
        note = f"There is no ledger at {path} yet. It appears with the first call that goes through headway."
        return Study(window, 0, 0, 0, 0, 0, 0, (), note)
    try:
        with closing(read_file(path)) as db:
            db.execute("BEGIN")  # one moment for all that follows
            traffic = walk(db, window, rules, progress)
            traffic.limits = amounts(db, config, path, window.until_ns)
            traffic.has_reply = partial(_has_reply, db, window)
            ranked = rank([found for rule in rules for found in rule.found(traffic)], traffic)
            findings = tuple(_finding(db, place, one, traffic) for place, one in enumerate(ranked, 1))
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    return Study(
        window,
        traffic.attempts,
        traffic.first_ns,
        traffic.last_ns,
        traffic.nanousd,
        sum(group.unpriced for group in traffic.groups),
        sum(finding.saving.counted_nanousd for finding in findings),
        findings,
        "" if traffic.attempts else "The ledger has no attempts in this time.",
    )


def _has_reply(db: sqlite3.Connection, window: Window, call: Sequence[str]) -> bool:
    where, values = window.where()
    same = "tenant = ? AND label = ? AND model_served = ? AND outcome = 'ok'"
    found = db.execute(f"SELECT 1 FROM attempts WHERE {where} AND {same} LIMIT 1", (*values, *call))
    return found.fetchone() is not None


def _finding(db: sqlite3.Connection, place: int, one: Ranked, traffic: Traffic) -> Finding:
    quota = tuple(_quota(traffic, *what) for what in one.found.quota)
    return Finding(place, one.found, one.saving, quota, _examples(db, one.found.ids), one.overlaps)


def _quota(traffic: Traffic, pool: str, unit: str, amount: float, whole: float) -> Quota:
    minutes = traffic.minutes[pool]
    active = minutes.active()
    column = {"requests": 0, "input_tokens": 1, "output_tokens": 2}.get(unit, 1)
    whole = whole or sum(minutes.of(minute)[column] for minute in active)
    return Quota(pool, unit, amount / max(len(active), 1), amount / whole if whole else 0.0)


def _examples(db: sqlite3.Connection, ids: Sequence[int]) -> tuple[Example, ...]:
    columns = "attempt_id, at_ns, tenant, session, job, label"
    rows = (db.execute(f"SELECT {columns} FROM attempts WHERE id = ?", (key,)).fetchone() for key in ids)
    return tuple(Example(*row) for row in rows if row is not None)
