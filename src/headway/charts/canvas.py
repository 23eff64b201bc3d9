"""Lines on a grid of character cells: eight dots a cell where colour and Braille can be shown, one mark a cell elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

_COLOURS = ("34", "33", "36", "35", "31", "32")  # of ANSI: blue, yellow, cyan, magenta, red, green
MARKS = "*o+x#@"
_LEVEL, _EMPTY = -1, -2  # instead of the number of a series
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column and row within a cell


def painted(text: str, series: int, *, colour: bool) -> str:
    """Text in the colour of a series."""
    return f"\x1b[{_COLOURS[series % len(_COLOURS)]}m{text}\x1b[0m" if colour and text.strip() else text


def faint(text: str, *, colour: bool) -> str:
    """Text that stands back: axes, captions."""
    return f"\x1b[2m{text}\x1b[0m" if colour and text.strip() else text


def edge(*, marked: bool, colour: bool) -> str:
    """The left edge of a plot, in a row that has a mark or not."""
    return ("┤" if marked else "│") if colour else ("+" if marked else "|")


class Canvas:
    """`width` × `height` cells; x and y run from 0 to 1, y upward. `fine`: Braille and colour, else plain marks."""

    def __init__(self, width: int, height: int, *, fine: bool) -> None:
        self._width, self._height, self._fine = width, height, fine
        self._across, self._down = (width * 2, height * 4) if fine else (width, height)
        self._cells: dict[tuple[int, int], tuple[int, int]] = {}  # (column, row) -> (dots, series)

    def polyline(self, points: Sequence[tuple[float, float]], series: int) -> None:
        """Join points; one that is not finite breaks the line."""
        before: tuple[int, int] | None = None
        for x, y in points:
            if not (math.isfinite(x) and math.isfinite(y)):
                before = None
                continue
            here = round(x * (self._across - 1)), round((1.0 - y) * (self._down - 1))
            self._segment(before or here, here, series)
            before = here

    def level(self, y: float) -> None:
        """A faint line across, where nothing else is drawn."""
        row = self.row(y)
        for column in range(self._width):
            self._cells.setdefault((column, row), (0, _LEVEL))

    def rows(self) -> list[str]:
        """The cells as text, from the top; neighbours of one colour are painted at once."""
        found = []
        for row in range(self._height):
            cells = [self._cells.get((column, row), (0, _EMPTY)) for column in range(self._width)]
            runs = groupby(cells, key=lambda cell: cell[1])
            found.append("".join(self._shown([dots for dots, _ in run], series) for series, run in runs))
        return found

    def row(self, y: float) -> int:
        """In which row, from the top, the height y is."""
        return round((1.0 - y) * (self._down - 1)) // (4 if self._fine else 1)

    def _segment(self, start: tuple[int, int], end: tuple[int, int], series: int) -> None:
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            x = round(start[0] + (end[0] - start[0]) * step / steps)
            y = round(start[1] + (end[1] - start[1]) * step / steps)
            self._dot(x, y, series)

    def _dot(self, x: int, y: int, series: int) -> None:
        if not (0 <= x < self._across and 0 <= y < self._down):
            return
        cell, dot = ((x // 2, y // 4), _DOTS[x % 2][y % 4]) if self._fine else ((x, y), 1)
        self._cells[cell] = (
            self._cells.get(cell, (0, series))[0] | dot,
            series,
        )  # who comes last gives the colour

    def _shown(self, dots: list[int], series: int) -> str:
        if series == _EMPTY:
            return " " * len(dots)
        if series == _LEVEL:
            return faint("┄" * len(dots), colour=True) if self._fine else "-" * len(dots)
        if not self._fine:
            return MARKS[series % len(MARKS)] * len(dots)
        return painted("".join(chr(0x2800 + each) for each in dots), series, colour=True)
