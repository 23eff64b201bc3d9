from __future__ import annotations

import json
from pathlib import Path

import pytest

from headway.errors import InputError, OutputError
from headway.workbench.check import Check
from headway.workbench.record import Course, Reply
from headway.workbench.rows import is_ours, rows, write_rows
from headway.workbench.trials import trials
from headway.workbench.variants import Input, Variant

from .made import row

TRIALS = trials(
    [Variant("a", "{x}", None, False, {"model": "claude-opus-4-5", "max_tokens": 9})],
    [Input("one", 1, {"x": "1"}), Input("two", 2, {"x": "2"}), Input("three", 3, {"x": "3"})],
    1,
)
COURSE = Course(attempts=2, queued_ms=5.0, first_token_ms=7.0, total_ms=9.0, cost_nanousd=11)
MESSAGE = {
    "model": "claude-opus-4-5-20251101",
    "stop_reason": "max_tokens",
    "content": [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "A"},
        {"type": "text", "text": "B"},
    ],
    "usage": {
        "input_tokens": 10,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 30,
        "output_tokens": 4,
    },
}
REPLIES = {
    TRIALS[0].id: Reply(COURSE, MESSAGE),
    TRIALS[1].id: Reply(COURSE, None, "invalid_request_error: no"),
}


def test_a_row_says_what_the_call_took_and_how_it_went() -> None:
    (first, second) = rows(TRIALS, REPLIES, None)
    assert (first.input_tokens, first.cache_read_tokens, first.cache_write_tokens, first.output_tokens) == (
        60,
        20,
        30,
        4,
    )
    assert (first.output, first.stop_reason, first.cost_nanousd, first.attempts) == (
        "AB",
        "max_tokens",
        11,
        2,
    )
    assert (first.first_token_ms, first.total_ms, first.queued_ms) == (7.0, 9.0, 5.0)
    assert (second.succeeded, second.error, second.output) == (False, "invalid_request_error: no", "")
    assert first.score is None


def test_a_call_that_failed_does_not_pass_and_one_that_is_not_there_is_no_row() -> None:
    found = list(rows(TRIALS, REPLIES, Check("any", lambda _text, _fields: True)))
    assert [each.score for each in found] == [1.0, 0.0]


def test_a_call_that_the_api_failed_says_nothing_about_the_prompt() -> None:
    reply = Reply(COURSE, None, "overloaded_error: busy")
    (found,) = rows(TRIALS, {TRIALS[0].id: reply}, Check("any", lambda _text, _fields: True))
    assert (found.succeeded, found.failed_there, found.score) == (False, True, None)


def test_a_call_without_a_price_costs_unknown_and_not_nothing() -> None:
    reply = Reply(Course(attempts=1, priced=False), MESSAGE)
    (found,) = rows(TRIALS, {TRIALS[0].id: reply}, None)
    assert found.cost_nanousd is None


def test_the_input_of_a_tool_is_the_output_where_there_is_no_text() -> None:
    block = {"type": "tool_use", "name": "t", "input": {"n": 1}}
    assert Reply(COURSE, {"content": [block]}).text == '{"n":1}'


def test_a_check_that_breaks_stops_with_its_own_error() -> None:
    def broken(_text: str, _fields: object) -> bool:
        raise InputError("mine")

    with pytest.raises(InputError, match="mine"):
        list(rows(TRIALS, REPLIES, Check("x", broken)))


def test_rows_are_written_whole_and_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write_rows(path, [row("a", 1), row("b", 1)])
    write_rows(path, [row("c", 1)])
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["variant"] == "c"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text", ["notes of mine\n", "\n[[variant]]\n", '{"custom_id": "a"}\n', "[1]\n", "\x00\xff"]
)
def test_a_file_that_holds_something_else_is_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(text, "utf-8")
    assert not is_ours(path)
    with pytest.raises(OutputError, match="something else"):
        write_rows(path, [row("a", 1)])
    assert path.read_text("utf-8") == text


def test_a_check_that_takes_too_long_is_ended_with_variant_and_input() -> None:
    def forever(_text: str, _fields: object) -> bool:
        while True:
            pass

    with pytest.raises(InputError, match=r"variant 'a' for input 'one' \(line 1\)"):
        list(rows(TRIALS, REPLIES, Check("python x:y", forever, timeout_s=0.05)))
