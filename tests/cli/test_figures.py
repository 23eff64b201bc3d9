"""Times, shares and bars for eyes."""

from __future__ import annotations

import pytest

from headway.cli.figures import duration, share, trend


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "-"),
        (0.9, "-"),
        (1, "1ms"),
        (999.4, "999ms"),
        (999.6, "1.0s"),
        (59_940, "59.9s"),
        (60_000, "1.0m"),
        (3_600_000, "1.0h"),
        (86_400_000 * 12.34, "12.3d"),
    ],
)
def test_durations_have_one_unit(ms: float | None, text: str) -> None:
    assert duration(ms) == text


def test_shares_of_nothing_are_none() -> None:
    assert (share(0, 5), share(1, 0), share(1, 4)) == ("-", "-", "25%")


def test_bars_are_as_high_as_their_share_of_the_highest() -> None:
    assert trend([0, 1, 50, 100]) == "·▁▅█"
    assert trend([]) == ""
    assert trend([0, 0]) == "··"
