"""What a chart shows, as plain data; nothing here knows where it will be drawn.

    Figure("Input tokens a minute", Lines((Series("used", xs, ys),), x="seconds", y="count", levels=(("limit", 30_000),)))

Numbers here are for eyes: sums of money are made elsewhere, in whole nanodollars, and come here in dollars.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.charts.measure import Measure


@dataclass(frozen=True, slots=True)
class Series:
    """One line: `y` over `x`, in order of x. A y that is not finite is a gap. `step`: each y holds until the next x."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    step: bool = False

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"{self.name}: {len(self.x)} x and {len(self.y)} y")


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines over one axis. `levels` are amounts to compare with, such as a limit; `moments` are places on the x axis."""

    series: tuple[Series, ...]
    x: Measure = "seconds"
    y: Measure = "count"
    levels: tuple[tuple[str, float], ...] = ()
    moments: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar a label, drawn from the left. `ranges`, if there are any, are the (low, high) of each value."""

    labels: tuple[str, ...]
    values: tuple[float, ...]
    measure: Measure = "count"
    ranges: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.values) or len(self.ranges) not in (0, len(self.values)):
            raise ValueError(
                f"{len(self.labels)} labels, {len(self.values)} values, {len(self.ranges)} ranges"
            )


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often which values come. P10, P50 and P90 are marked. `log`: classes of equal ratio, for values over 0."""

    values: tuple[float, ...]
    measure: Measure = "count"
    log: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with what is said about it. `alt` is for who cannot see it; left empty, it is made from the data."""

    title: str
    chart: Lines | Bars | Histogram
    caption: str = ""
    alt: str = ""
