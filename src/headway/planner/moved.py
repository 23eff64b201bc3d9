"""A job as it would be if another model were asked: its pool and limits, its tokenizer, its price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from headway.core.limit import Limit
from headway.jobs.index import Checked
from headway.jobs.lines import PATH
from headway.jobs.order import Cell
from headway.planner.known import known_of
from headway.planner.scene import Scene
from headway.planner.shape import Check, Part
from headway.planner.sizes import Sizes
from headway.planner.world import Tempo
from headway.providers.anthropic import Anthropic
from headway.providers.catalog import Catalog, ModelFacts

COMPARED = 60  # lines that are sized for both models, to see how their tokenizers differ


def moved(
    scene: Scene, facts: ModelFacts, provider: Anthropic, check: Check, catalog: Catalog
) -> tuple[Scene, Sequence[Limit], str]:
    """The scene with all lines asking this model, the limits of its pool, and where those are from."""

    def check_as(data: bytes, number: int) -> Checked:
        checked = check(data, number)
        request: Mapping[str, object] = {**checked.line.request, "model": facts.id}
        return Checked(checked.line, provider.identify(PATH, request), provider.estimate(request))

    sizes = scene.sizes.checked_by(check_as)
    factor = _factor(scene, sizes)
    parts = tuple(
        Part(
            Cell(replace(part.cell.kind, pool=facts.pool, model=facts.id), part.cell.lines),
            part.input_tokens * factor,
            part.cacheable_tokens * factor,
            part.most,
        )
        for part in scene.shape.parts
    )
    known = known_of(facts.pool, catalog, scene.believed)
    source = known.source if known.is_sure else "lowest published limits"
    usual = scene.tempo(scene.shape.models[0])
    known_tempo = scene.tempo(facts.id)

    def tempo(_model: str) -> Tempo:
        return known_tempo if known_tempo is not usual else usual

    shape = replace(scene.shape, parts=parts)
    varied = replace(scene, shape=shape, sizes=sizes, limits=lambda _pool: known.limits, tempo=tempo)
    return varied, known.limits, source


def _factor(scene: Scene, sizes: Sizes) -> float:
    """Tokens for this model for each token that the job's own counts."""
    own = other = 0.0
    parts = sorted(scene.shape.parts, key=lambda part: -part.lines * part.input_tokens)[:COMPARED]
    each = max(1, COMPARED // max(len(parts), 1))
    for part in parts:
        lines = part.cell.lines
        for number in lines[:: max(1, len(lines) // each)][:each]:
            weight = part.lines / each
            own += weight * scene.sizes.of(number)[1].input_tokens
            other += weight * sizes.of(number)[1].input_tokens
    return other / own if own else 1.0
