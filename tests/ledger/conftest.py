"""Entries to write down, and the prices, loaded once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.ledger.price import Prices

NOV_2026 = 1_795_000_000 * 10**9  # 2026-11-18


@pytest.fixture(scope="session")
def prices() -> Prices:
    return Prices()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "ledger.sqlite3"


Maker = Callable[..., Any]


@pytest.fixture
def opened() -> Callable[..., OpenEntry]:
    def make(attempt_id: str = "a1", **changes: Any) -> OpenEntry:
        fields: dict[str, Any] = {
            "attempt_id": attempt_id,
            "call_id": f"call-{attempt_id}",
            "number": 1,
            "at_ns": NOV_2026,
            "provider": "anthropic",
            "pool": "org/opus",
            "model": "claude-opus-4",
            "tenant": "alice",
            "class_": Class.BULK,
            "session": "s1",
            "job": "night",
            "label": "line 1",
            "estimated_input_tokens": 1100,
            "estimated_output_tokens": 300,
            "queued_ms": 12.5,
            "stream": False,
        }
        return OpenEntry(**{**fields, **changes})

    return make


@pytest.fixture
def ended() -> Callable[..., Entry]:
    def make(attempt_id: str = "a1", **changes: Any) -> Entry:
        fields: dict[str, Any] = {
            "attempt_id": attempt_id,
            "outcome": "ok",
            "status": 200,
            "error_type": "",
            "request_id": "req_1",
            "usage": Usage(
                input_tokens=1000,
                output_tokens=200,
                model="claude-opus-4-20250514",
                raw={"input_tokens": 1000, "output_tokens": 200},
            ),
            "estimated": False,
            "first_token_ms": 90.0,
            "total_ms": 2000.0,
        }
        return Entry(**{**fields, **changes})

    return make
