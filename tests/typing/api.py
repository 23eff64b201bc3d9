"""What users write against headway, under `mypy --strict`. Nothing here is run: the type checker is the test."""

from __future__ import annotations

from typing import Any, assert_type

import pytest

from headway.config import Config, load
from headway.errors import BudgetExceeded, ConnectionFailed, HeadwayError, WouldWaitTooLong
from headway.testing.emulated import Emulator, EmulatorProcess, Profile, parse_profile, spawn


def emulate_in_a_thread() -> None:
    with Emulator("claude-opus-4/tier-4?seed=7") as emulator:
        assert_type(emulator, Emulator)
        assert_type(emulator.url, str)
        assert_type(emulator.stats(markers=True), dict[str, Any])
        assert_type(emulator.profile, Profile)
        emulator.reset()
    with Emulator(parse_profile("any/unlimited"), host="127.0.0.1", port=0) as emulator:
        assert_type(emulator.profile.burst_s, float)


def emulate_in_a_process() -> None:
    with spawn("any/unlimited") as emulator:
        assert_type(emulator, EmulatorProcess)
        assert_type(emulator.pid, int)


@pytest.mark.headway_profile("claude-opus-4/tier-1?overloaded=0.1")
def a_test(headway_emulator: Emulator) -> None:
    assert headway_emulator.stats()["completed"] == 0


def settings() -> Config:
    config = load({"ANTHROPIC_API_KEY": "any"}, base_url="http://127.0.0.1:8400", ledger="none")
    assert_type(config.retries, int)
    assert_type(config.headers(), list[tuple[bytes, bytes]])
    return config


def explain(error: HeadwayError) -> str:
    match error:
        case WouldWaitTooLong():
            assert_type(error.wait_s, float)
        case BudgetExceeded():
            assert_type(error.cap, float)
        case ConnectionFailed():
            assert_type(error.sent, bool)
    assert_type(error.exit_code, int)
    return f"{error}. {error.hint}"
