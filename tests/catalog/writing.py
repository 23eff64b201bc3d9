"""Writes calls of our making into a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.ledger.sqlite import SqliteLedger

NOW = 1_795_500_000 * 10**9  # 2026-11-24
HOUR = 3600 * 10**9
_names: Iterator[int] = count(1)


def write(folder: Path, first_token_ms: list[float | None], **changes: Any) -> Path:
    """One call for each time to the first token; `changes` of what else is in their entries."""
    path = folder / "ledger.sqlite3"
    with SqliteLedger(path) as ledger:
        for first in first_token_ms:
            opened, closed = _entries(changes.get("attempt_id", f"a{next(_names)}"), first, **changes)
            ledger.open(opened)
            ledger.close(closed)
    return path


def _entries(name: str, first_token_ms: float | None, **changes: Any) -> tuple[OpenEntry, Entry]:
    opened = OpenEntry(
        attempt_id=name,
        call_id=changes.get("call_id", name),
        number=changes.get("number", 1),
        at_ns=changes.get("at_ns", NOW - HOUR),
        provider="anthropic",
        pool=changes.get("pool", "anthropic/opus-4"),
        model=changes.get("model", "claude-opus-4-20250514"),
        tenant="default",
        class_=Class.STANDARD,
        session="",
        job="",
        label="",
        estimated_input_tokens=1000,
        estimated_output_tokens=100,
        queued_ms=0.0,
        stream=changes.get("stream", True),
    )
    closed = Entry(
        attempt_id=name,
        outcome=changes.get("outcome", "ok"),
        status=changes.get("status", 200),
        error_type="",
        request_id=None,
        usage=changes.get("usage", Usage(input_tokens=1000, output_tokens=100)),
        estimated=changes.get("estimated", False),
        first_token_ms=first_token_ms,
        total_ms=changes.get("total_ms", 2500.0),
    )
    return opened, closed
