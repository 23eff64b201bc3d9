"""What would change a plan: another tier, another model, the prompt cache, batches. Each is run like the plan itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from headway.core.limit import Limit
from headway.ledger.price import Prices
from headway.planner.beginnings import Shared
from headway.planner.known import limits_of
from headway.planner.marked import marked
from headway.planner.moved import moved
from headway.planner.plan import Plan
from headway.planner.scene import Scene, play, span_for
from headway.planner.shape import Check
from headway.planner.traffic import beside, others_of
from headway.providers.anthropic import Anthropic
from headway.providers.catalog import Catalog, ModelFacts

BATCH_LINES, BATCH_BYTES, BATCH_S = (
    100_000,
    256_000_000,
    86_400.0,
)  # of one batch; how long it may take at most
# https://platform.claude.com/docs/en/build-with-claude/batch-processing (copy of 2026-09-01)
MODELS_SHOWN = 3
EARLIER = "tier-"  # names of the tiers that were given until mid-2026


@dataclass(frozen=True, slots=True)
class WhatIf:
    """One change and what it brings: `seconds` and `nanousd` of the whole job (None: not known). `change` says what to do.

    `at_most`: it takes no longer than `seconds`, and how much less nobody can say.
    """

    name: str
    change: str
    seconds: float | None
    nanousd: int | None
    note: str = ""
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Material:
    """What the changes are made from: `check` reads a line in full, `beginnings` says what lines share (given the least
    size in bytes that pays), `ledger` what others do."""

    provider: Anthropic
    check: Check
    beginnings: Callable[[int], Sequence[Shared]]
    ledger: Path | None = None


def what_ifs(
    scene: Scene,
    made: Plan,
    material: Material,
    prices: Prices,
    progress: Callable[[str], None] = lambda _what: None,
) -> Iterator[WhatIf]:
    """All that apply, one after the other."""
    catalog = Catalog.load()
    progress("what if: another tier")
    changes = [_next_tier(scene, prices, catalog)]
    progress("what if: the prompt cache")
    changes += [_cached(scene, material, prices, catalog), _batches(scene, made)]
    changes.append(_beside_others(scene, material, prices))
    yield from (each for each in changes if each is not None)
    for facts in _other_models(scene, prices, catalog):
        progress(f"what if: {facts.id}")
        yield _other_model(scene, facts, material, prices, catalog)


def _next_tier(scene: Scene, prices: Prices, catalog: Catalog) -> WhatIf | None:
    """The lowest tier of the same scheme that allows more than now of everything that is limited."""
    pools = list(dict.fromkeys(part.cell.kind.pool for part in scene.shape.parts))
    tier = scene.config.tier
    old = bool(tier and tier.startswith(EARLIER))
    for name in catalog.tiers:
        if name.startswith(EARLIER) is not old:
            continue
        found = {pool: catalog.tier(pool, name) for pool in pools}
        limits = {pool: tuple(limits_of(each)) for pool, each in found.items() if each is not None}
        if len(limits) == len(pools) and all(_is_wider(limits[pool], scene.limits(pool)) for pool in pools):
            config = replace(scene.config, tier=name, limits=None, pool_limits={})
            varied = replace(scene, config=config, limits=limits.__getitem__)
            course, bill = play(varied, span_for(varied, quick=True), prices)
            allows = ", ".join(str(limit) for limit in limits[pools[0]])
            return WhatIf(f"tier {name}", f"--tier {name}: {allows}", course.ends_s, bill.total)
    return None


def _is_wider(wanted: Sequence[Limit], now: Sequence[Limit]) -> bool:
    rates = {limit.unit: limit.rate for limit in wanted}
    return bool(now) and all(rates.get(limit.unit, float("inf")) > limit.rate * 1.001 for limit in now)


def _cached(scene: Scene, material: Material, prices: Prices, catalog: Catalog) -> WhatIf | None:
    """A breakpoint after what many lines begin with."""
    shape = scene.shape
    facts = catalog.model(shape.models[0])
    if facts is None or not shape.bodies:
        return None
    tokens_a_byte = shape.input_tokens / shape.bodies
    least = round(facts.min_cacheable_tokens / tokens_a_byte / scene.guess.ratio)
    shared = material.beginnings(least)
    if not shared:
        return None
    varied = marked(scene, shared, tokens_a_byte)
    course, bill = play(varied, span_for(varied, quick=True), prices)
    lines = sum(len(each.lines) for each in shared)
    tokens = sum(len(each.lines) * each.size for each in shared) / lines * tokens_a_byte * scene.guess.ratio
    kinds = "one beginning" if len(shared) == 1 else f"{len(shared):,} beginnings"
    change = '"cache_control": {"type": "ephemeral"} on the last block of what is shared'
    note = f"{lines:,} lines share {kinds} of about {tokens:,.0f} tokens"
    if not facts.cache_reads_free:
        note += "; reads count against the input limit of this model"
    return WhatIf("cache the shared beginning", change, course.ends_s, bill.total, note)


def _beside_others(scene: Scene, material: Material, prices: Prices) -> WhatIf | None:
    """With the traffic of others going on as in the last day. It goes first if the job is of class bulk, as `run` is."""
    others = others_of(material.ledger, scene)
    if others.largest is None:
        return None
    unit, share = others.largest
    varied = beside(scene, others)
    course, bill = play(varied, span_for(varied, quick=True), prices)
    return WhatIf(
        "beside other traffic",
        "other calls go on as in the last 24 hours and go first, as they do before class bulk in one gateway; "
        "as class standard or interactive the job takes the time of the plan, and they wait",
        course.ends_s,
        bill.total,
        f"they took {share:.0%} of {unit.value}, on the mean",
    )


def _batches(scene: Scene, made: Plan) -> WhatIf | None:
    shape = scene.shape
    if made.batch_nanousd is None:
        return None
    count = max(ceil(shape.lines / BATCH_LINES), ceil(shape.bodies / BATCH_BYTES))
    parts = "one batch" if count == 1 else f"{count} batches"
    return WhatIf(
        "Message Batches",
        f"send it as {parts} (POST /v1/messages/batches)",
        BATCH_S,
        made.batch_nanousd,
        "24 h at most, often less; off these limits, with a queue of its own",
        at_most=True,
    )


def _other_models(scene: Scene, prices: Prices, catalog: Catalog) -> list[ModelFacts]:
    """Of each family the newest model that is offered and can take every line; those that differ from the job's."""
    most = max((each for part in scene.shape.parts for each in part.most), default=0)
    largest = max((part.input_tokens for part in scene.shape.parts), default=0.0)
    now = {facts.id for model in scene.shape.models if (facts := catalog.model(model))}
    today = datetime.fromtimestamp(scene.at_ns / 1e9, UTC).date().isoformat()
    newest: dict[str, ModelFacts] = {}
    for facts in catalog.models:
        fits = facts.max_output_tokens >= most and facts.context_tokens >= 1.5 * largest + most
        offered = facts.status == "active" and not (facts.retires and facts.retires <= today)
        if fits and offered and prices.unit(facts.id, scene.at_ns) is not None:
            before = newest.get(facts.family)
            if before is None or _generation(facts) > _generation(before):
                newest[facts.family] = facts
    found = [facts for facts in newest.values() if facts.id not in now]
    return sorted(found, key=lambda facts: _price(facts, prices, scene.at_ns))[:MODELS_SHOWN]


def _generation(facts: ModelFacts) -> tuple[int, ...]:
    return tuple(int(part) for part in facts.generation.split(".") if part.isdigit())


def _price(facts: ModelFacts, prices: Prices, at_ns: int) -> int:
    return prices.estimate(facts.id, 1000, 1000, at_ns) or 0


def _other_model(
    scene: Scene, facts: ModelFacts, material: Material, prices: Prices, catalog: Catalog
) -> WhatIf:
    varied, limits, source = moved(scene, facts, material.provider, material.check, catalog)
    course, bill = play(varied, span_for(varied, quick=True), prices)
    allows = ", ".join(str(limit) for limit in limits)
    note = f"{source}: {allows}" if limits else "no limits are published for it"
    return WhatIf(facts.id, f'"model": "{facts.id}"', course.ends_s, bill.total, note)
