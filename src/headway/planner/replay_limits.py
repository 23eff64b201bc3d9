"""Which limits a replay goes by: those that are believed (`catalog.believed`), else assumed ones.

A ledger shows what was let in. Where nobody says the limits of a pool, tiers below what was used in its fullest minutes are
ruled out, so the lowest published tier that is not is assumed, and said to be an assumption.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from headway.catalog.believed import Believed, Word
from headway.config import Config
from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.core.limit import Limit, with_burst
from headway.errors import LedgerError
from headway.ledger.file import read_file
from headway.providers.catalog import Catalog, TierLimits

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
    """What is known of the limits behind one ledger, at `now_ns` (wall time). Raises ConfigError for settings that cannot be
    used."""

    def __init__(self, config: Config, path: Path, since_ns: int, until_ns: int, now_ns: int) -> None:
        self._config = config
        self._catalog = Catalog.load()
        self._path, self._range = path, (since_ns, until_ns)
        self._believed = Believed(config, path, now_ns)
        self._fullest: dict[str, tuple[float, ...]] | None = None

    def of(
        self, pool: str, *, tier: str | None = None, more: Sequence[Limit] = (), burst: str | None = None
    ) -> Known:
        """The limits of a pool; what if it were in another `tier`, had `more` limits (each instead of one of its unit), or
        buckets held another `burst`."""
        lessons: Mapping[Unit, Lesson] = {}
        if not (tier or burst or self._config.burst):
            lessons = self._believed.of(pool).lessons
        if tier is not None:
            known = _published(self._catalog.tier(pool, tier))
            source = f"published for {tier}" if known else f"none published for {tier}"
        else:
            known, source = self._now(pool)
        changed = {limit.unit: limit for limit in (*known, *more)}
        if more:
            source = "what if"
            lessons = {unit: lesson for unit, lesson in lessons.items() if unit not in {m.unit for m in more}}
        limits = tuple(changed.values())
        if burst:
            limits = with_burst(limits, burst)
        return Known(limits, source, lessons)

    def _now(self, pool: str) -> tuple[tuple[Limit, ...], str]:
        found = self._believed.of(pool)
        match found.word:
            case Word.COMMAND | Word.SETTINGS | Word.TIER:
                return found.limits, "set"
            case Word.ORGANISATION:
                return found.limits, "those of your organisation"
            case Word.HEADERS:
                return found.limits, "learnt"
            case Word.REFUSALS:
                assumed = self._assumed(pool)[0] if not self._config.tier else ()
                return tuple({limit.unit: limit for limit in (*assumed, *found.limits)}.values()), "learnt"
            case Word.NOBODY:
                return self._assumed(pool)
            case _:
                assert_never(found.word)

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


def as_kept(limits: Sequence[Limit], lessons: Mapping[Unit, Lesson]) -> tuple[Limit, ...]:
    """The limits as the provider keeps them: where a bucket's size was learnt, it has that size."""
    return tuple(
        replace(limit, burst=lessons[limit.unit].capacity)
        if limit.burst is None and limit.unit in lessons
        else limit
        for limit in limits
    )
