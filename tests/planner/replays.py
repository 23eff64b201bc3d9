"""Ledgers made up for replays."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from headway.config import Config
from headway.ledger.file import open_file
from headway.planner.replay import Replay, replay
from headway.planner.replay_rows import Rows

START_NS = 1_790_000_000 * 10**9
OPUS, OPUS_POOL = "claude-opus-4-5", "anthropic/opus-4"
_DEFAULTS: dict[str, Any] = {
    "number": 1,
    "provider": "anthropic",
    "pool": OPUS_POOL,
    "model_asked": OPUS,
    "tenant": "default",
    "class": "standard",
    "session": "",
    "job": "",
    "label": "",
    "outcome": "ok",
    "status": 200,
    "error_type": "",
    "stream": 1,
    "queued_ms": 0.0,
    "first_token_ms": 500.0,
    "total_ms": 2000.0,
    "estimated_input_tokens": 100,
    "estimated_output_tokens": 50,
    "input_tokens": 100,
    "cache_read_tokens": 0,
    "cache_write_5m_tokens": 0,
    "cache_write_1h_tokens": 0,
    "output_tokens": 50,
    "thinking_tokens": 0,
    "web_searches": 0,
    "cost_nanousd": 1_750_000,
    "price_variant": "made up",
    "estimated": 0,
    "max_output_tokens": 1024,
}


def a_ledger(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """A ledger of these attempts. `at` is when one was sent, seconds from the start; the rest are columns."""
    with closing(open_file(path)) as db:
        db.execute("BEGIN")
        for number, given in enumerate(rows):
            row = {**_DEFAULTS, "attempt_id": f"a{number}", "call_id": f"c{number}", **given}
            row["at_ns"] = START_NS + round(row.pop("at") * 1e9)
            row.setdefault("model_served", row["model_asked"])
            marks = ",".join("?" * len(row))
            db.execute(f"INSERT INTO attempts ({','.join(row)}) VALUES ({marks})", tuple(row.values()))
        db.execute("COMMIT")
    return path


def replayed(path: Path, *what_ifs: str, **settings: Any) -> Replay:
    """All of a ledger, with these settings."""
    return replay(path, 0, what_ifs, config=Config(**settings))


def rows_of(path: Path) -> Rows:
    """All rows of a ledger."""
    return Rows(path, 0)
