"""Charts of text keep to their width, say what they show, and obey nothing that data say."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from headway.charts.figure import Bars, Figure, Histogram, Lines, Series
from headway.charts.terminal import draw

WILD = "\x1b[31m名前\x07\r\n" + "x" * 90
NUMBERS = st.lists(st.floats(-1e12, 1e12) | st.just(math.nan), max_size=40)
SEEN = re.compile(r"\x1b\[[0-9;]*m")


def bare(text: str) -> list[str]:
    return SEEN.sub("", text).split("\n")


@given(NUMBERS, st.integers(1, 200), st.integers(0, 30), st.booleans(), st.booleans())
def test_no_line_is_wider_than_asked_for_nor_drives_the_terminal(
    values: list[float], width: int, height: int, colour: bool, other: bool
) -> None:
    some = tuple(values)
    x = tuple(float(place) for place in range(len(some)))
    charts: tuple[Lines | Bars | Histogram, ...] = (
        Lines((Series(WILD, x, some, step=other),), levels=((WILD, 3.0),), moments=((WILD, 1.0),)),
        Bars(
            (WILD,) * len(some), some, "usd", ranges=tuple((value, value) for value in some) if other else ()
        ),
        Histogram(some, "seconds", log=other),
    )
    for chart in charts:
        drawn = draw(Figure(WILD, chart, WILD), width, height, colour=colour)
        assert max(cell_len(line) for line in bare(drawn)) <= max(width, 24)
        allowed = set() if not colour else {"\x1b"}
        assert {letter for letter in drawn if not letter.isprintable()} <= {"\n"} | allowed
        assert colour or "\x1b" not in drawn
        assert "\x1b" not in "".join(bare(drawn))


def test_the_highest_point_is_at_the_top_and_zero_at_the_bottom() -> None:
    page = bare(draw(Figure("", Lines((Series("", (0, 60, 120), (0, 50, 100)),))), 60, 10, colour=False))
    assert "*" in page[0]
    assert page[0].rstrip().endswith("*")
    assert page[9].startswith("  0 +*")
    assert page[11].split() == ["0s", "1m", "2m"]


def test_bars_are_as_long_as_their_values() -> None:
    page = bare(draw(Figure("cost", Bars(("a", "b", "none"), (100, 50, 0), "usd")), 60, colour=False))
    lengths = [line.count("#") for line in page[1:]]
    assert lengths[0] == 2 * lengths[1] > 30
    assert lengths[2] == 0
    assert page[1].endswith(" $100")


def test_what_is_small_but_there_is_seen() -> None:
    for colour in (True, False):
        page = bare(draw(Figure("", Bars(("a", "b"), (1e6, 1e-3))), 60, colour=colour))
        assert re.search(r"^b [#▏]", page[1])


def test_ranges_are_said_beside_the_value() -> None:
    page = draw(Figure("", Bars(("a",), (100,), "seconds", ranges=((60, 180),))), 60, colour=False)
    assert page.endswith("1m 40s (1m to 3m)")


def test_a_histogram_marks_p10_p50_and_p90_below_their_places() -> None:
    page = bare(
        draw(Figure("", Histogram(tuple(float(value) for value in range(1001)))), 72, 6, colour=False)
    )
    marks = page[7]
    places = [marks.index(name) for name in ("^P10", "^P50", "^P90")]
    first, second = (after - before for before, after in pairwise(places))
    assert abs(first - second) <= 1
    assert page[8] == "P10 100   P50 500   P90 900   1,001 values"


def test_series_are_told_apart_without_colour() -> None:
    chart = Lines((Series("in", (0, 1), (5, 5)), Series("out", (0, 1), (1, 1))), levels=(("limit", 8),))
    page = draw(Figure("", chart), 60, 8, colour=False)
    assert "** in   oo out   -- limit 8" in page
    assert "*****" in page
    assert "ooooo" in page


@pytest.mark.parametrize(
    "chart", [Lines(()), Lines((Series("a", (1.0,), (math.nan,)),)), Bars((), ()), Histogram(())]
)
def test_nothing_to_show_is_said(chart: Lines | Bars | Histogram) -> None:
    assert draw(Figure("empty", chart), 60, colour=False) == "empty\nno data"


def test_one_point_is_no_error() -> None:
    assert "*" in draw(Figure("", Lines((Series("a", (5.0,), (0.0,)),))), 60, colour=False)
    assert "1 values" in draw(Figure("", Histogram((3.0,))), 60, colour=False)
