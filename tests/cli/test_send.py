from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from headway.cli.main import app
from headway.cli.send import _say_waiting
from headway.core.call import Call, Estimate, Identity
from headway.core.events import Waiting
from headway.errors import ConfigError, InputError, ProviderError
from headway.testing.emulated import Emulator

Command = Callable[..., Result]
MODEL = ("--model", "claude-opus-4-8")


@pytest.fixture
def headway(headway_emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`headway send` against an emulator, with a ledger of its own."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, stdin: str | bytes | None = None, key: str = "sk-ant-any") -> Result:
        known = {
            "ANTHROPIC_BASE_URL": headway_emulator.url,
            "ANTHROPIC_API_KEY": key,
            "HEADWAY_LEDGER": str(tmp_path / "ledger.sqlite3"),
        }
        return CliRunner().invoke(app, ["send", *arguments], input=stdin, env=known)

    return run


def test_the_answer_is_the_output_and_what_it_took_goes_to_stderr(headway: Command) -> None:
    result = headway("Hello", *MODEL)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("the level of each limit")
    assert result.stderr.count("\n") == 1
    assert "claude-opus-4-8, 8 tokens in, " in result.stderr
    assert ", $0.0" in result.stderr
    assert "waited 0.0 s" in result.stderr


def test_an_answer_that_was_cut_off_says_so(headway: Command) -> None:
    result = headway("Hello", *MODEL, "--max-tokens", "5")
    assert "cut off at 5 tokens: ask for more with --max-tokens" in result.stderr


def test_json_is_one_object_with_exact_money(headway: Command) -> None:
    said = json.loads(headway("Hello", *MODEL, "--max-tokens", "5", "--json").stdout)
    assert said["tokens"] == {
        "input": 8,
        "cache_read": 0,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
        "output": 5,
    }
    assert said["cost_nanousd"] == 8 * 5_000 + 5 * 25_000
    assert said["is_truncated"] is True
    assert said["message"]["content"][0]["text"] == said["text"]


def test_the_question_may_come_from_standard_input(headway: Command) -> None:
    asked = json.loads(headway("-", *MODEL, "--json", stdin="How are you?\n" * 50).stdout)
    assert asked["tokens"]["input"] > 150
    broken = headway("-", *MODEL, stdin=b"\xff\xfe")
    assert isinstance(broken.exception, InputError)


def test_it_is_on_file_like_any_call(headway: Command, tmp_path: Path) -> None:
    headway("Hello", *MODEL)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as ledger:
        assert ledger.execute("SELECT count(*), sum(cost_nanousd) > 0 FROM attempts").fetchall() == [(1, 1)]


def test_emulated_it_needs_no_key_and_is_not_on_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["send", "Hello", *MODEL, "--emulate", "--max-tokens", "5"])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert not list(tmp_path.rglob("*.sqlite3"))


def test_what_goes_wrong_is_an_error_of_ours(headway: Command) -> None:
    assert isinstance(headway("Hello", *MODEL, key="").exception, ConfigError)
    assert isinstance(headway(" ", *MODEL).exception, InputError)
    assert headway("Hello").exit_code == 2


@pytest.mark.headway_profile("any/unlimited?key=sk-ant-right")
def test_a_wrong_key_is_said_with_what_to_do(headway: Command) -> None:
    error = headway("Hello", *MODEL, key="sk-ant-wrong").exception
    assert isinstance(error, ProviderError)
    assert (error.status, error.exit_code) == (401, 4)
    assert "ANTHROPIC_API_KEY" in error.hint


@pytest.mark.parametrize(
    ("wait_s", "said"),
    [
        (12.4, "waiting for output_tokens, clears in 12 s\n"),
        (float("inf"), "waiting for output_tokens\n"),
        (0.5, ""),
    ],
)
def test_a_wait_is_said_while_it_lasts_if_it_is_worth_a_line(wait_s: float, said: str) -> None:
    call = Call("c-1", "/v1/messages", b"", Identity("anthropic/opus-4", "claude-opus-4-8"), Estimate(8.0, 5))
    out = StringIO()
    _say_waiting(Waiting(call, "output_tokens", -3.0, wait_s, 0), Console(file=out))
    assert out.getvalue() == said
