"""What the ledger measured: by model and day, exact money, and nothing that is chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.conftest import Fill
from catalog.writing import HOUR, NOW, write
from headway.catalog import timing
from headway.catalog.matrix import name_of
from headway.catalog.measured import by_day, by_model
from headway.catalog.timing import LEAST
from headway.core.call import Usage
from headway.errors import LedgerError

OPUS = "claude-opus-4-0"
DAY = 24 * HOUR


def test_a_ledger_that_is_not_there_is_empty_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite3"
    assert by_model(path, name_of, NOW) == {}
    assert not path.exists()


def test_a_file_that_is_no_ledger_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    path.write_text("not a ledger" * 1000)
    with pytest.raises(LedgerError):
        by_model(path, name_of, NOW)


def test_figures_of_one_model_in_all_its_spellings(fill: Fill) -> None:
    fill(20, model="claude-opus-4-0", first_token_ms=400.0, total_ms=2400.0)
    path = fill(20, model="claude-opus-4-20250514", first_token_ms=400.0, total_ms=2400.0)
    measured = by_model(path, name_of, NOW)
    assert list(measured) == [OPUS]
    found = measured[OPUS]
    assert (found.calls, found.attempts, found.replies, found.timed) == (40, 40, 40, 40)
    assert found.first_token_p50_ms == found.first_token_p90_ms == 400.0
    assert found.tokens_per_s_p50 == 50.0
    assert (found.failed, found.refused, found.cached) == (0.0, 0.0, 0.0)


def test_money_is_exact_and_counts_what_was_tried_again(fill: Fill) -> None:
    usage = Usage(input_tokens=1000, output_tokens=100)
    fill(20, usage=usage)
    fill(1, call_id="again", attempt_id="again-1", usage=usage)
    path = fill(1, call_id="again", attempt_id="again-2", number=2, usage=usage)
    found = by_model(path, name_of, NOW)[OPUS]
    each = 1000 * 15_000 + 100 * 75_000
    assert (found.calls, found.attempts) == (21, 22)
    assert found.nanousd_per_1000_calls == (22 * each * 1000 + 10) // 21


def test_errors_and_429s_are_told_apart(fill: Fill) -> None:
    fill(16)
    fill(2, outcome="rate_limited", status=429, usage=Usage())
    path = fill(2, outcome="overloaded", status=529, usage=Usage())
    found = by_model(path, name_of, NOW)[OPUS]
    assert (found.failed, found.refused) == (0.1, 0.1)


def test_the_part_read_from_the_cache_is_of_all_input(fill: Fill) -> None:
    path = fill(LEAST, usage=Usage(input_tokens=100, cache_read_tokens=800, cache_write_5m_tokens=100))
    assert by_model(path, name_of, NOW)[OPUS].cached == 0.8


def test_of_too_few_nothing_is_said(fill: Fill) -> None:
    path = fill(LEAST - 1)
    found = by_model(path, name_of, NOW)[OPUS]
    assert found.calls == LEAST - 1
    said = (found.first_token_p50_ms, found.tokens_per_s_p50, found.failed, found.refused, found.cached)
    assert said == (None,) * 5
    assert found.nanousd_per_1000_calls is None


def test_a_call_without_a_price_leaves_the_cost_open(fill: Fill) -> None:
    path = fill(LEAST, model="model-of-nobody", pool="anthropic/model-of-nobody")
    found = by_model(path, name_of, NOW)["model-of-nobody"]
    assert found.first_token_p50_ms == 500.0
    assert found.nanousd_per_1000_calls is None


def test_calls_that_draw_on_no_messages_are_no_calls_of_a_model(fill: Fill) -> None:
    fill(LEAST, pool="anthropic/count_tokens")
    fill(LEAST, pool="")
    path = fill(LEAST, pool="anthropic/batches")
    assert by_model(path, name_of, NOW) == {}


def test_only_streamed_and_true_replies_are_timed(fill: Fill) -> None:
    fill(LEAST, stream=False, first_token_ms=None)
    path = fill(LEAST, estimated=True)
    found = by_model(path, name_of, NOW)[OPUS]
    assert found.timed == 0
    assert found.first_token_p50_ms is None
    assert found.estimated == LEAST


def test_the_last_thirty_days_count_and_days_are_told_apart(fill: Fill) -> None:
    fill(LEAST, at_ns=NOW - 31 * DAY)
    fill(LEAST, at_ns=NOW - 2 * DAY, first_token_ms=700.0)
    path = fill(LEAST, at_ns=NOW - DAY, first_token_ms=900.0)
    assert by_model(path, name_of, NOW)[OPUS].calls == 2 * LEAST
    days = by_day(path, name_of, OPUS, NOW)
    assert [(day, each.first_token_p50_ms) for day, each in days.items()] == [
        ("2026-11-22", 700.0),
        ("2026-11-23", 900.0),
        ("all", 700.0),
    ]
    assert days["all"] == replace(by_model(path, name_of, NOW)[OPUS], key="all")
    assert by_day(path, name_of, "claude-opus-5", NOW) == {}


def test_many_calls_of_another_model_since_then_hide_nothing(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "AN_HOUR", 25)
    monkeypatch.setattr(timing, "ENOUGH", 30)
    fill(40, at_ns=NOW - 2 * DAY, first_token_ms=700.0)
    fill(30, at_ns=NOW - DAY, first_token_ms=900.0)
    path = fill(120, model="claude-opus-5", pool="anthropic/opus", first_token_ms=300.0)
    found = by_model(path, name_of, NOW)
    assert (found[OPUS].calls, found["claude-opus-5"].calls) == (70, 120)
    assert (found[OPUS].first_day, found[OPUS].last_day) == ("2026-11-22", "2026-11-23")
    assert (found[OPUS].timed, found[OPUS].timed_from) == (50, "2026-11-22")
    assert (found["claude-opus-5"].timed, found["claude-opus-5"].first_token_p90_ms) == (25, 300.0)
    days = by_day(path, name_of, OPUS, NOW)
    assert [days[day].calls for day in days] == [40, 30, 70]
    assert days["all"] == replace(found[OPUS], key="all")


def test_of_days_that_say_enough_no_earlier_one_is_read(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "ENOUGH", 20)
    fill(30, at_ns=NOW - 2 * DAY, first_token_ms=700.0)
    path = fill(30, at_ns=NOW - DAY, first_token_ms=900.0)
    found = by_model(path, name_of, NOW)[OPUS]
    assert (found.calls, found.timed, found.timed_from) == (60, 30, "2026-11-23")
    assert found.first_token_p50_ms == 900.0


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(1.0, 60_000.0), min_size=LEAST, max_size=60))
def test_quantiles_are_those_of_the_replies(
    tmp_path_factory: pytest.TempPathFactory, times: list[float]
) -> None:
    path = write(tmp_path_factory.mktemp("ledger"), list(times))
    found = by_model(path, name_of, NOW)[OPUS]
    ordered = sorted(times)
    exact = ordered[-(-len(ordered) // 2) - 1]
    assert found.first_token_p50_ms == exact
    assert found.first_token_p90_ms in ordered[-(-len(ordered) * 9 // 10) - 1 :]
