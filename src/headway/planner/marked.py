"""A job as it would be with a cache breakpoint after the beginnings that its lines share."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from headway.core.call import Estimate, Identity
from headway.jobs.index import PREFIXES_KEPT
from headway.jobs.order import Cell
from headway.planner.beginnings import Shared
from headway.planner.scene import Scene
from headway.planner.shape import Part
from headway.planner.sizes import Sizes

MOST_OF_IT = 0.98  # of a prompt may be a shared beginning; the rest is what tells lines apart


class _Marked(Sizes):
    """Exact estimates, with the breakpoint."""

    def __init__(self, plain: Sizes, tokens: dict[int, tuple[str, float]]) -> None:
        self._plain = plain
        self._tokens = tokens

    def of(self, number: int) -> tuple[Identity, Estimate]:
        """What line `number` (from 0) draws on and takes."""
        identity, estimate = self._plain.of(number)
        found = self._tokens.get(number)
        if found is None:
            return identity, estimate
        prefix, tokens = found
        cacheable = min(tokens, MOST_OF_IT * estimate.input_tokens)
        return identity, structs.replace(estimate, prefix=prefix, cacheable_tokens=cacheable)


def marked(scene: Scene, shared: Sequence[Shared], tokens_a_byte: float) -> Scene:
    """The scene with these beginnings marked; of very many, those that save most."""
    largest = sorted(shared, key=lambda each: -(len(each.lines) - 1) * each.size)[:PREFIXES_KEPT]
    tokens: dict[int, tuple[str, float]] = {}
    for place, each in enumerate(largest):
        for line in each.lines:
            tokens[line] = (f"shared-{place}", each.size * tokens_a_byte)
    parts: list[Part] = []
    for part in scene.shape.parts:
        split: dict[str, array[int]] = {}
        for line in part.cell.lines:
            prefix = tokens.get(line, ("", 0.0))[0]
            split.setdefault(prefix, array("I")).append(line)
        for prefix, lines in split.items():
            cacheable = min(tokens[lines[0]][1], MOST_OF_IT * part.input_tokens) if prefix else 0.0
            kind = replace(part.cell.kind, prefix=prefix or part.cell.kind.prefix)
            parts.append(
                Part(Cell(kind, lines), part.input_tokens, cacheable or part.cacheable_tokens, part.most)
            )
    shape = replace(scene.shape, parts=tuple(parts))
    return replace(scene, shape=shape, sizes=_Marked(scene.sizes, tokens))
