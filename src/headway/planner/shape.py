"""What a job is made of: how many lines of which kind, and what they take in all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from headway.core.call import Estimate
from headway.jobs.index import Checked, Index
from headway.jobs.order import Cell

SIZED = 1_500  # lines that are sized exactly, to learn how many tokens a byte is
Check = Callable[[bytes, int], Checked]


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of one kind, as the job's order has them. Tokens are means a line; `most` are `max_tokens` of some of them."""

    cell: Cell
    input_tokens: float
    cacheable_tokens: float
    most: tuple[int, ...]

    @property
    def lines(self) -> int:
        """How many there are."""
        return len(self.cell.lines)


@dataclass(frozen=True, slots=True)
class Shape:
    """A job in numbers. `bodies` are the bytes of all lines, `error` the relative standard deviation of the estimate of one
    line's input."""

    parts: tuple[Part, ...]
    bodies: int
    error: float

    @property
    def lines(self) -> int:
        """Lines that can be run."""
        return sum(part.lines for part in self.parts)

    @property
    def input_tokens(self) -> float:
        """All input, by estimate, read from the cache or not."""
        return sum(part.lines * part.input_tokens for part in self.parts)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that are asked for, the one with most input first."""
        total: dict[str, float] = {}
        for part in self.parts:
            model = part.cell.kind.model
            total[model] = total.get(model, 0.0) + part.lines * part.input_tokens
        return tuple(sorted(total, key=lambda model: -total[model]))


def shape_of(index: Index, check: Check) -> Shape:
    """Size a sample of each kind of line with `check`, the full one. `index` is from a scan; it is left as it is."""
    share = min(1.0, SIZED / max(index.good_count, 1))
    parts, bodies, due = [], 0, 0.0
    errors: list[float] = []
    others: list[tuple[Cell, int]] = []  # kinds so rare that none of their lines was sized
    offsets = index.offsets
    for cell in index.cells:
        size = sum(offsets[number + 1] - offsets[number] for number in cell.lines)
        bodies += size
        due += share * len(cell.lines)
        if due < 1.0 and len(cell.lines) < 1.0 / share:
            others.append((cell, size))
            continue
        count = min(max(1, round(share * len(cell.lines))), len(cell.lines))
        due -= count
        numbers = [cell.lines[int((place + 0.5) * len(cell.lines) / count)] for place in range(count)]
        found = [check(index.read(number), number + 1).estimate for number in numbers]
        bytes_read = sum(offsets[number + 1] - offsets[number] for number in numbers)
        errors += [each.error for each in found]
        parts.append(_part(cell, found, size / bytes_read * count / len(cell.lines)))
    ratio = _tokens_a_byte(parts, index)
    marked = [part.cacheable_tokens for part in parts if part.cell.kind.prefix]
    cacheable = fmean(marked) if marked else 0.0
    for cell, size in others:
        tokens = size / len(cell.lines) * ratio
        parts.append(
            Part(cell, tokens, min(cacheable, tokens) if cell.kind.prefix else 0.0, (_middle(cell),))
        )
    return Shape(tuple(parts), bodies, fmean(errors) if errors else 0.1)


def _part(cell: Cell, found: Sequence[Estimate], scale: float) -> Part:
    return Part(
        cell,
        fmean(each.input_tokens for each in found) * scale,
        fmean(each.cacheable_tokens for each in found),
        tuple(each.max_output_tokens for each in found),
    )


def _tokens_a_byte(parts: Sequence[Part], index: Index) -> float:
    tokens = sum(part.lines * part.input_tokens for part in parts)
    size = sum(
        index.offsets[number + 1] - index.offsets[number] for part in parts for number in part.cell.lines
    )
    return tokens / size if size else 0.25


def _middle(cell: Cell) -> int:
    """`max_tokens` of a kind, as far as its octave tells."""
    return round(0.75 * 2.0**cell.kind.most_octave)
