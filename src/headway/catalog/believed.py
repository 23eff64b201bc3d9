"""The limits of a pool that are believed, and whose word that is. One order for all who ask before the first call.

1. A tier or numbers given with the command: what it is asked to go by, as the engine takes it.
2. Numbers in settings, unit by unit, over whatever of the following counts.
3. Your organisation's, as the Admin API told in the last 30 days.
4. What headers showed in the last week.
5. What refusals taught in the last week.
6. The tier in settings: only what is published of it.
7. Nothing. Who asks may then assume what is published at least, and should say so.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from headway.assemble import known_limits as set_limits
from headway.catalog.limits import known_limits as told_limits
from headway.config import Config
from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.core.limit import Limit, parse_limits, with_burst
from headway.errors import LedgerError
from headway.ledger.file import read_file
from headway.ledger.lessons import recall_capacities, recall_lessons, recall_limits
from headway.providers.catalog import Catalog


class Word(StrEnum):
    """Whose word it is."""

    COMMAND = "command"
    SETTINGS = "settings"
    ORGANISATION = "organisation"
    HEADERS = "headers"
    REFUSALS = "refusals"
    TIER = "tier"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Belief:
    """The limits of one pool. `lessons` are what refusals taught of its buckets, `capacities` the most that they were seen to
    hold, in units of their limits; of neither, where the burst is set."""

    limits: tuple[Limit, ...]
    word: Word
    lessons: Mapping[Unit, Lesson]
    capacities: Mapping[Unit, float]


class Believed:
    """What is believed at `now_ns` (wall time) by one configuration and one ledger, which is read once. `told`: the
    organisation's by the Admin API.

    Raises ConfigError for settings that cannot be used, LedgerError for a file that cannot be read.
    """

    def __init__(self, config: Config, ledger: Path | None, now_ns: int) -> None:
        self._config, self._catalog, self._now_ns = config, Catalog.load(), now_ns
        self._set = set_limits(config, self._catalog)
        self.learnt = Learnt(ledger)
        untold = replace(config, limits=None, pool_limits={}, tier=None)
        self.told = told_limits(untold, ledger, now_ns)

    def of(self, pool: str) -> Belief:
        """What is believed of a pool."""
        url, config = self._config.base_url, self._config
        lessons = recall_lessons(self.learnt, url, pool, self._now_ns)
        found, word = self._found(pool, lessons)
        if config.burst:
            with config.blaming("burst"):
                return Belief(with_burst(found, config.burst), word, {}, {})
        return Belief(found, word, lessons, recall_capacities(self.learnt, url, pool, self._now_ns))

    def _found(self, pool: str, lessons: Mapping[Unit, Lesson]) -> tuple[tuple[Limit, ...], Word]:
        known = tuple(self._set(pool))
        if known and any(_is_of_command(self._config, name) for name in ("tier", "limits")):
            return known, Word.COMMAND
        limits, word = self._less_sure(pool, lessons)
        written = self._config.limits_of(pool)
        if not written:
            return limits, word
        return _over(limits, parse_limits(written)), Word.SETTINGS

    def _less_sure(self, pool: str, lessons: Mapping[Unit, Lesson]) -> tuple[tuple[Limit, ...], Word]:
        told = self.told.get(pool)
        if told is not None and told.limits:
            return told.limits, Word.ORGANISATION
        taught = tuple(Limit(unit, lesson.amount) for unit, lesson in lessons.items())
        shown = recall_limits(self.learnt, self._config.base_url, pool, self._now_ns)
        if shown:
            return _over(taught, shown), Word.HEADERS
        tier = tuple(self._set(pool)) if self._config.tier else ()
        published = tuple(limit for limit in tier if not limit.given)
        if taught:
            return _over(published, taught), Word.REFUSALS
        return published, Word.TIER if published else Word.NOBODY


class Learnt:
    """What a ledger has learnt, read once. Implements `ledger.lessons.Memory`; `keys` are those that there are."""

    def __init__(self, path: Path | None) -> None:
        self._values: dict[str, str] = {}
        if path is None or not path.exists():
            return
        try:
            with closing(read_file(path)) as db:
                self._values = dict(db.execute("SELECT key, value FROM learnt").fetchall())
        except sqlite3.Error as error:
            raise LedgerError(f"cannot read the ledger {path}: {error}") from error

    @property
    def keys(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._values)

    def remember(self, key: str, value: Mapping[str, Any]) -> None:  # noqa: ARG002 (as Memory has it)
        """Who only asks changes no ledger."""
        raise LedgerError("who asks what was learnt changes no ledger")

    def recall(self, key: str) -> dict[str, Any] | None:
        """The value under a key; None: there is none that can be read."""
        try:
            value = json.loads(self._values.get(key, "null"))
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


def _is_of_command(config: Config, name: str) -> bool:
    """Whether a setting was given with the command, or to the library, and not in a file or a variable."""
    source = config.sources.get(name, "argument")
    return getattr(config, name) is not None and source.startswith(("--", "argument"))


def _over(below: tuple[Limit, ...], above: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Of each unit the one above, else the one below."""
    return tuple({limit.unit: limit for limit in (*below, *above)}.values())
