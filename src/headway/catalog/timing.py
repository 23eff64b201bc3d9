"""How fast models answered, out of single attempts: as many of each hour as can be read at once, newest days first.

A day is read as a whole, from the end of each of its hours, so that a model that was called in the morning is not lost behind
the millions of calls of another in the evening. Replies whose tokens are estimated (cancelled, lost) are left out.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime

LEAST = 20  # of whatever a figure is made of; below that it is chance, and nothing is said
AN_HOUR = 1000  # attempts that are looked at in an hour, at most
ENOUGH = 1000  # timed replies of a model, for which no earlier day is read

_MOST = 200_000  # attempts that are looked at in all
_HOUR_NS = 3600 * 10**9
_FIRST = "CASE WHEN stream = 1 THEN first_token_ms END"
_SPEED = """CASE WHEN total_ms > first_token_ms + 50 AND output_tokens >= 20
    THEN output_tokens * 1000.0 / (total_ms - first_token_ms) END"""
_TIMES = f"""
    SELECT model_served, {_FIRST}, {_SPEED}
    FROM (SELECT * FROM attempts WHERE at_ns >= ? AND at_ns < ? ORDER BY at_ns DESC LIMIT ?)
    WHERE outcome = 'ok' AND estimated = 0 AND first_token_ms > 0
        AND pool <> '' AND pool NOT LIKE '%/count_tokens' AND pool NOT LIKE '%/batches'"""


@dataclass(slots=True)
class Timed:
    """Milliseconds to the first token, and tokens a second after it, of replies from the day `since` on ('': none)."""

    since: str = ""
    first_ms: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)

    def first(self, share: float) -> float | None:
        """What `share` of the replies stay below. None: fewer than `LEAST`."""
        return _quantile(self.first_ms, share)

    def speed(self, share: float) -> float | None:
        """The same of tokens a second."""
        return _quantile(self.per_s, share)


@dataclass(frozen=True, slots=True)
class Times:
    """What was read, by model and day."""

    found: Mapping[str, Mapping[str, Timed]]

    def of_day(self, model: str, day: str) -> Timed:
        """Of one day."""
        return self.found.get(model, {}).get(day) or Timed()

    def all_of(self, model: str) -> Timed:
        """Of the newest days, as many as it takes."""
        total = Timed()
        for day, timed in sorted(self.found.get(model, {}).items(), reverse=True):
            if len(total.first_ms) < ENOUGH:
                total.since = day
                total.first_ms += timed.first_ms
                total.per_s += timed.per_s
        return total


def read_times(
    db: sqlite3.Connection,
    days: Mapping[str, Set[str]],
    served: Mapping[str, Set[str]],
    *,
    every_day: bool = False,
) -> Times:
    """The times of models, which the ledger knows as `served`. `days` says which models have calls on a day (ISO, UTC).

    Unless `every_day` is wanted, days are read until there is enough of each model. Raises sqlite3.Error.
    """
    names = {each: model for model, all_ in served.items() for each in all_}
    an_hour = min(AN_HOUR, _MOST // (24 * max(len(days), 1)))
    found: dict[str, dict[str, Timed]] = defaultdict(dict)
    seen = dict.fromkeys(served, 0)
    for day in sorted(days, reverse=True):
        wanted = {model for model in days[day] if model in seen and (every_day or seen[model] < ENOUGH)}
        if not wanted:
            continue
        for served_as, first, speed in _day(db, day, an_hour):
            model = names.get(served_as)
            if model is None:
                continue
            timed = found[model].setdefault(day, Timed(day))
            if first is not None:
                timed.first_ms.append(first)
                seen[model] += 1
            if speed is not None:
                timed.per_s.append(speed)
    return Times(found)


def _day(db: sqlite3.Connection, day: str, an_hour: int) -> list[tuple[str, float | None, float | None]]:
    start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9
    hours = (start + hour * _HOUR_NS for hour in range(24))
    return [row for hour in hours for row in db.execute(_TIMES, (hour, hour + _HOUR_NS, an_hour))]


def _quantile(values: list[float], share: float) -> float | None:
    """The value that `share` of them do not go beyond."""
    if len(values) < LEAST:
        return None
    rank = max(-int(-share * len(values) // 1), 1)
    return sorted(values)[rank - 1]
