"""What a ledger holds, as calls in the order in which they came."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.core.call import Class
from headway.errors import InputError, LedgerError
from headway.planner.replay_rows import UNKNOWN_CEILING, Rows
from planner.replays import START_NS, a_ledger, rows_of


def test_a_call_came_when_it_began_to_wait_and_calls_come_in_that_order(tmp_path: Path) -> None:
    path = a_ledger(
        tmp_path / "l", [{"at": 100.0, "queued_ms": 0.0}, {"at": 120.0, "queued_ms": 50_000.0, "tenant": "b"}]
    )
    calls = list(rows_of(path))
    assert [(asked.at, asked.tenant) for asked in calls] == [(0.0, "b"), (30.0, "default")]


def test_what_a_call_took_is_that_of_the_attempt_that_was_answered(tmp_path: Path) -> None:
    nothing = {"input_tokens": 0, "output_tokens": 0}
    rows = [
        {"at": 0.0, "call_id": "x", "outcome": "overloaded", "status": 529, "total_ms": 50.0, **nothing},
        {"at": 5.0, "call_id": "x", "number": 2, "input_tokens": 7, "output_tokens": 9, "total_ms": 3000.0},
        {"at": 6.0, "call_id": "y", "input_tokens": 11},
    ]  # fmt: skip
    first, second = rows_of(a_ledger(tmp_path / "l", rows))
    assert (first.at, first.input, first.output, first.total_s, first.is_guessed) == (0.0, 7, 9, 3.0, False)
    assert second.input == 11


def test_a_call_that_was_never_answered_is_taken_for_what_was_expected_of_it(tmp_path: Path) -> None:
    nothing = {"input_tokens": 0, "output_tokens": 0, "cost_nanousd": 0, "estimated_input_tokens": 400}
    path = a_ledger(
        tmp_path / "l", [{"at": 0.0, "outcome": "rate_limited", "status": 429, "total_ms": 30.0, **nothing}]
    )
    (asked,) = rows_of(path)
    assert asked.is_guessed
    assert (asked.input, asked.output, asked.cost) == (400, 50, None)
    assert asked.total_s == pytest.approx(1.0 + 50 / 60.0)


def test_a_request_that_was_at_fault_itself_is_so_again(tmp_path: Path) -> None:
    path = a_ledger(
        tmp_path / "l",
        [{"at": 0.0, "outcome": "rejected", "status": 400, "input_tokens": 0, "output_tokens": 0}],
    )
    (asked,) = rows_of(path)
    assert asked.rejected
    assert not asked.is_guessed


def test_what_an_old_ledger_does_not_say_is_assumed(tmp_path: Path) -> None:
    old = {"max_output_tokens": 0, "queued_ms": None, "first_token_ms": None, "class": "elsewhere"}
    (asked,) = rows_of(a_ledger(tmp_path / "l", [{"at": 0.0, **old}]))
    assert asked.most_output == UNKNOWN_CEILING
    assert asked.class_ is Class.STANDARD
    assert asked.first_s == pytest.approx(0.6)


def test_only_the_range_is_read(tmp_path: Path) -> None:
    path = a_ledger(tmp_path / "l", [{"at": float(second)} for second in range(10)])
    rows = Rows(path, START_NS + 3 * 10**9, START_NS + 6 * 10**9)
    assert rows.survey.total == len(list(rows)) == 3
    assert rows.survey.begins_ns == START_NS + 3 * 10**9
    assert rows.survey.ends_ns == START_NS + 7 * 10**9


def test_rows_can_be_read_again(tmp_path: Path) -> None:
    rows = rows_of(a_ledger(tmp_path / "l", [{"at": float(second)} for second in range(5)]))
    assert [asked.at for asked in rows] == [asked.at for asked in rows]


def test_no_calls_and_no_ledger_are_said(tmp_path: Path) -> None:
    path = a_ledger(tmp_path / "l", [{"at": 0.0}])
    with pytest.raises(InputError, match="no calls in this time"):
        Rows(path, START_NS + 10**12)
    with pytest.raises(InputError, match="no ledger at"):
        Rows(tmp_path / "not there", 0)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l"
    path.write_bytes(b"no ledger at all" * 100)
    with pytest.raises(LedgerError, match="cannot read the ledger"):
        Rows(path, 0)
