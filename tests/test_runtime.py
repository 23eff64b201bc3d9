"""The engine that users hold: its settings, its ledger, its end, and who shares it."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import pytest

import headway
from headway.config import Config
from headway.errors import ConfigError, LedgerError
from headway.ledger.sqlite import NoLedger, SqliteLedger
from headway.runtime import Engine, shared

NOWHERE = "/proc/no/such/place/ledger.sqlite3"


def test_the_ledger_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_LEDGER", str(tmp_path / "mine.sqlite3"))
    with Engine() as engine:
        assert isinstance(engine.ledger, SqliteLedger)
        assert engine.ledger.path == tmp_path / "mine.sqlite3"
    assert (tmp_path / "mine.sqlite3").exists()


def test_none_keeps_no_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_LEDGER", "none")
    with Engine() as engine:
        assert isinstance(engine.ledger, NoLedger)


def test_a_ledger_that_was_named_and_cannot_be_opened_is_an_error() -> None:
    with pytest.raises(LedgerError):
        Engine(ledger=NOWHERE)


def test_a_default_ledger_that_cannot_be_opened_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, headway_emulator: Any
) -> None:
    monkeypatch.delenv("HEADWAY_LEDGER", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/no/such/place")
    with caplog.at_level(logging.WARNING, logger="headway"), Engine() as engine:
        with anthropic.Anthropic(
            base_url=headway_emulator.url, api_key="any", http_client=headway.client(engine=engine)
        ) as sdk:
            sdk.messages.create(
                model="claude-opus-4-5", max_tokens=10, messages=[{"role": "user", "content": "Hello"}]
            )
        assert isinstance(engine.ledger, NoLedger)
    assert "calls are not recorded" in caplog.text


def test_settings_that_contradict_are_refused() -> None:
    with pytest.raises(ConfigError):
        Engine(Config(ledger="none"), tier="tier-1")
    with pytest.raises(ConfigError), Engine(ledger="none") as engine:
        headway.client(engine=engine, tier="tier-1")
    with pytest.raises(ConfigError, match="teir"):
        headway.client(teir="tier-1")


def test_closing_twice_does_nothing_and_calls_still_go_after_it(
    tmp_path: Path, headway_emulator: Any
) -> None:
    engine = Engine(ledger=str(tmp_path / "ledger"))
    engine.close()
    engine.close()
    with anthropic.Anthropic(
        base_url=headway_emulator.url, api_key="any", http_client=headway.client(engine=engine)
    ) as sdk:
        sdk.messages.create(
            model="claude-opus-4-5", max_tokens=10, messages=[{"role": "user", "content": "Hello"}]
        )
    assert engine.core.in_flight == 0


def test_one_origin_has_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_LEDGER", "none")
    one = shared("http://one.test")
    assert shared("http://one.test") is one
    assert shared("http://two.test") is not one


def test_names_of_calls_never_come_twice(tmp_path: Path) -> None:
    with Engine(ledger="none") as one, Engine(ledger="none") as two:
        names = [engine.new_id() for engine in (one, two) for _ in range(100)]
    assert len(set(names)) == 200


def test_levels_and_usage_are_there_before_the_first_call() -> None:
    with Engine(ledger="none", limits="requests=60") as engine:
        assert engine.usage() == ()
        assert engine.levels() == {}


def test_importing_headway_imports_nothing_that_it_does_not_need() -> None:
    script = "import sys, headway; print([m for m in ('httpx2', 'anthropic', 'sqlite3', 'uvicorn') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"


def test_a_program_that_ends_has_its_calls_on_file(tmp_path: Path, headway_emulator: Any) -> None:
    script = f"""
import anthropic, headway
sdk = anthropic.Anthropic(base_url={headway_emulator.url!r}, api_key="any", http_client=headway.client())
sdk.messages.create(model="claude-opus-4-5", max_tokens=10, messages=[{{"role": "user", "content": "Hello"}}])
stream = sdk.messages.create(
    model="claude-opus-4-5", max_tokens=10, stream=True, messages=[{{"role": "user", "content": "Hello"}}])
next(iter(stream))
print(headway.engine({headway_emulator.url!r}).usage()[0].attempts)
"""
    environment = {"HEADWAY_LEDGER": str(tmp_path / "ledger"), "PATH": "", "HEADWAY_CONFIG": "none"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("2", "")
    with SqliteLedger(tmp_path / "ledger"):  # opening it sweeps up what programs left under way
        pass
    with closing(sqlite3.connect(tmp_path / "ledger")) as db:
        rows = db.execute("SELECT outcome, estimated FROM attempts ORDER BY at_ns").fetchall()
    assert rows == [("ok", 0), ("lost", 1)]
