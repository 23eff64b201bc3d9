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
from typing import Any, assert_never

from headway.charts.classes import MARKED, quantile
from headway.charts.figure import Bars, Figure, Histogram, Lines
from headway.charts.measure import Measure, written
from headway.charts.plots import FAINT, GRID, INK, SERIES, height_of, plot
from headway.charts.words import clean
from headway.errors import MachineError

_VARIABLES = {INK: "ink", FAINT: "faint", GRID: "grid"} | {
    colour: f"s{number}" for number, colour in enumerate(SERIES)
}
_STYLE = re.compile(r' style="([^"]*)"')
_FONT = re.compile(r"'[^']*'(?:, (?:'[^']*'|[\w-]+))*")
_WIDTH = 9.0  # inches, at 100 units of the drawing each
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "headway",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    "text.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """`markup` is an `<svg>` element; `rules` are the CSS rules that it needs, by class."""

    markup: str
    rules: tuple[tuple[str, str], ...]


def drawing(figure: Figure, prefix: str) -> Drawing:
    """The figure as SVG, without title and names of series: a page has room for them that a drawing has not.

    `prefix` keeps its names apart from those of other drawings of the page.
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
        sheet = Sheet(figsize=(_WIDTH, height_of(figure.chart)), layout="constrained")
        FigureCanvasSVG(sheet)
        sheet.patch.set_visible(False)
        axes = sheet.add_subplot()
        axes.patch.set_visible(False)
        plot(axes, figure.chart)
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
