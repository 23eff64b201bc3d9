"""Reads the calls of a time range out of a ledger, in the order in which they arrived, without holding them.

A call is its first attempt; what it took in the end is that of the attempt that was answered. It arrived when it began to
stand in line: `at_ns` less `queued_ms`. Calls that headway refused before sending them are in no ledger, so in no replay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from headway.core.call import Class
from headway.errors import InputError, LedgerError
from headway.ledger.file import read_file

_ARRIVAL = "(at_ns - CAST(coalesce(queued_ms, 0) * 1000000 AS INTEGER))"
_TOOK = (
    "outcome, total_ms, first_token_ms, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, "
    "output_tokens, web_searches, cost_nanousd"
)
_ASKED = (
    "tenant, class, session, job, pool, model_asked, stream, estimated_input_tokens, estimated_output_tokens"
)
_RANGE = "at_ns >= ? AND at_ns < ? AND number = 1"
_LATER = f"""
    CREATE TEMP TABLE later AS
    SELECT call_id, max(number * 2 + (outcome = 'ok') * 1000000) AS rank, {_TOOK} FROM attempts
    WHERE at_ns >= ? AND number > 1 GROUP BY call_id"""
_INDEX = "CREATE INDEX temp.later_by_call ON later (call_id)"
_ONLY_FIRST = f"""
    SELECT {_ARRIVAL} AS arrival, {_ASKED}, max_output_tokens, {_TOOK} FROM attempts
    WHERE {_RANGE} ORDER BY arrival"""
_WITH_LATER = """
    SELECT {arrival} AS arrival, {asked}, max_output_tokens, {took} FROM attempts
    LEFT JOIN temp.later ON temp.later.call_id = attempts.call_id AND attempts.outcome <> 'ok'
    WHERE {range} ORDER BY arrival""".format(
    arrival=_ARRIVAL,
    asked=_ASKED,
    range=_RANGE,
    took=", ".join(
        f"CASE WHEN temp.later.rank IS NULL THEN attempts.{name} ELSE temp.later.{name} END AS {name}"
        for name in _TOOK.split(", ")
    ),
)
_SURVEY = f"""
    SELECT pool, count(*), min({_ARRIVAL}), max(at_ns + CAST(coalesce(total_ms, 0) * 1000000 AS INTEGER))
    FROM attempts WHERE {_RANGE} GROUP BY pool"""
_REFUSED = frozenset(("rate_limited", "ramp_limited", "overloaded", "failed", "stopped"))
_NEVER = 2**63 - 1
_CLASSES = {class_.value: class_ for class_ in Class}
UNKNOWN_CEILING = 8192  # of output, where the ledger does not say what a request allowed
GUESSED_FIRST_S, GUESSED_TOKENS_PER_S = 1.0, 60.0  # of a call that was never answered


class Asked(Struct):
    """One call as the ledger has it. `at` is its arrival, seconds from the start of the replay; times are seconds.

    Tokens as the provider counted them; `is_guessed` where it never did, as every attempt was refused: then they are what
    was expected, and `cost` is None. `rejected`: it was the request's own fault, so it is answered so again.

    In the replay it came at `arrived_at`, was let in at `sent_at` and over at `ended_at` (less than 0: not yet), after
    `refusals` 429s. The calls of its session that wait for its end are `followers`, each with the seconds between.
    """

    at: float
    tenant: str
    class_: Class
    session: str
    job: str
    pool: str
    model: str
    stream: bool
    estimated_input: int
    most_output: int
    rejected: bool
    is_guessed: bool
    total_s: float
    first_s: float
    input: int
    read: int
    written_5m: int
    written_1h: int
    output: int
    searches: int
    cost: int | None
    weight: float = 1.0
    arrived_at: float = 0.0
    sent_at: float = -1.0
    ended_at: float = -1.0
    refusals: int = 0
    followers: list[tuple[float, Asked]] | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What a range holds: calls by pool ("": those that draw on no limit), and from when to when (ns since 1970 UTC).

    `pruned_ns`: attempts from before then may have been removed from the ledger."""

    calls: dict[str, int]
    begins_ns: int
    ends_ns: int
    pruned_ns: int

    @property
    def total(self) -> int:
        """All calls."""
        return sum(self.calls.values())

    @property
    def span_s(self) -> float:
        """Seconds from the first arrival to the last end."""
        return (self.ends_ns - self.begins_ns) / 1e9


class Rows:
    """The calls of one ledger from `since_ns` to before `until_ns`. Can be read any number of times.

    InputError if there are none; LedgerError for a file that is no ledger or broken.
    """

    def __init__(self, path: Path, since_ns: int, until_ns: int = _NEVER) -> None:
        self.path = path
        self._since_ns, self._until_ns = since_ns, until_ns
        if not path.exists():
            raise InputError(
                f"there is no ledger at {path}", hint="It appears with the first call through headway."
            )
        try:
            with closing(read_file(path)) as db:
                found = db.execute(_SURVEY, (since_ns, until_ns)).fetchall()
                later = db.execute(
                    "SELECT 1 FROM attempts WHERE at_ns >= ? AND number > 1 LIMIT 1", (since_ns,)
                ).fetchone()
                pruned_ns = _pruned_ns(db)
        except sqlite3.Error as error:
            raise LedgerError(f"cannot read the ledger {path}: {error}") from error
        if not found:
            raise InputError(
                "the ledger has no calls in this time", hint="Go further back, such as --from-ledger 30d."
            )
        self._has_later = later is not None
        self.survey = Survey(
            {str(pool): int(count) for pool, count, _, _ in found},
            min(row[2] for row in found),
            max(row[3] for row in found),
            pruned_ns,
        )

    def __iter__(self) -> Iterator[Asked]:
        try:
            with closing(read_file(self.path)) as db:
                if self._has_later:
                    db.execute(_LATER, (self._since_ns,))
                    db.execute(_INDEX)
                query = _WITH_LATER if self._has_later else _ONLY_FIRST
                begins_ns = self.survey.begins_ns
                for row in db.execute(query, (self._since_ns, self._until_ns)):
                    yield _asked(row, begins_ns)
        except sqlite3.Error as error:
            raise LedgerError(f"cannot read the ledger {self.path}: {error}") from error


def _pruned_ns(db: sqlite3.Connection) -> int:
    """0 in a ledger of an older headway, which removed nothing."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'rolled'").fetchone():
        return 0
    return int(db.execute("SELECT pruned_ns FROM rolled").fetchone()[0])


def _asked(row: tuple[Any, ...], begins_ns: int) -> Asked:
    (
        arrival, tenant, class_, session, job, pool, model, stream, estimated_input, estimated_output, most,
        outcome, total_ms, first_ms, fresh, read, written_5m, written_1h, output, searches, cost,
    ) = row  # fmt: skip
    total_s = total_ms / 1000.0 if total_ms else 0.0
    guessed = outcome in _REFUSED and not (fresh or read or output or written_5m or written_1h)
    if guessed:
        fresh, output, cost = estimated_input, estimated_output, None
        total_s = GUESSED_FIRST_S + output / GUESSED_TOKENS_PER_S
        first_ms = None
    return Asked(
        (arrival - begins_ns) / 1e9,
        tenant, _CLASSES.get(class_, Class.STANDARD), session, job, pool, model, stream == 1,
        estimated_input, most or max(UNKNOWN_CEILING, output), outcome == "rejected", guessed, total_s,
        min(first_ms / 1000.0, total_s) if first_ms is not None else 0.3 * total_s,
        fresh, read, written_5m, written_1h, output, searches, cost,
    )  # fmt: skip
