"""Puts a figure's chart on matplotlib's axes: no frame, few lines, round amounts. Colours stand for those of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from headway.charts.classes import MARKED, classes, quantile
from headway.charts.figure import Bars, Histogram, Lines
from headway.charts.measure import Measure, ticks, written
from headway.charts.words import clean

if TYPE_CHECKING:  # half a second: only when something is drawn
    from matplotlib.axes import Axes

INK, FAINT, GRID = "#000f01", "#000f02", "#000f03"
SERIES = tuple(f"#000e0{number}" for number in range(6))
_FEW = 15  # points that are shown one by one: between gaps there is no line to show them


def height_of(chart: Lines | Bars | Histogram) -> float:
    """How high a chart has to be, in inches."""
    return 0.5 + 0.34 * max(len(chart.labels), 1) if isinstance(chart, Bars) else 2.9


def plot(axes: Axes, chart: Lines | Bars | Histogram) -> None:
    """Put a chart on empty axes."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, pad=6)
    match chart:
        case Lines():
            _plot_lines(axes, chart)
        case Bars():
            _plot_bars(axes, chart)
        case Histogram():
            _plot_histogram(axes, chart)
        case _:
            assert_never(chart)


def _plot_lines(axes: Axes, chart: Lines) -> None:
    for number, series in enumerate(chart.series):
        axes.plot(
            series.x,
            series.y,
            color=_colour(number),
            linewidth=1.8,
            drawstyle="steps-post" if series.step else "default",
            marker="o" if len(series.x) <= _FEW else "",
            markersize=4,
            solid_capstyle="round",
        )
    axes.margins(x=0.01)
    for name, amount in chart.levels:
        axes.axhline(amount, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        across = axes.get_yaxis_transform()
        axes.text(1.008, amount, clean(name), transform=across, color=FAINT, fontsize=9, va="center")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.0) if low < 0 and _lowest(chart) < 0 else 0.0, high if high > 0 else 1.0)
    for name, moment in chart.moments:
        axes.axvline(moment, color=FAINT, linewidth=1, linestyle=(0, (1, 2)))
        up = axes.get_xaxis_transform()
        axes.text(moment, 1.0, f" {clean(name)}", transform=up, color=FAINT, fontsize=9, va="top")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    _set_ticks(axes, "x", chart.x, 7)
    _set_ticks(axes, "y", chart.y, 6)


def _lowest(chart: Lines) -> float:
    return min((value for series in chart.series for value in series.y if value == value), default=0.0)


def _plot_bars(axes: Axes, chart: Bars) -> None:
    places = range(len(chart.values))
    values = [value if value == value else 0.0 for value in chart.values]
    axes.barh(places, values, height=0.62, color=_colour(0))
    most = max([*values, *(high for _, high in chart.ranges), 0.0]) or 1.0
    for place, (low, high) in zip(places, chart.ranges, strict=False):
        axes.plot((low, high), (place, place), color=INK, linewidth=1.2, solid_capstyle="butt")
        axes.plot((low, high), (place, place), "|", color=INK, markersize=6)
    for place, value in zip(places, chart.values, strict=True):
        end = max(values[place], chart.ranges[place][1] if chart.ranges else 0.0, 0.0)
        text = written(value, chart.measure)
        axes.text(end + most * 0.012, place, text, va="center", ha="left", color=INK)
    axes.set_yticks(places, [_short(clean(label)) for label in chart.labels], color=INK)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlim(min([*values, 0.0]), most * 1.14)
    axes.set_xticks([])
    for side in ("bottom", "left"):
        axes.spines[side].set_visible(False)


def _short(label: str) -> str:
    return label if len(label) <= 40 else label[:39] + "…"


def _plot_histogram(axes: Axes, chart: Histogram) -> None:
    found = classes(chart.values, 60, log=chart.log)
    widths = [end - start for start, end in zip(found.edges, found.edges[1:], strict=False)]
    if found.edges[0] == found.edges[-1]:
        widths = [abs(found.edges[0]) * 0.1 or 1.0]
    axes.bar(found.edges[:-1], found.counts, widths, align="edge", color=_colour(0), alpha=0.85, linewidth=0)
    if chart.log and found.edges[0] > 0:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_ylim(0, max(found.counts) * 1.3 or 1)
    for number, share in enumerate(MARKED):
        value = quantile(chart.values, share)
        if value == value:
            top = 1.0 - 0.085 * number  # below the label of the one before, so that no line crosses a label
            axes.axvline(value, 0.0, top, color=INK, linewidth=1, linestyle=(0, (1, 2)))
            axes.annotate(
                f"P{share * 100:.0f} {written(value, chart.measure)}",
                (value, top),
                (4, 0),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                fontsize=9,
                va="top",
            )
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    if chart.log:
        _set_log_ticks(axes, chart.measure)
    else:
        _set_ticks(axes, "x", chart.measure, 7)
    _set_ticks(axes, "y", "count", 4)


def _set_ticks(axes: Axes, side: str, measure: Measure, most: int) -> None:
    low, high = axes.get_xlim() if side == "x" else axes.get_ylim()
    marks = ticks(low, high, measure, most)
    places, names = [place for place, _ in marks], [name for _, name in marks]
    (axes.set_xticks if side == "x" else axes.set_yticks)(places, names)
    (axes.set_xlim if side == "x" else axes.set_ylim)(low, high)


def _set_log_ticks(axes: Axes, measure: Measure) -> None:
    low, high = axes.get_xlim()
    powers = [10.0**power for power in range(-6, 13)]
    round_ones = [power * factor for power in powers for factor in (1, 3) if low <= power * factor <= high]
    axes.set_xticks(round_ones, [written(place, measure) for place in round_ones])
    axes.set_xlim(low, high)


def _colour(number: int) -> str:
    return SERIES[number % len(SERIES)]
