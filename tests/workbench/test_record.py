from __future__ import annotations

import json
from pathlib import Path

import pytest

from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.errors import OutputError
from headway.jobs.result import errored, succeeded
from headway.ledger.price import Prices
from headway.ledger.sqlite import NoLedger
from headway.workbench.record import Course, Record, Stopwatch

MODEL = "claude-opus-4-5"


def opened(attempt: str, label: str, model: str = MODEL) -> OpenEntry:
    return OpenEntry(
        attempt,
        label,
        1,
        1_780_000_000 * 10**9,
        "anthropic",
        "p",
        model,
        "t",
        Class.BULK,
        "",
        "j",
        label,
        1,
        1,
        3.0,
        True,
    )


def closed(attempt: str, usage: Usage, outcome: str = "ok", total_ms: float = 20.0) -> Entry:
    return Entry(attempt, outcome, 200, "", None, usage, False, 8.0, total_ms)


def test_a_course_adds_up_the_attempts_and_keeps_the_times_of_the_last() -> None:
    prices = Prices()
    watch = Stopwatch(NoLedger(), prices)
    first, second = (
        Usage(output_tokens=10, model=MODEL),
        Usage(input_tokens=100, output_tokens=50, model=MODEL),
    )
    watch.open(opened("1", "a"))
    watch.close(closed("1", first, "failed", 99.0))
    watch.open(opened("2", "a"))
    watch.close(closed("2", second))
    at = 1_780_000_000 * 10**9
    cost = sum(prices.cost(MODEL, usage, at).nanousd or 0 for usage in (first, second))
    assert watch.take("a") == Course(2, 3.0, 8.0, 20.0, cost, True)
    assert watch.take("a") == Course()


def test_an_unknown_price_is_not_nothing() -> None:
    watch = Stopwatch(NoLedger(), Prices())
    watch.open(opened("1", "a", "no-such-model"))
    watch.close(closed("1", Usage(output_tokens=10)))
    assert watch.take("a").priced is False


def test_replies_come_back_with_their_course_and_their_sum(tmp_path: Path) -> None:
    record = Record(tmp_path / "replies.jsonl")
    record.courses = {
        "a": Course(attempts=1, cost_nanousd=7),
        "b": Course(attempts=2, cost_nanousd=5),
    }.__getitem__
    record.append("a", succeeded({"content": [{"type": "text", "text": "A"}]}))
    record.append("b", errored("invalid_request_error", "no"))
    record.close()
    again = Record(tmp_path / "replies.jsonl")
    again.look(drop_errored=False)
    replies, cost = again.replies()
    assert again.known == {"a", "b"}
    assert cost == 12
    assert replies["a"].text == "A"
    assert replies["b"].error == "invalid_request_error: no"
    again.look(drop_errored=True)
    assert again.known == {"a"}
    again.close()


def test_half_a_line_is_cut_off_and_a_second_reply_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    line = json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": {}}}) + "\n"
    path.write_text(line + line + line.replace('"a"', '"b"') + '{"custom_id": "c", "resu')
    record = Record(path)
    record.look(drop_errored=False)
    assert record.known == {"a", "b"}
    assert path.read_text().count("\n") == 2
    record.close()


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text("notes of mine\nmore\n")
    record = Record(path)
    with pytest.raises(OutputError, match="line 1: not a result"):
        record.look(drop_errored=False)
    record.close()
    assert path.read_text() == "notes of mine\nmore\n"


def test_a_reply_with_half_a_surrogate_pair_is_read_and_can_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    message = {"content": [{"type": "text", "text": "a\ud83d"}]}
    path.write_text(
        json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": message}}) + "\n"
    )
    record = Record(path)
    record.look(drop_errored=False)
    replies, _ = record.replies()
    record.close()
    assert replies["a"].text == "a?"
