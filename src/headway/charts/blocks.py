"""Bars and histograms as lines of text, drawn with blocks, or with # where there is no colour."""

from __future__ import annotations

import math

from rich.cells import cell_len, set_cell_size

from headway.charts.canvas import edge, faint, painted
from headway.charts.classes import MARKED, classes, quantile
from headway.charts.figure import Bars, Histogram
from headway.charts.measure import written
from headway.charts.words import clean, cut

_EIGHTHS = " ▏▎▍▌▋▊▉"
_HEIGHTS = " ▁▂▃▄▅▆▇█"


def bars(chart: Bars, width: int, *, colour: bool) -> list[str]:
    """Labels, bars and amounts, in lines of at most `width` columns."""
    if not chart.values:
        return [faint("no data", colour=colour)]
    texts = [cut(_amount(chart, number), width // 2) for number in range(len(chart.values))]
    label_width = min(max(cell_len(clean(label)) for label in chart.labels), width // 3)
    room = width - label_width - max(map(len, texts)) - 2
    most = max((value for value in chart.values if math.isfinite(value)), default=0.0)
    rows = []
    for label, value, text in zip(chart.labels, chart.values, texts, strict=True):
        share = value / most if most > 0 and math.isfinite(value) and value > 0 else 0.0
        bar = painted(_bar(share * max(room, 1), colour), 0, colour=colour)
        rows.append(f"{set_cell_size(cut(label, label_width), label_width)} {bar} {text}")
    return rows


def _amount(chart: Bars, number: int) -> str:
    text = written(chart.values[number], chart.measure)
    if not chart.ranges:
        return text
    low, high = (written(end, chart.measure) for end in chart.ranges[number])
    return f"{text} ({low} to {high})"


def _bar(columns: float, colour: bool) -> str:
    if not colour:
        return "#" * max(round(columns), 1 if columns else 0)
    whole, part = divmod(round(columns * 8), 8)
    return "█" * whole + (_EIGHTHS[part] if part else "") or ("▏" if columns else "")


def histogram(chart: Histogram, width: int, height: int, *, colour: bool) -> list[str]:
    """Columns `height` lines high, their ends, the quantiles below their places, and in a line of their own."""
    good = [value for value in chart.values if math.isfinite(value) and (value > 0 or not chart.log)]
    if not good:
        return [faint("no data", colour=colour)]
    found = classes(good, max(4, min(60, (width - 8) // 2)), log=chart.log)
    most, low, high = max(found.counts), found.edges[0], found.edges[-1]
    margin = max(len(f"{most:,}"), 1) + 2
    room = width - margin
    each = max(1, room // len(found.counts))
    columns = [_column(count / most, height, colour) for count in found.counts]
    rows = []
    for row in range(height):
        name = f"{most:,}" if row == 0 else "0" if row == height - 1 else ""
        left = faint(f"{name:>{margin - 2}} {edge(marked=bool(name), colour=colour)}", colour=colour)
        rows.append(left + painted("".join(column[row] * each for column in columns), 0, colour=colour))
    marks = [(f"P{share * 100:.0f}", quantile(good, share)) for share in MARKED]
    span = each * len(found.counts)
    ends = _ends(written(low, chart.measure), written(high, chart.measure), span)
    places = _places(marks, low, high, chart.log, span).replace("^", "▲" if colour else "^")
    summary = "   ".join(f"{name} {written(value, chart.measure)}" for name, value in marks)
    rows += [
        faint(" " * margin + line, colour=colour) for line in (ends[:room], places[:room]) if line.strip()
    ]
    return [*rows, cut(f"{summary}   {len(good):,} values", width)]


def _column(share: float, height: int, colour: bool) -> list[str]:
    """One class as a column of `height` cells, from the top."""
    if not colour:
        filled = max(round(share * height), 1 if share else 0)
        return [" "] * (height - filled) + ["#"] * filled
    eighths = max(round(share * height * 8), 1 if share else 0)
    return [_HEIGHTS[max(0, min(8, eighths - 8 * row))] for row in reversed(range(height))]


def _ends(low: str, high: str, width: int) -> str:
    return f"{low}{high:>{max(width - len(low), len(high) + 1)}}"


def _places(marks: list[tuple[str, float]], low: float, high: float, log: bool, width: int) -> str:
    """The names of the quantiles, each with its first letter below its place; those that would overlap are left out."""
    line = [" "] * (width + 4)
    free = 0
    for name, value in marks:
        share = 0.0 if low == high else (value - low) / (high - low)
        if log and low < high:
            share = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        start = min(round(share * (width - 1)), width - 1)
        if start >= free:
            line[start : start + len(name) + 1] = f"^{name}"
            free = start + len(name) + 2
    return "".join(line[: width + 4]).rstrip()
