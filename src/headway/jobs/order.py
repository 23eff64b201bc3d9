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
from dataclasses import dataclass, field, replace
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

    def bare(self) -> Kind:
        """The same without the prefix."""
        return replace(self, prefix="")


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
        self._heaps: dict[str, list[tuple[float, int]]] = {}
        for index, cell in enumerate(self._cells):
            self._heaps.setdefault(cell.kind.pool, []).append((self._position(index), index))
        for heap in self._heaps.values():
            heapq.heapify(heap)
        self.left = sum(len(cell.lines) for cell in self._cells)

    def likely_output(self, of: Callable[[float], float]) -> float:
        """The mean over all lines of what `of` says for their `max_tokens` (to the nearest octave)."""
        total = sum(len(cell.lines) * of(0.75 * 2.0**cell.kind.most_octave) for cell in self._cells)
        return total / max(self.left, 1)

    def skip_to(self, left: int) -> None:
        """Go on as if all but about `left` lines had been handed out: what is left is the end of this very order."""
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = 0.5 * (low + high)
            if (
                sum(len(cell.lines) - self._taken_at(index, middle) for index, cell in enumerate(self._cells))
                > left
            ):
                low = middle
            else:
                high = middle
        self._heaps = {}
        for index, cell in enumerate(self._cells):
            cell.taken = self._taken_at(index, high)
            if cell.taken < len(cell.lines):
                self._heaps.setdefault(cell.kind.pool, []).append((self._position(index), index))
        for heap in self._heaps.values():
            heapq.heapify(heap)
        self.left = sum(len(cell.lines) - cell.taken for cell in self._cells)

    def _taken_at(self, index: int, position: float) -> int:
        """How many lines of a cell have been handed out once the order is at `position`, from 0 to 1."""
        cell = self._cells[index]
        ahead = int(position * len(cell.lines) / self._pace[index] + 0.5)
        return max(cell.taken, min(ahead, len(cell.lines)))

    def next(
        self, pool_may: Callable[[str], bool], kind_may: Callable[[Kind], bool]
    ) -> tuple[int, Kind] | None:
        """The next line whose pool and kind may go now; None: nothing may, or nothing is left (see `left`)."""
        open_pools = [(heap[0], pool) for pool, heap in self._heaps.items() if heap and pool_may(pool)]
        for _, pool in sorted(open_pools):
            found = self._next_of(self._heaps[pool], kind_may)
            if found is not None:
                return found
        return None

    def _next_of(self, heap: list[tuple[float, int]], may: Callable[[Kind], bool]) -> tuple[int, Kind] | None:
        put_off: list[tuple[float, int]] = []
        found: tuple[int, Kind] | None = None
        while heap and found is None:
            position, index = heapq.heappop(heap)
            if may(self._cells[index].kind):
                found = self._take(heap, index)
            else:
                put_off.append((position, index))
        for entry in put_off:
            heapq.heappush(heap, entry)
        return found

    def _take(self, heap: list[tuple[float, int]], index: int) -> tuple[int, Kind]:
        cell, size = self._cells[index], len(self._cells[index].lines)
        number = cell.lines[cell.taken * self._strides[index] % size]
        cell.taken += 1
        self.left -= 1
        if cell.taken < size:
            heapq.heappush(heap, (self._position(index), index))
        return number, cell.kind

    def _position(self, index: int) -> float:
        cell = self._cells[index]
        return (cell.taken + 0.5) / len(cell.lines) * self._pace[index]


def _stride(size: int) -> int:
    """A step that visits each of `size` places once, evenly from the start: near the golden section, and coprime."""
    stride = max(1, round(size * 0.6180339887))
    while gcd(stride, size) != 1:
        stride += 1
    return stride
