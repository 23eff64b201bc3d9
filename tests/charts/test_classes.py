"""Histograms lose no value, and quantiles are those of the values."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.charts.classes import Classes, classes, quantile

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200)
POSITIVE = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=200)


@given(VALUES, st.integers(1, 60))
def test_every_value_is_in_one_class(values: list[float], most: int) -> None:
    found = classes(values, most)
    assert sum(found.counts) == len(values)
    assert len(found.counts) <= most
    assert len(found.edges) == len(found.counts) + 1
    slack = 1e-9 * (max(values) - min(values)) + 1e-12
    assert math.isclose(found.edges[0], min(values), abs_tol=slack)
    assert math.isclose(found.edges[-1], max(values), abs_tol=slack)


@given(POSITIVE, st.integers(1, 60))
def test_classes_of_equal_ratio_lose_nothing_either(values: list[float], most: int) -> None:
    found = classes(values, most, log=True)
    assert sum(found.counts) == len(values)
    assert list(found.edges) == sorted(found.edges)


def test_what_cannot_be_placed_is_left_out() -> None:
    assert classes([1.0, math.nan, math.inf, 2.0], 2).counts == (1, 1)
    assert classes([0.0, -1.0, 1.0, 2.0], 9, log=True).counts == classes([1.0, 2.0], 9, log=True).counts
    assert classes([], 5) == Classes((0.0, 1.0), (0,))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_the_median_is_the_median(values: list[float]) -> None:
    assert math.isclose(quantile(values, 0.5), statistics.median(values), rel_tol=1e-9, abs_tol=1e-9)
    assert quantile(values, 0.0) == min(values)
    assert quantile(values, 1.0) == max(values)


def test_the_quantile_of_nothing_is_no_number() -> None:
    assert math.isnan(quantile([math.nan], 0.5))


@pytest.mark.parametrize(("share", "wanted"), [(0.1, 1.9), (0.5, 5.5), (0.9, 9.1)])
def test_quantiles_lie_between_values_by_proportion(share: float, wanted: float) -> None:
    assert quantile(range(1, 11), share) == pytest.approx(wanted)
