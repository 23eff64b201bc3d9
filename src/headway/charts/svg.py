"""Draws a figure as SVG for a page: text stays text, colours are left to the page, the same data give the same bytes.

matplotlib draws with made-up colours, each of which stands for a colour of the page (`var(--…)`); inline styles become
classes, so that the page can forbid inline styles.
"""

from __future__ import annotations

import logging
import re
import warnings
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any, assert_never

from headway.charts.classes import MARKED, classes, quantile
from headway.charts.figure import Bars, Figure, Histogram, Lines
from headway.charts.measure import Measure, ticks, written
from headway.charts.terminal import clean
from headway.errors import MachineError

if TYPE_CHECKING:  # half a second: only when something is drawn
    from matplotlib.axes import Axes

SERIES = 6  # colours that a page has for series
_INK, _FAINT, _GRID = "#000f01", "#000f02", "#000f03"
_VARIABLES = {_INK: "ink", _FAINT: "faint", _GRID: "grid"} | {
    f"#000e0{number}": f"s{number}" for number in range(SERIES)
}
_STYLE = re.compile(r' style="([^"]*)"')
_FONT = re.compile(r"'[^']*'(?:, (?:'[^']*'|[\w-]+))*")
_FEW = 15  # points that are shown one by one: between gaps there is no line to show them
_WIDTH = 9.0  # inches, at 100 units of the drawing each
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "headway",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _FAINT,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _FAINT,
    "ytick.labelcolor": _FAINT,
    "text.color": _INK,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """`markup` is an `<svg>` element; `rules` are the CSS rules that it needs, by class."""

    markup: str
    rules: tuple[tuple[str, str], ...]


def drawing(figure: Figure, prefix: str) -> Drawing:
    """The figure as SVG. `prefix` keeps its names apart from those of other drawings of the page.

    Raises MachineError if matplotlib is not installed.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it keeps its fonts is nobody's concern
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Sheet
    except ImportError:
        raise MachineError(
            "drawing pages needs matplotlib, which is not installed", hint='pip install "headway[charts]"'
        ) from None
    out = StringIO()
    with warnings.catch_warnings(), mpl.rc_context(_SETTINGS):
        warnings.simplefilter("ignore")  # letters that its font lacks: the page's fonts have them
        sheet = Sheet(figsize=(_WIDTH, _height(figure.chart)), layout="constrained")
        FigureCanvasSVG(sheet)
        sheet.patch.set_visible(False)
        axes = sheet.add_subplot()
        axes.patch.set_visible(False)
        _plot(axes, figure.chart)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        sheet.savefig(out, format="svg", metadata=nothing)
    return _tidied(out.getvalue(), prefix, figure.alt or described(figure))


def described(figure: Figure) -> str:
    """What the figure shows, in a sentence, for who cannot see it."""
    chart = figure.chart
    match chart:
        case Lines():
            said = [_described_series(series.name, series.y, chart.y) for series in chart.series]
            said += [f"{name} at {written(amount, chart.y)}" for name, amount in chart.levels]
            return f"{figure.title}. Lines: {'; '.join(said) or 'no data'}."
        case Bars():
            pairs = zip(chart.labels, chart.values, strict=True)
            said = [f"{label} {written(value, chart.measure)}" for label, value in pairs]
            return f"{figure.title}. Bars: {'; '.join(said) or 'no data'}."
        case Histogram():
            marks = [
                f"P{share * 100:.0f} {written(quantile(chart.values, share), chart.measure)}"
                for share in MARKED
            ]
            return f"{figure.title}. Histogram of {len(chart.values):,} values: {', '.join(marks)}."
        case _:
            assert_never(chart)


def _described_series(name: str, y: tuple[float, ...], measure: Measure) -> str:
    good = [value for value in y if value == value]
    if not good:
        return f"{name}, no data"
    return f"{name} from {written(min(good), measure)} to {written(max(good), measure)}"


def _height(chart: Lines | Bars | Histogram) -> float:
    return 0.5 + 0.34 * max(len(chart.labels), 1) if isinstance(chart, Bars) else 2.9


def _plot(axes: Axes, chart: Lines | Bars | Histogram) -> None:
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
            label=clean(series.name) or "_",
            solid_capstyle="round",
        )
    axes.margins(x=0.01)
    for name, amount in chart.levels:
        axes.axhline(amount, color=_FAINT, linewidth=1, linestyle=(0, (4, 3)))
        across = axes.get_yaxis_transform()
        axes.text(1.008, amount, clean(name), transform=across, color=_FAINT, fontsize=9, va="center")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.0) if low < 0 and _lowest(chart) < 0 else 0.0, high if high > 0 else 1.0)
    for name, moment in chart.moments:
        axes.axvline(moment, color=_FAINT, linewidth=1, linestyle=(0, (1, 2)))
        up = axes.get_xaxis_transform()
        axes.text(moment, 1.0, f" {clean(name)}", transform=up, color=_FAINT, fontsize=9, va="top")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    _set_ticks(axes, "x", chart.x, 7)
    _set_ticks(axes, "y", chart.y, 6)
    if len(chart.series) > 1:
        columns = min(len(chart.series), 4)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=1.4
        )


def _lowest(chart: Lines) -> float:
    return min((value for series in chart.series for value in series.y if value == value), default=0.0)


def _plot_bars(axes: Axes, chart: Bars) -> None:
    places = range(len(chart.values))
    values = [value if value == value else 0.0 for value in chart.values]
    axes.barh(places, values, height=0.62, color=_colour(0))
    most = max([*values, *(high for _, high in chart.ranges), 0.0]) or 1.0
    for place, (low, high) in zip(places, chart.ranges, strict=False):
        axes.plot((low, high), (place, place), color=_INK, linewidth=1.2, solid_capstyle="butt")
        axes.plot((low, high), (place, place), "|", color=_INK, markersize=6)
    for place, value in zip(places, chart.values, strict=True):
        end = max(values[place], chart.ranges[place][1] if chart.ranges else 0.0, 0.0)
        text = written(value, chart.measure)
        axes.text(end + most * 0.012, place, text, va="center", ha="left", color=_INK)
    axes.set_yticks(places, [_short(clean(label)) for label in chart.labels], color=_INK)
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
            axes.axvline(value, 0.0, top, color=_INK, linewidth=1, linestyle=(0, (1, 2)))
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
    return f"#000e0{number % SERIES}"


def _tidied(text: str, prefix: str, alt: str) -> Drawing:
    """Only the drawing: no headers, no comments, no font names, no styles of its own."""
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>", "", text, flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]*)"', text)
    text = text[text.index(">") + 1 :]
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'( id="| xlink:href="#|url\(#)', rf"\1{prefix}", text).replace(" xlink:href=", " href=")
    rules: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        style = _styled(match[1])
        return f' class="{rules.setdefault(style, f"{prefix}{len(rules)}")}"' if style else ""

    body = re.sub(r"\n\s*", "\n", _STYLE.sub(named, text))
    box = view[1] if view else "0 0 0 0"
    head = f'<svg viewBox="{box}" role="img" aria-label="{escape(clean(alt))}">'
    return Drawing(head + body, tuple((name, style) for style, name in rules.items()))


def _styled(style: str) -> str:
    """A style in the colours and the font of the page."""
    style = _FONT.sub("var(--font)", style.replace("&quot;", "'"))
    for colour, name in _VARIABLES.items():
        style = style.replace(colour, f"var(--{name})")
    return style.replace("; ", ";").replace(": ", ":").strip("; ")
