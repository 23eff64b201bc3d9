"""The provider's own count, from an emulator: paced in a pool of its own, free, and errors are ours."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from headway.context.exact import Counter
from headway.errors import ConfigError, ConnectionFailed, ProviderError
from headway.runtime import Engine
from headway.testing.emulated import Emulator

REQUEST = {
    "model": "claude-opus-4-5",
    "max_tokens": 100,
    "stream": True,
    "messages": [{"role": "user", "content": "Hello there. " * 100}],
}


def test_the_provider_counts_in_its_own_pool_and_free_of_charge(
    headway_emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.sqlite3"
    with (
        Engine(base_url=headway_emulator.url, api_key="any", ledger=str(path)) as engine,
        Counter(engine) as counter,
    ):
        found = counter.count(REQUEST)
    assert found.way == "provider"
    assert 200 < found.low == found.tokens == found.high < 500
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT pool, cost_nanousd FROM attempts").fetchall() == [
            ("anthropic/count_tokens", 0)
        ]


def test_what_the_provider_refuses_is_said(headway_emulator: Emulator) -> None:
    with (
        Engine(base_url=headway_emulator.url, api_key="any", ledger="none") as engine,
        Counter(engine) as counter,
        pytest.raises(ProviderError, match="messages"),
    ):
        counter.count({**REQUEST, "messages": []})


def test_a_provider_that_is_not_there_is_said() -> None:
    with (
        Engine(base_url="http://127.0.0.1:9", api_key="any", ledger="none", retries=0) as engine,
        Counter(engine) as counter,
        pytest.raises(ConnectionFailed, match="no count"),
    ):
        counter.count(REQUEST)


def test_without_a_key_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    with (
        Engine(base_url="http://127.0.0.1:9", ledger="none") as engine,
        pytest.raises(ConfigError, match="no API key"),
    ):
        Counter(engine)
