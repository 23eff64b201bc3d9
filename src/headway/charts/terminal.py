"""Draws a figure as lines of text, for a terminal or a pipe. Needs nothing beyond what headway itself needs."""

from __future__ import annotations

import math
from typing import assert_never

from rich.cells import cell_len, set_cell_size

from headway.charts.canvas import MARKS, Canvas, faint, painted
from headway.charts.classes import MARKED, classes, quantile
from headway.charts.figure import Bars, Figure, Histogram, Lines, Series
from headway.charts.measure import Measure, ticks, written

_LEAST_WIDTH = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"
_HEIGHTS = " ▁▂▃▄▅▆▇█"


def draw(figure: Figure, width: int, height: int = 10, *, colour: bool) -> str:
    """The figure in lines of at most `width` columns, no line break at the end; `height` is that of lines and histograms.

    With `colour` there are ANSI colours and block characters, for a terminal: `rich.text.Text.from_ansi` takes it. Without,
    plain characters, for pipes and NO_COLOR. Text from outside cannot drive the terminal either way.
    """
    width, height = max(width, _LEAST_WIDTH), max(height, 3)
    match figure.chart:
        case Lines():
            body = _lines(figure.chart, width, height, colour)
        case Bars():
            body = _bars(figure.chart, width, colour)
        case Histogram():
            body = _histogram(figure.chart, width, height, colour)
        case _:
            assert_never(figure.chart)
    title = _cut(figure.title, width)
    head = [f"\x1b[1m{title}\x1b[0m" if colour else title] if title else []
    foot = [faint(line, colour=colour) for line in _wrapped(figure.caption, width)]
    return "\n".join(line.rstrip() for line in (*head, *body, *foot))


def clean(text: str) -> str:
    """Text without anything that a terminal or a page would obey."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _cut(text: str, width: int) -> str:
    text = clean(text)
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in clean(text).split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(_cut(word, width))
    return lines


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
        faint(f"{names.get(row, ''):>{margin - 2}} {_edge(row in names, colour)}", colour=colour) + cells
        for row, cells in enumerate(canvas.rows())
    ]
    return [*rows, *_axis(left, right, chart.x, width, margin, colour), *_legend(chart, width, colour)]


def _edge(marked: bool, colour: bool) -> str:
    return ("┤" if marked else "│") if colour else ("+" if marked else "|")


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
        name = _cut(name, width - 4)
        shown = painted(mark, number, colour=colour) if number >= 0 else faint(mark, colour=colour)
        size = cell_len(name) + 3
        if used + 3 + size > width:
            lines.append("")
            used = -3
        lines[-1] += ("   " if used >= 0 else "") + f"{shown} {name}"
        used += 3 + size
    return lines


def _bars(chart: Bars, width: int, colour: bool) -> list[str]:
    if not chart.values:
        return [faint("no data", colour=colour)]
    texts = [_cut(_amount(chart, number), width // 2) for number in range(len(chart.values))]
    label_width = min(max(cell_len(clean(label)) for label in chart.labels), width // 3)
    room = width - label_width - max(map(len, texts)) - 2
    most = max((value for value in chart.values if math.isfinite(value)), default=0.0)
    rows = []
    for label, value, text in zip(chart.labels, chart.values, texts, strict=True):
        share = value / most if most > 0 and math.isfinite(value) and value > 0 else 0.0
        bar = painted(_bar(share * max(room, 1), colour), 0, colour=colour)
        rows.append(f"{set_cell_size(_cut(label, label_width), label_width)} {bar} {text}")
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


def _histogram(chart: Histogram, width: int, height: int, colour: bool) -> list[str]:
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
        edge = faint(f"{name:>{margin - 2}} {_edge(bool(name), colour)}", colour=colour)
        rows.append(edge + painted("".join(column[row] * each for column in columns), 0, colour=colour))
    marks = [(f"P{share * 100:.0f}", quantile(good, share)) for share in MARKED]
    span = each * len(found.counts)
    ends = _ends(written(low, chart.measure), written(high, chart.measure), span)
    places = _places(marks, low, high, chart.log, span).replace("^", "▲" if colour else "^")
    summary = "   ".join(f"{name} {written(value, chart.measure)}" for name, value in marks)
    rows += [
        faint(" " * margin + line, colour=colour) for line in (ends[:room], places[:room]) if line.strip()
    ]
    return [*rows, _cut(f"{summary}   {len(good):,} values", width)]


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
