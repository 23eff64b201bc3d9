"""A figure that does not fit together is refused when it is made."""

from __future__ import annotations

import pytest

from headway.charts.figure import Bars, Series


def test_a_series_has_a_y_for_each_x() -> None:
    with pytest.raises(ValueError, match="used: 2 x and 1 y"):
        Series("used", (1.0, 2.0), (1.0,))


def test_bars_have_a_value_and_perhaps_a_range_for_each_label() -> None:
    Bars(("a", "b"), (1.0, 2.0), ranges=((0.5, 1.5), (1.0, 3.0)))
    with pytest.raises(ValueError, match="2 labels, 1 values"):
        Bars(("a", "b"), (1.0,))
    with pytest.raises(ValueError, match="1 ranges"):
        Bars(("a", "b"), (1.0, 2.0), ranges=((0.5, 1.5),))
