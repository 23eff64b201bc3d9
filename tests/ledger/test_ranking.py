"""The first lines, and what was used up to each."""

from __future__ import annotations

import pytest

from headway.errors import InputError
from headway.ledger.columns import HOUR_NS
from headway.ledger.ranking import Running, by_time, ranked, running
from headway.ledger.report import Report, read_report
from ledger.test_rollup import DAY0, Attempt, ledger

START = DAY0 * HOUR_NS
DAY = 24 * HOUR_NS


def report(by: str) -> Report:
    """a: dear; b: many tokens, two calls; c: waited long."""
    with ledger(
        Attempt("a", 1, START, "a", cost=100, tokens=3),
        Attempt("b", 1, START, "b", cost=10, tokens=900),
        Attempt("b2", 1, START + DAY, "b", cost=20, tokens=90),
        Attempt("c", 1, START + DAY, "c", cost=1, tokens=3, queued_ms=5000.0),
    ) as db:
        return read_report(db, by)


@pytest.mark.parametrize(
    ("sort", "order"),
    [("cost", "abc"), ("tokens", "bac"), ("calls", "bac"), ("waiting", "cab"), (None, "abc")],
)
def test_the_most_comes_first(sort: str, order: str) -> None:
    lines = ranked(report("tenant"), sort, None).lines  # type: ignore[arg-type]  # one of them
    assert "".join(line.key for line in lines) == order


def test_of_two_words_the_first_is_sorted_and_its_times_stay_in_order() -> None:
    lines = ranked(report("tenant,day"), "tokens", 2).lines
    assert [(line.key, line.second[-2:]) for line in lines] == [("b", "04"), ("b", "05"), ("a", "04")]


def test_the_total_stays_that_of_all() -> None:
    whole = report("tenant")
    assert ranked(whole, "cost", 1).total == whole.total
    assert len(ranked(whole, "cost", 1).lines) == 1
    assert len(ranked(whole, "cost", 99).lines) == 3


def test_running_totals_are_of_the_first_word_or_of_all() -> None:
    assert running(report("day")) == (
        Running(2, 903 + 301, 110),
        Running(4, 903 + 301 + 93 + 31, 131),
    )
    by_tenant = report("tenant,day")
    found = dict(
        zip([(line.key, line.second[-2:]) for line in by_tenant.lines], running(by_tenant), strict=True)
    )
    assert found["b", "04"] == Running(1, 1200, 10)
    assert found["b", "05"] == Running(2, 1320, 30)
    assert found["c", "05"] == Running(1, 4, 1)


@pytest.mark.parametrize(
    ("by", "with_time"),
    [
        ("day", "day"),
        ("hour", "hour"),
        ("tenant", "tenant,day"),
        ("session", "session,hour"),
        ("model,hour", "model,hour"),
    ],
)
def test_running_totals_have_a_time(by: str, with_time: str) -> None:
    assert by_time(by) == with_time


def test_two_words_without_a_time_have_none() -> None:
    with pytest.raises(InputError, match="no time"):
        by_time("tenant,model")
