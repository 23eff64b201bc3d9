"""Adds up a ledger: calls, tokens, money and waiting, by one or two of model, tenant, session, job, class, day, hour, status.

Out of the sums that are kept, and of single attempts where these do not reach (`ledger.parts`): the answer is the same,
whichever it is. It is read in a connection that cannot write, so a report can be read while calls are written. Medians come
from steps of about a tenth. Days and hours are UTC. Money is whole nanodollars, summed exactly.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, get_args

from headway.errors import InputError, LedgerError
from headway.ledger.distinct import Key, count_calls
from headway.ledger.file import open_file, read_file
from headway.ledger.parts import END_NS, Parts, Source, find_parts
from headway.ledger.rollup import bring_up_to_date
from headway.ledger.spread import at_share
from headway.ledger.sweep import sweep
from headway.ledger.where import Where, key_sql

By = Literal["model", "tenant", "session", "job", "class", "day", "hour", "status"]
TIMES = ("day", "hour")

_AT_ONCE = 1000  # attempts that are sooner read than added up for good
_REFUSED = "outcome IN ('rate_limited', 'ramp_limited')"
_SUMMED = (
    "attempts",
    "CASE outcome WHEN 'ok' THEN attempts ELSE 0 END",
    f"CASE WHEN {_REFUSED} THEN attempts ELSE 0 END",
    *("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("output_tokens", "thinking_tokens", "web_searches"),
    *("cost_nanousd", "unpriced", "estimated", "estimated_nanousd", "judged", "off_ppm"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """Sums over the attempts of one group. Tokens are in disjoint classes, only thinking is part of output.

    `cost_nanousd` is without the `unpriced` attempts; `estimated` attempts (cancelled, lost) and what they cost are ours to
    the best of our knowledge. `estimate_error` is the mean of |estimated − true| ÷ true input. None: nothing to say.
    `second` is the other key, where lines are told apart by two.
    """

    key: str
    calls: int
    attempts: int
    ok: int
    rate_limited: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    thinking_tokens: int
    web_searches: int
    cost_nanousd: int
    unpriced: int
    estimated: int
    estimated_nanousd: int
    estimate_error: float | None
    queued_p50_ms: float | None
    queued_max_ms: float | None
    queued_total_ms: int = 0
    second: str = ""

    @property
    def tokens(self) -> int:
        """All input and output."""
        read = self.input_tokens + self.cache_read_tokens
        return read + self.cache_write_5m_tokens + self.cache_write_1h_tokens + self.output_tokens


_WHOLE = tuple(each.name for each in fields(Line)[2:16])  # what is counted, in the order of _SUMMED


@dataclass(frozen=True, slots=True)
class Report:
    """The lines, dearest first (days and hours: in order), their total, attempts under way, and what to say about it."""

    by: str
    since_ns: int
    lines: tuple[Line, ...]
    total: Line
    under_way: int
    note: str = ""
    until_ns: int | None = None
    where: Where = ()


def usage(
    path: Path,
    by: str = "model",
    since_ns: int = 0,
    *,
    until_ns: int = END_NS,
    where: Where = (),
    told: Callable[[int], object] | None = None,
) -> Report:
    """What the ledger at `path` says of the attempts from `since_ns` to before `until_ns` (ns since 1970 UTC).

    `by` is one word or two with a comma. A ledger that is not there is an empty one. `told` hears how many attempts are
    still to be added up, now and then, where that takes long. InputError for an unknown `by` or `where`; LedgerError for a
    file that is no ledger, broken, or of a newer headway.
    """
    by = ",".join(keys_of(by))
    until = None if until_ns >= END_NS else until_ns
    if not path.exists():
        note = f"There is no ledger at {path} yet. It appears with the first call that goes through headway."
        return Report(by, since_ns, (), _Group().line(("total", "")), 0, note, until, where)
    prepare(path, told)
    try:
        with closing(read_file(path)) as db:
            return read_report(db, by, since_ns, until_ns, where)
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error


def read_report(
    db: sqlite3.Connection, by: str, since_ns: int = 0, until_ns: int = END_NS, where: Where = ()
) -> Report:
    """The same, of an open ledger as it is, at one moment. Raises sqlite3.Error as well."""
    keys = keys_of(by)
    db.execute("BEGIN")
    try:
        by_hour = any(key in ("session", "hour") for key in keys)
        parts = find_parts(db, since_ns, until_ns, where, by_hour=by_hour)
        lines, total = _lines(db, keys, parts)
        (under_way,) = db.execute("SELECT count(*) FROM open_attempts").fetchone()
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    until = None if until_ns >= END_NS else until_ns
    return Report(",".join(keys), since_ns, lines, total, under_way, _note(lines, parts), until, where)


def keys_of(by: str) -> tuple[str, ...]:
    """The words of `by`. InputError for one that is not known, and for more than two."""
    keys = tuple(key.strip() for key in by.split(","))
    for key in keys:
        if key not in get_args(By):
            known = ", ".join(get_args(By))
            raise InputError(f"cannot group by {key!r}", hint=f"One of: {known}; or two of them: tenant,day.")
    if len(keys) > 2 or len(set(keys)) < len(keys):
        raise InputError(f"cannot group by {by!r}", hint="By one or two different words, like tenant,day.")
    return keys


def prepare(path: Path, told: Callable[[int], object] | None = None) -> None:
    """Count what a killed process left, and add up what is new. A ledger that is busy or not ours is read as it is."""
    with suppress(LedgerError, sqlite3.Error), closing(open_file(path, wait_ms=200)) as db:
        sweep(db, time.time_ns())
        bring_up_to_date(db, told, least=_AT_ONCE)


def _note(lines: Sequence[Line], parts: Parts) -> str:
    if not lines:
        return "The ledger has no attempts in this time."
    return "Attempts of that time were removed: whole hours are counted." if parts.is_rounded else ""


@dataclass(slots=True)
class _Group:
    """What belongs to one line, and how long it waited."""

    sums: list[int] = field(default_factory=lambda: [0] * len(_SUMMED))
    calls: int = 0
    steps: Counter[int] = field(default_factory=Counter)
    waited_us: int = 0
    longest_ms: float = 0.0

    def add(self, other: _Group) -> None:
        self.sums = [mine + more for mine, more in zip(self.sums, other.sums, strict=True)]
        self.steps.update(other.steps)
        self.waited_us += other.waited_us
        self.longest_ms = max(self.longest_ms, other.longest_ms)

    def line(self, key: Key) -> Line:
        *whole, judged, off_ppm = self.sums
        median = at_share(self.steps, 0.5)
        return Line(
            key[0],
            self.calls,
            **dict(zip(_WHOLE, whole, strict=True)),
            estimate_error=off_ppm / 1e6 / judged if judged else None,
            queued_p50_ms=None if median is None else median / 1000,
            queued_max_ms=self.longest_ms if self.steps else None,
            queued_total_ms=self.waited_us // 1000,
            second=key[1],
        )


def _lines(db: sqlite3.Connection, keys: tuple[str, ...], parts: Parts) -> tuple[tuple[Line, ...], Line]:
    named = f"{key_sql(keys[0])} AS k1, {key_sql(keys[1]) if len(keys) == 2 else repr('')} AS k2"
    groups: dict[Key, _Group] = defaultdict(_Group)
    single = parts.attempts()
    summed = ", ".join(f"sum({each})" for each in _SUMMED)
    for source in (*parts.sums(), single):
        for k1, k2, *sums in db.execute(
            f"SELECT {named}, {summed} FROM ({source.sql}) GROUP BY k1, k2", source.values
        ):
            group = groups[str(k1), str(k2)]
            group.sums = [mine + more for mine, more in zip(group.sums, sums, strict=True)]
    waited = "step_us, sum(attempts), sum(waited_us), max(longest_ms)"
    rest = Source(f"SELECT {named}, {waited} FROM ({single.sql}) GROUP BY k1, k2, step_us", single.values)
    for source in (*parts.steps(named), rest):
        key: Key | None = None
        group = _Group()
        for k1, k2, step, count, waited_us, longest in db.execute(source.sql, source.values):
            if (
                key is None or k2 != key[1] or k1 != key[0]
            ):  # steps of a group come one after the other, millions in all
                key = (k1, k2)
                group = groups[key]
            group.steps[step] += count
            group.waited_us += waited_us
            if longest > group.longest_ms:
                group.longest_ms = longest
    for whose, calls in count_calls(db, named, parts).items():
        groups[whose].calls = calls
    total = _Group()
    for group in groups.values():
        total.add(group)
    total.calls = count_calls(db, "'' AS k1, '' AS k2", parts).get(("", ""), 0)
    lines = [group.line(whose) for whose, group in groups.items() if group.sums[0]]
    return tuple(_in_order(lines, keys)), total.line(("total", ""))


def _in_order(lines: list[Line], keys: tuple[str, ...]) -> list[Line]:
    """Dearest first, times in order; lines with the same first key stand together."""
    cost, attempts = Counter[str](), Counter[str]()
    for line in lines:
        cost[line.key] += line.cost_nanousd
        attempts[line.key] += line.attempts

    def place(line: Line) -> tuple[int | str, ...]:
        first = () if keys[0] in TIMES else (-cost[line.key], -attempts[line.key])
        second = () if keys[-1] in TIMES else (-line.cost_nanousd, -line.attempts)
        return (*first, line.key, *second, line.second)

    return sorted(lines, key=place)
