"""Which limits a replay goes by: those that are set, else learnt, else the lowest published ones that the traffic fits.

A ledger shows what was let in. Where nobody says the limits of a pool, tiers below what was used in its fullest minutes are
ruled out, so the lowest published tier that is not is assumed, and said to be an assumption.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from headway.assemble import known_limits
from headway.config import Config
from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.core.limit import Limit, with_burst
from headway.errors import LedgerError
from headway.ledger.file import read_file
from headway.providers.catalog import Catalog, TierLimits

_LEARNT = "SELECT key, value FROM learnt WHERE key LIKE 'bucket/%'"
_FULLEST = """
    SELECT pool, max(calls), max(charged), max(output) FROM (
        SELECT pool, count(*) AS calls, sum(output_tokens) AS output,
            sum(input_tokens + cache_write_5m_tokens + cache_write_1h_tokens) AS charged
        FROM attempts WHERE at_ns >= ? AND at_ns < ? AND outcome = 'ok' GROUP BY pool, at_ns / 60000000000)
    GROUP BY pool"""
_SLACK = 1.0 + 5.0 / 60.0  # a minute may hold what a full bucket held before it


@dataclass(frozen=True, slots=True)
class Known:
    """The limits of one pool, where they are from, in words, and what refusals taught about them."""

    limits: tuple[Limit, ...]
    source: str
    lessons: Mapping[Unit, Lesson]


class Limits:
    """What is known of the limits behind one ledger, now. Raises ConfigError for settings that cannot be used."""

    def __init__(self, config: Config, path: Path, since_ns: int, until_ns: int) -> None:
        self._config = config
        self._catalog = Catalog.load()
        self._path, self._range = path, (since_ns, until_ns)
        self._learnt = _lessons(path, config.base_url)
        self._fullest: dict[str, tuple[float, ...]] | None = None
        known_limits(config, self._catalog)

    def of(
        self, pool: str, *, tier: str | None = None, more: Sequence[Limit] = (), burst: str | None = None
    ) -> Known:
        """The limits of a pool; what if it were in another `tier`, had `more` limits (each instead of one of its unit), or
        buckets held another `burst`."""
        lessons = {} if tier or burst else self._learnt.get(pool, {})
        if tier is not None:
            known = _published(self._catalog.tier(pool, tier))
            source = f"published for {tier}" if known else f"none published for {tier}"
        else:
            known, source = self._now(pool, lessons)
        changed = {limit.unit: limit for limit in (*known, *more)}
        if more:
            source = "what if"
            lessons = {unit: lesson for unit, lesson in lessons.items() if unit not in {m.unit for m in more}}
        limits = tuple(changed.values())
        if burst:
            limits = with_burst(limits, burst)
        return Known(limits, source, lessons)

    def _now(self, pool: str, lessons: Mapping[Unit, Lesson]) -> tuple[tuple[Limit, ...], str]:
        known = tuple(known_limits(self._config, self._catalog)(pool))
        if known:
            return known, "set"
        assumed, source = self._assumed(pool)
        learnt = {unit: Limit(unit, lesson.amount) for unit, lesson in lessons.items()}
        if learnt:
            return tuple(({limit.unit: limit for limit in assumed} | learnt).values()), "learnt"
        return assumed, source

    def _assumed(self, pool: str) -> tuple[tuple[Limit, ...], str]:
        used = self._used().get(pool, (0.0, 0.0, 0.0))
        fits = [
            (found.requests, name, found)
            for name in self._catalog.tiers
            if (found := self._catalog.tier(pool, name)) is not None and _holds(found, used)
        ]
        if fits:
            _, name, found = min(fits, key=lambda fit: fit[0])
            return _published(
                found
            ), f"assumed: {name}, the lowest published tier that your fullest minutes fit"
        return (), "none known: nothing holds its calls back"

    def _used(self) -> dict[str, tuple[float, ...]]:
        if self._fullest is None:
            try:
                with closing(read_file(self._path)) as db:
                    rows = db.execute(_FULLEST, self._range).fetchall()
            except sqlite3.Error as error:
                raise LedgerError(f"cannot read the ledger {self._path}: {error}") from error
            self._fullest = {str(pool): tuple(float(each or 0) for each in most) for pool, *most in rows}
        return self._fullest


def _holds(limits: TierLimits, used: tuple[float, ...]) -> bool:
    allowed = (limits.requests, limits.input_tokens, limits.output_tokens)
    return all(most is None or took <= most * _SLACK for most, took in zip(allowed, used, strict=True))


def _published(found: TierLimits | None) -> tuple[Limit, ...]:
    if found is None:
        return ()
    amounts = (
        (Unit.REQUESTS, found.requests),
        (Unit.INPUT_TOKENS, found.input_tokens),
        (Unit.OUTPUT_TOKENS, found.output_tokens),
    )
    return tuple(Limit(unit, amount) for unit, amount in amounts if amount)


def _lessons(path: Path, base_url: str) -> dict[str, dict[Unit, Lesson]]:
    """What refusals taught, of this provider if it is in the ledger, by pool. What cannot be read taught nothing."""
    try:
        with closing(read_file(path)) as db:
            rows = db.execute(_LEARNT).fetchall()
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    prefix = f"bucket/{base_url}/"
    found: dict[str, dict[Unit, Lesson]] = {}
    for key, value in rows:
        if not str(key).startswith(prefix):
            continue
        try:
            found[str(key).removeprefix(prefix)] = {
                Unit(unit): Lesson(float(each["amount"]), float(each["capacity"]), float(each["overstated"]))
                for unit, each in json.loads(value).items()
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return found


def as_kept(limits: Sequence[Limit], lessons: Mapping[Unit, Lesson]) -> tuple[Limit, ...]:
    """The limits as the provider keeps them: where a bucket's size was learnt, it has that size."""
    return tuple(
        replace(limit, burst=lessons[limit.unit].capacity)
        if limit.burst is None and limit.unit in lessons
        else limit
        for limit in limits
    )
