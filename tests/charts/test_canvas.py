"""A line on the grid goes through every column between its ends, and stays inside."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.charts.canvas import Canvas

POINT = st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))


def bare(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("fine", [True, False])
@given(points=st.lists(POINT, min_size=1, max_size=8), width=st.integers(1, 40), height=st.integers(1, 12))
def test_the_grid_keeps_its_size_whatever_is_drawn(
    fine: bool, points: list[tuple[float, float]], width: int, height: int
) -> None:
    canvas = Canvas(width, height, fine=fine)
    canvas.polyline(points, 0)
    canvas.level(0.5)
    rows = [bare(row) for row in canvas.rows()]
    assert len(rows) == height
    assert {len(row) for row in rows} == {width}


@pytest.mark.parametrize("fine", [True, False])
def test_a_line_has_no_holes(fine: bool) -> None:
    canvas = Canvas(30, 10, fine=fine)
    canvas.polyline([(0.0, 0.0), (1.0, 1.0)], 0)
    rows = [bare(row) for row in canvas.rows()]
    assert all(any(row[column] != " " for row in rows) for column in range(30))
    assert rows[-1][0] != " "
    assert rows[0][-1] != " "


def test_a_gap_in_the_data_is_a_gap_in_the_line() -> None:
    canvas = Canvas(30, 4, fine=False)
    canvas.polyline([(0.0, 0.0), (0.3, 0.0), (0.5, math.nan), (0.7, 0.0), (1.0, 0.0)], 0)
    drawn = canvas.rows()[-1]
    assert drawn[15] == " "
    assert drawn[5] == drawn[25] == "*"


def test_a_level_does_not_cover_the_line() -> None:
    canvas = Canvas(10, 3, fine=False)
    canvas.polyline([(0.0, 0.5), (0.4, 0.5)], 1)
    canvas.level(0.5)
    assert canvas.rows()[1] == "ooooo-----"
