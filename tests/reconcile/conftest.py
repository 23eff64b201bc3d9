"""A ledger of two days to compare with, and exports of it as the Console writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.ledger.sqlite import SqliteLedger

DAY = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 10**9
DAY_NS, HOUR_NS = 86_400 * 10**9, 3_600 * 10**9
OPUS, SONNET = "claude-opus-4-8", "claude-sonnet-4-5"
HEADER = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed"
)

Attempt = tuple[int, str, Usage, bool]  # when it was sent, model, usage, whether that is an estimate
Fill = Callable[[Iterable[Attempt]], Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Makes a ledger of attempts; each takes 10 s."""

    def make(attempts: Iterable[Attempt]) -> Path:
        path = tmp_path / "ledger.sqlite3"
        with SqliteLedger(path) as ledger:
            for number, (at_ns, model, usage, estimated) in enumerate(attempts):
                name = f"attempt-{number}"
                who = ("anthropic", "pool", model, "default", Class.STANDARD, "", "", "", 0, 0, 0.0, False)
                ledger.open(OpenEntry(name, f"call-{number}", 1, at_ns, *who))
                outcome = "cancelled" if estimated else "ok"
                ledger.close(Entry(name, outcome, 200, "", None, usage, estimated, None, 10_000.0))
        return path

    return make


def csv_line(
    date: str, model: str, fresh: int, output: int, *, read: int = 0, key: str = "main", tier: str = "message"
) -> str:
    """A line of the Console's usage page."""
    return f"{date},{model},{key},Default,{tier},≤ 200k,{fresh},0,0,{read},{output},0,global,"


def csv_of(*lines: str) -> bytes:
    return "\n".join((HEADER, *lines, "")).encode()
