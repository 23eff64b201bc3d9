"""The ledger's side of a comparison: sums by period and model, and what of them may be counted otherwise by the provider."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from operator import add
from pathlib import Path
from typing import Any

from headway.errors import LedgerError
from headway.ledger.file import open_file, read_file
from headway.ledger.sweep import sweep
from headway.providers.catalog import Catalog
from headway.reconcile.export import KINDS

Key = tuple[int, str]  # start of the period (ns), model

_COLUMNS = "input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, web_searches"
_SUMS = ", ".join(f"sum({column})" for column in _COLUMNS.split(", "))
_GROUPS = f"""
    SELECT at_ns - (at_ns - :from_ns) % :width AS period, model_served, estimated,
        at_ns + coalesce(total_ms, 0) * 1e6 >= at_ns - (at_ns - :from_ns) % :width + :width AS crosses,
        count(*), {_SUMS}, coalesce(sum(cost_nanousd), 0), sum(cost_nanousd IS NULL),
        sum(outcome NOT IN ('ok', 'rate_limited', 'ramp_limited') AND output_tokens = 0 AND NOT estimated)
    FROM attempts
    WHERE at_ns >= :from_ns AND at_ns < :to_ns AND provider IN ('anthropic', '') GROUP BY 1, 2, 3, 4"""
_ORDERED = f"""
    SELECT model_served, at_ns, estimated, {_COLUMNS} FROM attempts
    WHERE at_ns >= ? AND at_ns < ? AND provider IN ('anthropic', '') ORDER BY at_ns, id"""


@dataclass(slots=True)
class Sums:
    """Attempts and what they took, in the order of `KINDS`. Nanodollars without the `unpriced`; `silent` failed unmetered."""

    attempts: int = 0
    counts: tuple[int, ...] = (0,) * len(KINDS)
    cost_nanousd: int = 0
    unpriced: int = 0
    silent: int = 0

    def add(self, more: Sums) -> None:
        """Add others to these."""
        self.attempts += more.attempts
        self.counts = tuple(map(add, self.counts, more.counts))
        self.cost_nanousd += more.cost_nanousd
        self.unpriced += more.unpriced
        self.silent += more.silent


@dataclass(slots=True)
class Own:
    """All of one period and model; of that what is `estimated`, and what ran on into the next period (`crossing`)."""

    all: Sums = field(default_factory=Sums)
    estimated: Sums = field(default_factory=Sums)
    crossing: Sums = field(default_factory=Sums)


class Books:
    """The ledger at `path`, from `from_ns` to `to_ns`, in periods of `width_ns`. LedgerError if it cannot be read."""

    def __init__(self, path: Path, from_ns: int, to_ns: int, width_ns: int) -> None:
        self._path, self._from_ns, self._to_ns = path, from_ns, to_ns
        self.own: dict[Key, Own] = defaultdict(Own)
        _settle_the_lost(path)
        values = {"from_ns": from_ns, "to_ns": to_ns, "width": width_ns}
        try:
            with closing(read_file(path)) as db:
                for row in db.execute(_GROUPS, values):
                    self._note(row)
        except sqlite3.Error as error:
            raise LedgerError(f"cannot read the ledger {path}: {error}") from error

    def _note(self, row: tuple[Any, ...]) -> None:
        period, model, estimated, crosses, attempts, *rest = row
        own = self.own[int(period), canonical(str(model))]
        sums = Sums(attempts, tuple(rest[: len(KINDS)]), *rest[len(KINDS) :])
        own.all.add(sums)
        if estimated:
            own.estimated.add(sums)
        if crosses:
            own.crossing.add(sums)

    def until(
        self, start_ns: int, end_ns: int, model: str, counts: tuple[int, ...]
    ) -> tuple[int, int] | None:
        """The moment until which the attempts of a period add up to exactly `counts`, and how many came later; or None.

        Later calls that are all estimates show nothing: the provider may never have counted them.
        """
        seen, later, sure, moment = (0,) * len(KINDS), 0, 0, 0
        with closing(read_file(self._path)) as db:
            for at_ns, estimated, took in _ordered(db, start_ns, end_ns, model):
                if moment:
                    later += any(took)
                    sure += any(took) and not estimated
                elif any(took):
                    seen = tuple(map(add, seen, took))
                    moment = at_ns if seen == counts else 0
        return (moment, later) if moment and sure else None


def _settle_the_lost(path: Path) -> None:
    """What killed processes left under way counts by estimate. A busy ledger is read as it is."""
    with suppress(LedgerError, sqlite3.Error), closing(open_file(path, wait_ms=200)) as db:
        sweep(db, time.time_ns())


def _ordered(
    db: sqlite3.Connection, start_ns: int, end_ns: int, model: str
) -> Iterator[tuple[int, bool, tuple[int, ...]]]:
    for served, at_ns, estimated, *took in db.execute(_ORDERED, (start_ns, end_ns)):
        if canonical(served) == model:
            yield at_ns, bool(estimated), tuple(took)


def canonical(model: str) -> str:
    """One name for all spellings of a model: dated, display name, as clouds write it. Unknown ones stay as they are."""
    facts = Catalog.load().model(model.strip().lower().replace(" ", "-"))
    return facts.id if facts else model
