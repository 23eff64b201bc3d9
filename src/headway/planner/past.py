"""What the ledger tells about replies to come: how long they were, how fast, and how far input estimates were off."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.errors import LedgerError
from headway.ledger.file import read_file
from headway.ledger.lessons import recall_lessons
from headway.planner.replies import Replies, learnt, median_factor
from headway.planner.world import Tempo

MOST_CALLS = 20_000  # that are looked at, the latest
FEW = 8  # calls, below which nothing is learnt
FEWEST_TOKENS = 40  # of a reply that tells how fast its model is
_CALLS = """
    SELECT {most}, output_tokens, first_token_ms, total_ms, estimated_input_tokens, stream,
        input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens
    FROM attempts WHERE outcome = 'ok' AND estimated = 0 AND at_ns >= ? AND (model_asked = ? OR model_served = ?){more}
    ORDER BY at_ns DESC LIMIT ?"""
_POOL = """
    SELECT min(at_ns), max(at_ns), count(*),
        sum(input_tokens + cache_write_5m_tokens + cache_write_1h_tokens), sum(output_tokens)
    FROM attempts WHERE pool = ? AND job != ? AND at_ns >= ? AND outcome NOT IN ('rate_limited', 'ramp_limited')"""


@dataclass(frozen=True, slots=True)
class Past:
    """What was learnt of one model. `ratio` is input counted for each token estimated, `ratio_doubt` its relative error.

    `calls` have taught it, of this very job if `same_job`. None: nothing is known of that.
    """

    calls: int = 0
    same_job: bool = False
    replies: Replies | None = None
    tempo: Tempo | None = None
    ratio: float | None = None
    ratio_doubt: float = 0.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What others take of a pool, a second, on the mean over the time that is looked at."""

    calls: int
    span_s: float
    rates: Mapping[Unit, float]


def past_of(path: Path, model: str, job: str, since_ns: int) -> Past:
    """Of calls to this model under this job's name; if those are few, of all calls to it. LedgerError if it cannot be
    read; a ledger that is not there tells nothing."""
    if not path.exists():
        return Past()
    try:
        with closing(read_file(path)) as db:
            columns = {row[1] for row in db.execute("PRAGMA table_info(attempts)")}
            most = (
                "max_output_tokens" if "max_output_tokens" in columns else "0"
            )  # a file of an older headway
            values = (since_ns, model, model)
            sql = _CALLS.format(most=most, more=" AND job = ?")
            rows = db.execute(sql, (*values, job, MOST_CALLS)).fetchall()
            same_job = len(rows) >= FEW
            if not same_job:
                rows = db.execute(_CALLS.format(most=most, more=""), (*values, MOST_CALLS)).fetchall()
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    return Past() if len(rows) < FEW else _learnt(rows, same_job=same_job)


class Lessons:
    """What refusals taught about pools, out of a ledger file; each pool is looked up once."""

    def __init__(self, path: Path | None, base_url: str, at_ns: int) -> None:
        self._path = path
        self._base_url = base_url
        self._at_ns = at_ns
        self._known: dict[str, Mapping[Unit, Lesson]] = {}

    def __call__(self, pool: str) -> Mapping[Unit, Lesson]:
        """The lessons of a pool; none without a ledger."""
        if pool not in self._known:
            self._known[pool] = recall_lessons(self, self._base_url, pool, self._at_ns)
        return self._known[pool]

    def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """A plan teaches nothing."""

    def recall(self, key: str) -> dict[str, Any] | None:
        """The value under a key, if there is one. LedgerError if the file cannot be read."""
        if self._path is None or not self._path.exists():
            return None
        try:
            with closing(read_file(self._path)) as db:
                row = db.execute("SELECT value FROM learnt WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise LedgerError(f"cannot read the ledger {self._path}: {error}") from error
        return None if row is None else msgspec.json.decode(row[0], type=dict[str, Any])


def traffic_of(path: Path, pool: str, job: str, since_ns: int, now_ns: int) -> Traffic | None:
    """What all but this job took of a pool since then. None: nothing."""
    if not path.exists():
        return None
    try:
        with closing(read_file(path)) as db:
            first, _, calls, tokens_in, tokens_out = db.execute(_POOL, (pool, job, since_ns)).fetchone()
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    if not calls:
        return None
    span_s = max((now_ns - max(since_ns, first)) / 1e9, 60.0)
    rates = {
        Unit.REQUESTS: calls / span_s,
        Unit.INPUT_TOKENS: tokens_in / span_s,
        Unit.OUTPUT_TOKENS: tokens_out / span_s,
    }
    return Traffic(calls, span_s, rates)


def _learnt(rows: Sequence[Sequence[float]], *, same_job: bool) -> Past:
    replies = learnt([(int(row[0]), int(row[1])) for row in rows], same_job=same_job)
    judged = [(row[4], row[6]) for row in rows if row[4] > 0 and row[6] > 0]
    estimated, counted = sum(pair[0] for pair in judged), sum(pair[1] for pair in judged)
    ratio = counted / estimated if estimated else None
    doubt = 0.0
    if ratio and len(judged) >= FEW:
        off = sqrt(sum((each / guess / ratio - 1.0) ** 2 for guess, each in judged) / len(judged))
        doubt = off / sqrt(len(judged)) if same_job else max(off, 0.03)
    return Past(len(rows), same_job, replies, _tempo(rows), ratio, doubt)


def _tempo(rows: Sequence[Sequence[float]]) -> Tempo | None:
    """From streamed replies, which tell when they began; long ones tell how fast."""
    streamed = [
        row for row in rows if row[5] and row[2] is not None and row[3] is not None and row[3] > row[2]
    ]
    if len(streamed) < FEW:
        return _tempo_of_whole(rows)
    first_s, first_sigma = median_factor([max(row[2], 0.1) / 1000.0 for row in streamed])
    speeds = [row[1] / (row[3] - row[2]) * 1000.0 for row in streamed if row[1] >= FEWEST_TOKENS]
    if len(speeds) < FEW:
        return replace(Tempo(), first_s=first_s, first_sigma=first_sigma)
    speed, speed_sigma = median_factor(speeds)
    return Tempo(first_s, first_sigma, speed, speed_sigma)


def _tempo_of_whole(rows: Sequence[Sequence[float]]) -> Tempo | None:
    """Replies that came whole: all their time is taken as output beyond the usual first token."""
    usual = Tempo()
    speeds = [
        row[1] / max(row[3] / 1000.0 - usual.first_s, row[3] / 2000.0)
        for row in rows
        if row[3] and row[1] >= FEWEST_TOKENS
    ]
    if len(speeds) < FEW:
        return None
    return replace(usual, speed=median(speeds))
