"""A sample of lines stands for the job, and its interval is about as often right as it says."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from headway.context.sampling import drawn, ratio_of

SIZES = st.lists(st.integers(0, 10_000), min_size=1, max_size=600)


@given(SIZES, st.integers(1, 300))
def test_every_line_is_drawn_in_proportion_to_its_size(sizes: list[int], wanted: int) -> None:
    places = drawn(sizes, wanted)
    assert places == sorted(places)
    if len(sizes) <= wanted:
        assert places == list(range(len(sizes)))
        return
    assert len(places) == wanted
    step = sum(max(1, size) for size in sizes) / wanted
    for place in set(places):
        assert abs(places.count(place) - max(1, sizes[place]) / step) < 1.0 + 1e-9


def test_asking_about_all_lines_leaves_nothing_to_be_unsure_of() -> None:
    ratio = ratio_of([100.0, 200.0], [90.0, 210.0], is_all=True)
    assert (ratio.mean, ratio.spread, ratio.lines) == (1.0, 0.0, 2)


def test_about_nine_in_ten_sums_lie_inside_the_interval() -> None:
    random, inside = Random(7), 0
    for _ in range(300):
        truths = [max(5.0, random.lognormvariate(5, 1.2)) for _ in range(2000)]
        estimates = [truth * random.gauss(1.05, 0.1) for truth in truths]
        places = drawn([round(each) for each in estimates])
        ratio = ratio_of([estimates[n] for n in places], [truths[n] for n in places], is_all=False)
        inside += abs(ratio.mean * sum(estimates) - sum(truths)) <= ratio.spread * sum(estimates)
    assert 0.84 <= inside / 300 <= 0.97
