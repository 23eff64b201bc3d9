"""Draws a figure as lines of text, for a terminal or a pipe. Needs nothing beyond what headway itself needs."""

from __future__ import annotations

import math
from typing import assert_never

from rich.cells import cell_len

from headway.charts.blocks import bars, histogram
from headway.charts.canvas import MARKS, Canvas, edge, faint, painted
from headway.charts.figure import Bars, Figure, Histogram, Lines, Series
from headway.charts.measure import Measure, ticks, written
from headway.charts.words import clean as clean  # who draws in a terminal cleans other texts for it, too
from headway.charts.words import cut, wrapped

_LEAST_WIDTH = 24


def draw(figure: Figure, width: int, height: int = 10, *, colour: bool) -> str:
    """The figure in lines of at most `width` columns, no line break at the end; `height` is that of lines and histograms.

    With `colour` there are ANSI colours and block characters, for a terminal: `rich.text.Text.from_ansi` takes it. Without,
    plain characters, for pipes and NO_COLOR: of a rich console, `color_system is not None and not no_color`. Text from
    outside cannot drive the terminal either way.
    """
    width, height = max(width, _LEAST_WIDTH), max(height, 3)
    match figure.chart:
        case Lines():
            body = _lines(figure.chart, width, height, colour)
        case Bars():
            body = bars(figure.chart, width, colour=colour)
        case Histogram():
            body = histogram(figure.chart, width, height, colour=colour)
        case _:
            assert_never(figure.chart)
    title = cut(figure.title, width)
    head = [f"\x1b[1m{title}\x1b[0m" if colour else title] if title else []
    foot = [faint(line, colour=colour) for line in wrapped(figure.caption, width)]
    return "\n".join(line.rstrip() for line in (*head, *body, *foot))


def _lines(chart: Lines, width: int, height: int, colour: bool) -> list[str]:
    span = _span(chart)
    if span is None:
        return [faint("no data", colour=colour)]
    left, right, low, high = span
    marks = ticks(low, high, chart.y, max(2, min(6, height * 2 // 3)))
    margin = max(len(text) for _, text in marks) + 2
    canvas = Canvas(width - margin, height, fine=colour)
    for _, amount in chart.levels:
        canvas.level((amount - low) / (high - low))
    for number, series in enumerate(chart.series):
        points = [((x - left) / (right - left), (y - low) / (high - low)) for x, y in _corners(series)]
        canvas.polyline(points, number)
    names = {canvas.row((place - low) / (high - low)): text for place, text in marks}
    rows = [
        faint(f"{names.get(row, ''):>{margin - 2}} {edge(marked=row in names, colour=colour)}", colour=colour)
        + cells
        for row, cells in enumerate(canvas.rows())
    ]
    return [*rows, *_axis(left, right, chart.x, width, margin, colour), *_legend(chart, width, colour)]


def _span(chart: Lines) -> tuple[float, float, float, float] | None:
    """(left, right, low, high) of what is to be shown, never empty; y has 0 in it. None: there is nothing to show."""
    points = [
        (x, y) for series in chart.series for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y)
    ]
    if not points:
        return None
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    heights = [*(y for _, y in points), *(amount for _, amount in chart.levels), 0.0]
    low, high = min(heights), max(heights)
    return left, right if right > left else left + 1.0, low, high if high > low else low + 1.0


def _corners(series: Series) -> list[tuple[float, float]]:
    points = list(zip(series.x, series.y, strict=True))
    if not series.step:
        return points
    return [
        corner
        for (x, y), (following, _) in zip(points, [*points[1:], points[-1]], strict=True)
        for corner in ((x, y), (following, y))
    ]


def _axis(left: float, right: float, measure: Measure, width: int, margin: int, colour: bool) -> list[str]:
    """The line below a plot and the amounts along it, none of which may touch another."""
    room = width - margin
    names, ruler = [" "] * width, ["─" if colour else "-"] * room
    free = 0
    for place, text in ticks(left, right, measure, max(2, min(7, room // 12))):
        column = round((place - left) / (right - left) * (room - 1))
        start = max(0, min(margin + column - len(text) // 2, width - len(text)))
        if start < free:
            continue
        ruler[column] = "┬" if colour else "+"
        names[start : start + len(text)] = text
        free = start + len(text) + 2
    corner = "└" if colour else "+"
    line = " " * (margin - 1) + corner + "".join(ruler)
    return [faint(line, colour=colour), faint("".join(names), colour=colour)]


def _legend(chart: Lines, width: int, colour: bool) -> list[str]:
    entries = [
        ("━━" if colour else MARKS[number % len(MARKS)] * 2, series.name, number)
        for number, series in enumerate(chart.series)
        if series.name
    ]
    entries += [("┄┄" if colour else "--", f"{name} {written(y, chart.y)}", -1) for name, y in chart.levels]
    entries += [("at", f"{written(x, chart.x)} {name}", -1) for name, x in chart.moments]
    lines: list[str] = []
    used = width
    for mark, name, number in entries:
        name = cut(name, width - 4)
        shown = painted(mark, number, colour=colour) if number >= 0 else faint(mark, colour=colour)
        size = cell_len(name) + 3
        if used + 3 + size > width:
            lines.append("")
            used = -3
        lines[-1] += ("   " if used >= 0 else "") + f"{shown} {name}"
        used += 3 + size
    return lines
