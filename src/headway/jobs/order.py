"""The order in which a job's lines are sent. It is free, because the lines are independent.

Every prefix of the order is a fair sample of the whole file: lines are sorted into cells by what is known of them (model,
shared prefix, size of input, `max_tokens`), all cells advance in proportion, and within a cell lines are taken with a
golden-ratio stride over the file. So input-heavy and output-heavy lines mix and all limits drain together, whatever the
order of the file and without having to know how long the replies will be. Cells that allow long replies run a little
ahead, so that the tail of the job is short.

Memory: 4 bytes a line.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from math import gcd

AHEAD = 0.06  # how much earlier than the file's end the cell with the longest replies is used up


@dataclass(frozen=True, slots=True)
class Kind:
    """What lines of one cell have in common. `prefix` is the shared cacheable prefix ("": none)."""

    pool: str
    model: str
    prefix: str
    input_octave: int
    most_octave: int


@dataclass(slots=True)
class Cell:
    """Lines of one kind, by number."""

    kind: Kind
    lines: array[int] = field(default_factory=lambda: array("I"))
    taken: int = 0


class Order:
    """Hands out line numbers. `Order(cells)` takes the cells as they are; their lines are not changed."""

    def __init__(self, cells: list[Cell]) -> None:
        self._cells = [cell for cell in cells if len(cell.lines)]
        self._strides = [_stride(len(cell.lines)) for cell in self._cells]
        most = [cell.kind.most_octave for cell in self._cells]
        low, high = min(most, default=0), max(most, default=0)
        self._pace = [1.0 - AHEAD * (octave - low) / max(high - low, 1) for octave in most]
        self._heap = [(self._position(index), index) for index in range(len(self._cells))]
        heapq.heapify(self._heap)
        self.left = sum(len(cell.lines) for cell in self._cells)

    def next(self, may: Callable[[Kind], bool]) -> tuple[int, Kind] | None:
        """The next line whose kind `may` go now; None: nothing may, or nothing is left (see `left`)."""
        put_off: list[tuple[float, int]] = []
        found: tuple[int, Kind] | None = None
        while self._heap:
            position, index = heapq.heappop(self._heap)
            cell = self._cells[index]
            if not may(cell.kind):
                put_off.append((position, index))
                continue
            size = len(cell.lines)
            found = (cell.lines[cell.taken * self._strides[index] % size], cell.kind)
            cell.taken += 1
            self.left -= 1
            if cell.taken < size:
                heapq.heappush(self._heap, (self._position(index), index))
            break
        for entry in put_off:
            heapq.heappush(self._heap, entry)
        return found

    def _position(self, index: int) -> float:
        cell = self._cells[index]
        return (cell.taken + 0.5) / len(cell.lines) * self._pace[index]


def _stride(size: int) -> int:
    """A step that visits each of `size` places once, evenly from the start: near the golden section, and coprime."""
    stride = max(1, round(size * 0.6180339887))
    while gcd(stride, size) != 1:
        stride += 1
    return stride
