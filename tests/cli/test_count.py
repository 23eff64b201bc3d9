"""`headway count` as it looks, and as scripts read it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from context.test_history import ledger
from headway.cli.main import app
from headway.errors import ConfigError, InputError, JobFileError
from headway.testing.emulated import Emulator

Command = Callable[..., Result]
MODEL = ("--model", "claude-opus-4-8")
TEXT = "The quick brown fox jumps over the lazy dog. " * 100
REQUEST = {"model": "claude-opus-4", "max_tokens": 500, "messages": [{"role": "user", "content": TEXT}]}


@pytest.fixture
def headway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`headway count` in a folder of its own, without key, ledger and ctok."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ctok", None)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, stdin: str | bytes | None = None, width: int = 80, **more: str) -> Result:
        known = {"HEADWAY_LEDGER": "none", "COLUMNS": str(width), **more}
        return CliRunner().invoke(app, ["count", *arguments], input=stdin, env=known)

    return run


def machine(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_text_is_counted_priced_and_held_against_the_limits(headway: Command) -> None:
    result = headway("-", *MODEL, "--tier", "tier-2", stdin=TEXT)
    assert result.exit_code == 0, result.output
    assert "text of one message" in result.stdout
    assert "claude-opus-4-8  (--model)" in result.stdout
    assert "nine times in ten" in result.stdout
    assert "fits:" in result.stdout
    assert "input tokens, tier-2" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("width", [80, 140])
def test_it_is_never_wider_than_the_terminal(headway: Command, width: int) -> None:
    request = {**REQUEST, "tools": [{"name": "a" * 300, "input_schema": {}}]}
    result = headway("-", "--explain", stdin=json.dumps(request), width=width)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= width


def test_machines_get_whole_numbers(headway: Command) -> None:
    found = machine(
        headway("-", "--json", "--limits", "requests=50/min,tokens=200k/min", stdin=json.dumps(REQUEST))
    )
    assert found["kind"] == "request"
    assert (found["model"], found["model_because"]) == ("claude-opus-4", "as the request says")
    tokens = found["tokens"]["tokens"]
    assert found["cost_nanousd"]["input"] == tokens * 15_000
    assert found["cost_nanousd"]["most"] == found["tokens"]["high"] * 15_000 + 500 * 75_000
    requests, both = found["limits"]
    assert (requests["unit"], requests["limit"], requests["amount"]) == ("requests", 50, 1)
    assert (both["unit"], both["amount"]) == ("tokens", tokens + found["expected_output_tokens"])
    assert found["window"]["verdict"] == "fits"


def test_flags_stand_in_for_what_a_request_says(headway: Command) -> None:
    asked = ("--model", "claude-haiku-4-5", "--max-tokens", "7", "--system", "Be brief. " * 50)
    plain, changed = (
        machine(headway("-", "--json", *more, stdin=json.dumps(REQUEST))) for more in ((), asked)
    )
    assert (changed["model"], changed["max_tokens"]) == ("claude-haiku-4-5", 7)
    assert changed["tokens"]["tokens"] > plain["tokens"]["tokens"] + 100


def test_without_a_model_it_takes_the_newest_opus_and_says_so(headway: Command) -> None:
    found = machine(headway("-", "--json", stdin="Hello"))
    assert found["model"] == "claude-opus-5-5"
    assert found["model_because"].startswith("the newest Opus")


def test_a_model_that_was_asked_before_is_the_default_and_its_replies_say_what_to_expect(
    headway: Command, tmp_path: Path
) -> None:
    path = ledger(tmp_path / "l.sqlite3", [("claude-haiku-4-5", 120)] * 30)
    found = machine(headway("-", "--json", stdin="Hello", HEADWAY_LEDGER=str(path)))
    assert (found["model"], found["model_because"]) == ("claude-haiku-4-5", "the one asked last")
    assert found["expected_output_tokens"] == 120
    assert "the mean of your last 30 replies" in headway("-", stdin="Hello", HEADWAY_LEDGER=str(path)).stdout


def test_a_full_context_against_a_bucket_of_its_size_is_warned_of(headway: Command) -> None:
    result = headway("-", "--model", "claude-opus-4", "--limits", "tokens=20k/min", stdin=TEXT * 40)
    assert "more than the whole bucket" in " ".join(result.stdout.split())
    result = headway("-", "--model", "claude-opus-4", "--max-tokens", "20000", stdin=TEXT * 250)
    assert "does not fit" in result.stdout
    assert "the API refuses it (400)" in " ".join(result.stdout.split())


def test_where_the_tokens_go(headway: Command) -> None:
    found = machine(headway("-", "--explain", "--json", stdin=json.dumps(REQUEST)))
    assert found["explanation"]["items"][0]["where"] == "messages[0]"
    result = headway("-", "--explain", stdin=json.dumps(REQUEST))
    assert "messages[0] user text" in result.stdout
    assert "added by the API: frame" in result.stdout


def test_a_job_is_summed_and_its_largest_lines_are_named(headway: Command, tmp_path: Path) -> None:
    lines = [
        {"custom_id": f"l{n}", "params": {**REQUEST, "messages": [{"role": "user", "content": "x " * n}]}}
        for n in range(1, 50)
    ]
    (tmp_path / "job.jsonl").write_text("\n".join(map(json.dumps, [*lines, lines[0]])))
    result = headway("job.jsonl", "--tier", "tier-1")
    assert result.exit_code == 0, result.output
    assert "a job of 49 lines" in result.stdout
    assert "l49" in result.stdout
    assert "1 line cannot be run" in result.stdout
    found = machine(headway("job.jsonl", "--json"))
    assert found["tokens_per_line"]["max"] == found["largest"][0]["tokens"]
    assert sum(each["lines"] for each in found["models"]) == found["lines"] == 49
    assert found["models"][0]["most_nanousd"] > found["models"][0]["cost_nanousd"] > 0


@pytest.mark.parametrize(
    ("arguments", "stdin", "kind", "said"),
    [
        (["missing.txt"], None, InputError, "no such file"),
        (["-"], "", InputError, "standard input is empty"),
        (["-", "--exact"], "Hello", ConfigError, "no API key"),
        (["-", "--tier", "tier-9"], "Hello", ConfigError, "unknown tier"),
        (["-", "--limits", "tokens=0"], "Hello", ConfigError, "limits"),
        (["-", "--exact"], '{"prompt": "Hello"}', ConfigError, "no API key"),
        (["-", "--explain"], '{"prompt": "Hello"}', InputError, "for one request"),
        (["-"], '{"prompt": ""}', JobFileError, "no line that can be counted"),
        (["-"], '{"messages": [{"role": "tool", "content": ""}]}', InputError, "OpenAI"),
    ],
)
def test_what_cannot_be_is_said_with_a_way_out(
    headway: Command, arguments: list[str], stdin: str | None, kind: type[Exception], said: str
) -> None:
    result = headway(*arguments, stdin=stdin)
    assert isinstance(result.exception, kind)
    assert said in str(result.exception)


def test_the_provider_counts_where_it_is_asked_to(headway: Command, headway_emulator: Emulator) -> None:
    there = {"ANTHROPIC_BASE_URL": headway_emulator.url, "ANTHROPIC_API_KEY": "any"}
    result = headway("-", "--exact", stdin=json.dumps(REQUEST), **there)
    assert result.exit_code == 0, result.output
    assert "(by the provider)" in result.stdout
    assert "own estimate was" in result.stdout
    found = machine(headway("-", "--exact", "--json", stdin=json.dumps(REQUEST), **there))
    assert found["tokens"]["low"] == found["tokens"]["high"]
    assert found["tokens"]["way"] == "provider"


def test_a_job_is_corrected_by_lines_that_the_provider_counts(
    headway: Command, headway_emulator: Emulator, tmp_path: Path
) -> None:
    there = {"ANTHROPIC_BASE_URL": headway_emulator.url, "ANTHROPIC_API_KEY": "any"}
    lines = [{"prompt": f"word{n} " * (20 + n), "model": "claude-opus-4-5"} for n in range(300)]
    (tmp_path / "job.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = machine(headway("job.jsonl", "--exact", "--json", **there))
    assert found["tokens"]["way"] == "provider"
    assert 100 < found["counted_lines"] <= 200
    estimated = machine(headway("job.jsonl", "--json"))
    assert estimated["counted_lines"] == 0
    width = {
        key: each["tokens"]["high"] - each["tokens"]["low"] for key, each in (("a", found), ("b", estimated))
    }
    assert width["a"] < width["b"]
    assert "lines were counted so" in headway("job.jsonl", "--exact", **there).stdout


def test_names_out_of_a_file_cannot_drive_the_terminal(headway: Command) -> None:
    request = {**REQUEST, "model": "claude\x1b[31m", "tools": [{"name": "\x1b]0;x\x07", "input_schema": {}}]}
    job = {"custom_id": "\x1b[2J", "params": {**REQUEST, "model": "claude-opus-4"}}
    broken = {"custom_id": "\x1b[2Jb", "params": {"model": "\x1b[31m"}}
    for stdin in (json.dumps(request), "\n".join(map(json.dumps, [job, {**job, "custom_id": "b"}, broken]))):
        for more in ([], ["--explain"]) if "custom_id" not in stdin else ([],):
            result = headway("-", *more, stdin=stdin)
            assert result.exit_code == 0, result.output
            assert "\x1b" not in result.output
            assert "\x07" not in result.output


@pytest.mark.parametrize(
    "wrong",
    ['"max_tokens": NaN', '"max_tokens": "100"', '"max_tokens": -5', '"max_tokens": true', '"model": 42'],
)
def test_a_request_that_the_api_would_refuse_is_refused_as_a_line_of_a_job_is(
    headway: Command, wrong: str
) -> None:
    result = headway("-", stdin='{"messages": [{"role": "user", "content": "Hi"}], ' + wrong + "}")
    assert isinstance(result.exception, InputError)
    assert "must be a" in str(result.exception)


def test_the_ledger_may_be_named(headway: Command, tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.sqlite3", [("claude-haiku-4-5", 120)] * 30)
    assert (
        machine(headway("-", "--json", "--ledger", str(path), stdin="Hello"))["model"] == "claude-haiku-4-5"
    )


def test_what_the_window_refuses_is_not_said_to_be_served(headway: Command) -> None:
    result = headway("-", "--model", "claude-opus-4", "--limits", "tokens=20k/min", stdin=TEXT * 1000)
    assert "does not fit" in result.stdout
    assert "serves it" not in " ".join(result.stdout.split())


def test_a_model_without_limits_is_named(headway: Command) -> None:
    said = " ".join(headway("-", "--model", "claude-nobody-9", stdin="Hello").stdout.split())
    assert "No limits are known for claude-nobody-9" in said
