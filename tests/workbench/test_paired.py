from __future__ import annotations

from math import log, sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.workbench.paired import Interval, difference, inputs_needed, quantile, ratio, share, z_for

Z = z_for(0.95)


def pairs_of(n: int, ours: int, theirs: int) -> list[float]:
    return [1.0] * ours + [-1.0] * theirs + [0.0] * (n - ours - theirs)


def test_z_is_that_of_the_tables_and_grows_with_the_comparisons() -> None:
    assert round(z_for(0.95), 3) == 1.960
    assert round(z_for(0.95, 5), 3) == 2.576  # 99 % each


@pytest.mark.parametrize(
    ("passed", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_the_published_examples(passed: int, n: int, low: float, high: float) -> None:
    found = share(passed, n, Z)  # Newcombe, Stat. Med. 17 (1998) 857, method 3
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_nothing_is_known_of_none() -> None:
    assert share(0, 0, Z) == Interval(0.0, 0.0, 1.0)
    assert difference([], Z) == Interval(0.0, -1.0, 1.0)
    assert ratio([], [], 0.95) is None
    assert ratio([1.0], [0.0], 0.95) is None
    assert quantile([], 0.5) is None
    assert inputs_needed([], 0.05, Z) is None


def score(n: int, ours: int, theirs: int, supposed: float) -> float:
    """Tango's statistic with its estimate found by search instead of by formula."""

    def likelihood(alone: float) -> float:
        cells = ((ours, alone + supposed), (theirs, alone), (n - ours - theirs, 1 - 2 * alone - supposed))
        return sum(count * log(max(share, 1e-300)) for count, share in cells if count)

    low, high = max(0.0, -supposed), (1 - supposed) / 2
    for _ in range(200):
        third = (high - low) / 3
        low, high = (
            (low + third, high) if likelihood(low + third) < likelihood(high - third) else (low, high - third)
        )
    return (ours - theirs - n * supposed) / sqrt(n * (2 * low + supposed * (1 - supposed)))


@pytest.mark.parametrize(
    ("n", "ours", "theirs"), [(50, 12, 2), (20, 3, 5), (100, 1, 9), (30, 0, 4), (44, 21, 3)]
)
def test_tango_is_where_its_statistic_is_z(n: int, ours: int, theirs: int) -> None:
    found = difference(pairs_of(n, ours, theirs), Z)
    assert score(n, ours, theirs, found.low) == pytest.approx(Z, abs=1e-4)
    assert score(n, ours, theirs, found.high) == pytest.approx(-Z, abs=1e-4)


def test_inputs_that_all_agree_still_leave_doubt_and_less_the_more_they_are() -> None:
    few, many = difference([0.0] * 10, Z), difference([0.0] * 1000, Z)
    assert few.low < -0.2
    assert -0.005 < many.low < 0.0


def test_the_two_sides_are_alike() -> None:
    ours, theirs = difference(pairs_of(40, 7, 2), Z), difference(pairs_of(40, 2, 7), Z)
    assert (ours.low, ours.high) == (pytest.approx(-theirs.high), pytest.approx(-theirs.low))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=60))
def test_an_interval_holds_its_value_and_lies_between_the_bounds(pairs: list[float]) -> None:
    found = difference(pairs, Z)
    assert -1.0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1.0


@pytest.mark.parametrize(("ours", "theirs"), [(0.9, 0.9), (0.7, 0.75), (0.85, 0.95), (0.5, 0.5)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(ours: float, theirs: float) -> None:
    draw, known, held, rounds, n = Random(7), {}, 0, 1500, 60
    for _ in range(rounds):
        found = [(draw.random() < ours) - (draw.random() < theirs) for _ in range(n)]
        key = found.count(1), found.count(-1)
        if key not in known:
            known[key] = difference(pairs_of(n, *key), Z)
        held += known[key].low <= ours - theirs <= known[key].high
    assert held / rounds >= 0.92


def test_the_ratio_of_totals_has_its_truth_within_and_is_the_same_each_time() -> None:
    draw = Random(3)
    theirs = [draw.lognormvariate(0, 0.5) for _ in range(80)]
    ours = [value * 0.6 * draw.lognormvariate(0, 0.2) for value in theirs]
    found = ratio(ours, theirs, 0.95)
    assert found is not None
    assert found == ratio(ours, theirs, 0.95)
    assert found.low < 0.61 < found.high
    assert found.value == sum(ours) / sum(theirs)


def test_so_many_inputs_would_tell_and_fewer_would_not() -> None:
    pairs = pairs_of(20, 1, 1)
    needed = inputs_needed(pairs, 0.05, Z)
    assert needed is not None
    surer = Z + 0.8416

    def tells(n: int) -> bool:
        return (
            difference(
                [*([1.0] * round(n / 20)), *([-1.0] * round(n / 20)), *([0.0] * (n - 2 * round(n / 20)))],
                surer,
            ).low
            > -0.05
        )

    assert tells(needed + 20)
    assert not tells(needed - 20)


def test_no_number_of_inputs_tells_what_lies_on_the_margin() -> None:
    assert inputs_needed(pairs_of(100, 0, 0), 1e-6, Z) is None


def test_a_quantile_lies_between_its_neighbours() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([0.0, 10.0], 0.9) == 9.0


def test_of_many_inputs_the_ratio_says_what_drawing_says_and_fast() -> None:
    draw = Random(4)
    theirs = [draw.lognormvariate(0, 0.5) for _ in range(500)]
    ours = [value * draw.uniform(0.4, 0.8) for value in theirs]
    drawn, linear = ratio(ours, theirs, 0.95), ratio([*ours, 1e-12], [*theirs, 1e-12], 0.95)
    assert drawn is not None
    assert linear is not None
    assert (linear.low, linear.high) == (
        pytest.approx(drawn.low, rel=0.01),
        pytest.approx(drawn.high, rel=0.01),
    )
