"""Amounts are short and true, and axes show round ones."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headway.charts.measure import Measure, ticks, written

MEASURES: tuple[Measure, ...] = ("count", "seconds", "usd", "share", "moment")
DAY = 86400.0
NOON = 1_795_521_600.0  # 2026-11-24 12:00 UTC


@pytest.mark.parametrize(
    ("value", "measure", "text"),
    [
        (0, "count", "0"),
        (999, "count", "999"),
        (30_000, "count", "30k"),
        (999_600, "count", "1M"),
        (4_560_000, "count", "4.56M"),
        (0.25, "count", "0.25"),
        (0, "seconds", "0s"),
        (0.25, "seconds", "250ms"),
        (59, "seconds", "59s"),
        (80, "seconds", "1m 20s"),
        (3600, "seconds", "1h"),
        (3600 * 26, "seconds", "1d 2h"),
        (-80, "seconds", "-1m 20s"),
        (0, "usd", "$0"),
        (41.2, "usd", "$41.20"),
        (0.125, "usd", "$0.125"),
        (0.00012, "usd", "$0.00012"),
        (1_234_567, "usd", "$1.23M"),
        (12_345, "usd", "$12,345"),
        (0.45, "share", "45%"),
        (NOON, "moment", "2026-11-24 12:00"),
        (math.nan, "usd", "-"),
        (math.inf, "count", "-"),
    ],
)
def test_amounts_as_they_are_written(value: float, measure: Measure, text: str) -> None:
    assert written(value, measure) == text


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9), st.sampled_from(MEASURES), st.integers(2, 9))
def test_ticks_are_few_inside_and_evenly_spaced(
    low: float, length: float, measure: Measure, most: int
) -> None:
    high = low + length
    assume(high - low > 1e-6 * abs(low))  # nothing that is shown on an axis is closer
    marks = [place for place, _ in ticks(low, high, measure, most)]
    slack = (high - low) * 1e-6
    assert len(marks) <= most
    assert all(low - slack <= place <= high + slack for place in marks)
    steps = [after - before for before, after in pairwise(marks)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-6, abs_tol=slack) for step in steps)


def test_time_is_cut_where_clocks_cut_it() -> None:
    assert [text for _, text in ticks(0, 3600, "seconds", 7)] == [
        "0s",
        "10m",
        "20m",
        "30m",
        "40m",
        "50m",
        "1h",
    ]
    assert [text for _, text in ticks(NOON, NOON + 7200, "moment", 5)] == [
        "12:00",
        "12:30",
        "13:00",
        "13:30",
        "14:00",
    ]
    assert [text for _, text in ticks(NOON, NOON + 3 * DAY, "moment", 4)] == ["11-25", "11-26", "11-27"]


def test_an_axis_of_one_value_has_one_mark() -> None:
    assert ticks(5, 5, "count") == [(5, "5")]
