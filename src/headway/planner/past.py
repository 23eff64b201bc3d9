"""What the ledger tells about replies to come: how long they were, how fast, how far input estimates were off."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from math import log, sqrt
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import NamedTuple

from headway.core.forecast import Ratio
from headway.errors import LedgerError
from headway.ledger.file import read_file
from headway.planner.replies import Replies, learnt, median_factor
from headway.planner.world import Tempo

MOST_CALLS = 20_000  # that are looked at, the latest
FEW = 8  # calls, below which nothing is learnt
FEWEST_TOKENS = 40  # of a reply that tells how fast its model is
ALIKE = (
    0.2  # by how much the mean prompt of another job may differ for its replies to count as of the same kind
)
_CALLS = """
    SELECT call_id, at_ns, job, tenant, {most}, output_tokens, first_token_ms, total_ms, stream, estimated_input_tokens,
        input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens
    FROM attempts WHERE outcome = 'ok' AND estimated = 0 AND at_ns >= ? AND (model_asked = ? OR model_served = ?)
        AND total_ms > 0 AND estimated_input_tokens > 0
    ORDER BY at_ns DESC LIMIT ?"""


class Row(NamedTuple):
    """One reply of the ledger. `estimate` is what the engine expected of its input, corrected by what it had learnt."""

    call_id: str
    at_ns: int
    job: str
    tenant: str
    most: int
    output: int
    first_ms: float | None
    total_ms: float
    stream: int
    estimate: int
    input: int


@dataclass(frozen=True, slots=True)
class Past:
    """What was learnt of one model. `ratio` is input counted for each token estimated, `ratio_doubt` its relative error.

    `calls` have taught it: `kin` is "same" if they are of this very job, "alike" if their prompts are as long and have
    the same `max_tokens`, else "other". None: nothing is known of that.
    """

    calls: int = 0
    kin: str = "other"
    replies: Replies | None = None
    tempo: Tempo | None = None
    ratio: float | None = None
    ratio_doubt: float = 0.0


@dataclass(frozen=True, slots=True)
class Looks:
    """How the job to plan looks: its name, its mean prompt by estimate, and the `max_tokens` that its lines have."""

    job: str
    input_tokens: float
    most: frozenset[int]


def past_of(path: Path, model: str, looks: Looks, since_ns: int) -> Past:
    """Of calls to this model for this job; if those are few, for jobs that look like it; else of all calls to it.

    LedgerError if it cannot be read; a ledger that is not there tells nothing.
    """
    if not path.exists():
        return Past()
    try:
        with closing(read_file(path)) as db:
            columns = {row[1] for row in db.execute("PRAGMA table_info(attempts)")}
            most = (
                "max_output_tokens" if "max_output_tokens" in columns else "0"
            )  # a file of an older headway
            values = (since_ns, model, model, MOST_CALLS)
            rows = [Row(*row) for row in db.execute(_CALLS.format(most=most), values)]
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    if len(rows) < FEW:
        return Past()
    rows.reverse()
    plain = plain_estimates(rows)
    kin, chosen = _kin(rows, plain, looks)
    return _learnt(chosen, plain, kin)


def plain_estimates(rows: Sequence[Row]) -> dict[str, float]:
    """By call, what its input was estimated at before the engine corrected it by what it had learnt: undone by learning
    the same once more, run by run. `rows` are in order of time. Runs whose beginning is not there are left out."""
    events: list[tuple[float, int, Row]] = []
    for row in rows:
        events.append((row.at_ns, 1, row))
        events.append((row.at_ns + row.total_ms * 1e6, 0, row))
    events.sort(key=lambda event: event[:2])
    ratios: dict[tuple[str, str], Ratio | None] = {}
    found: dict[str, float] = {}
    for _, is_start, row in events:
        run, _, serial = row.call_id.rpartition("-")
        owner = (run, row.job or row.tenant)
        if owner not in ratios:
            ratios[owner] = Ratio() if serial == "1" or row.job == "" else None
        ratio = ratios[owner]
        if ratio is None:
            continue
        if is_start:
            found[row.call_id] = row.estimate / ratio.value
        elif row.call_id in found:
            ratio.learn(found[row.call_id], row.input)
    return found


def _kin(rows: list[Row], plain: Mapping[str, float], looks: Looks) -> tuple[str, list[Row]]:
    own = [row for row in rows if row.job == looks.job]
    if len(own) >= FEW:
        return "same", own
    by_job: dict[str, list[Row]] = {}
    for row in rows:
        by_job.setdefault(row.job, []).append(row)
    alike = [row for group in by_job.values() if _is_alike(group, plain, looks) for row in group]
    return ("alike", alike) if alike else ("other", rows)


def _is_alike(group: Sequence[Row], plain: Mapping[str, float], looks: Looks) -> bool:
    known = [plain.get(row.call_id, row.estimate) for row in group]
    mean = fmean(known)
    same_most = {row.most for row in group} <= looks.most
    return len(group) >= FEW and same_most and abs(mean / max(looks.input_tokens, 1.0) - 1.0) < ALIKE


def _learnt(rows: Sequence[Row], plain: Mapping[str, float], kin: str) -> Past:
    replies = learnt([(row.most, row.output) for row in rows], kin=kin)
    judged = [(plain[row.call_id], row.input) for row in rows if row.call_id in plain and row.input > 0]
    if len(judged) < FEW:
        return Past(len(rows), kin, replies, _tempo(rows))
    ratio = sum(counted for _, counted in judged) / sum(guess for guess, _ in judged)
    off = sqrt(fmean((counted / guess / ratio - 1.0) ** 2 for guess, counted in judged))
    doubt = max(off, 0.03) if kin == "other" else off / sqrt(len(judged))
    return Past(len(rows), kin, replies, _tempo(rows), ratio, doubt)


def _tempo(rows: Sequence[Row]) -> Tempo | None:
    """From streamed replies, which tell when they began; long ones tell how fast."""
    streamed = [(row, row.first_ms) for row in rows if row.stream and row.first_ms is not None]
    if len(streamed) < FEW:
        return _tempo_of_whole(rows)
    first_s, first_sigma = median_factor([max(first_ms, 0.1) / 1000.0 for _, first_ms in streamed])
    speeds = [
        row.output / (row.total_ms - first_ms) * 1000.0
        for row, first_ms in streamed
        if row.output >= FEWEST_TOKENS and row.total_ms > first_ms
    ]
    if len(speeds) < FEW:
        return replace(Tempo(), first_s=first_s, first_sigma=first_sigma)
    speed = median(speeds)
    inner = sorted(speeds)[len(speeds) // 50 : len(speeds) - len(speeds) // 50]  # without what was disturbed
    return Tempo(first_s, first_sigma, speed, pstdev(log(each) for each in inner))


def _tempo_of_whole(rows: Sequence[Row]) -> Tempo | None:
    """Replies that came whole: all their time is taken as output beyond the usual first token."""
    usual = Tempo()
    speeds = [
        row.output / max(row.total_ms / 1000.0 - usual.first_s, row.total_ms / 2000.0)
        for row in rows
        if row.output >= FEWEST_TOKENS
    ]
    return None if len(speeds) < FEW else replace(usual, speed=median(speeds))
