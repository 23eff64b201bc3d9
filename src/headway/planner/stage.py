"""Sets the scene of a plan: from a scanned job, settings and the ledger to what is believed, with a word on each guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headway.catalog.believed import Believed
from headway.config import Config
from headway.core.call import Unit
from headway.planner.bursts import Burst, bursts_of
from headway.planner.known import Known, known_of
from headway.planner.past import Looks, Past, past_of
from headway.planner.plan import Doubt
from headway.planner.replies import ASSUMED, Replies
from headway.planner.scene import ASSUMED_BURST_S, Scene
from headway.planner.shape import Shape
from headway.planner.sizes import Sizes
from headway.planner.trial import Guess
from headway.planner.world import Tempo
from headway.providers.catalog import Catalog

UNTAUGHT_RATIO, UNTAUGHT_TEMPO, TAUGHT_TEMPO = 0.06, 0.3, 0.05


@dataclass(frozen=True, slots=True)
class Staged:
    """A scene, how unsure it is, the limits of each pool, and what it rests on, in sentences. `guesses` are not known."""

    scene: Scene
    doubt: Doubt
    known: Mapping[str, Known]
    facts: tuple[str, ...]
    guesses: tuple[str, ...]


def stage(
    shape: Shape,
    sizes: Sizes,
    config: Config,
    job: str,
    *,
    replies: Replies | None,
    tempo: Tempo | None,
    ledger: Path | None,
    since_ns: int,
    at_ns: int,
) -> Staged:
    """Put together what is known. `replies` and `tempo` are as stated (None: as learnt, or as assumed). LedgerError."""
    catalog = Catalog.load()
    believed = Believed(config, ledger, at_ns)
    pools = dict.fromkeys(part.cell.kind.pool for part in shape.parts)
    known = {pool: known_of(pool, catalog, believed) for pool in pools}
    pasts = {
        model: past_of(ledger, model, _looks(shape, model, job), since_ns) if ledger else Past()
        for model in shape.models
    }
    seen = _seen_bursts(shape, known, ledger, since_ns) | _held(known, believed)
    main = pasts[shape.models[0]]
    lengths = replies or main.replies or ASSUMED
    ratio = main.ratio or 1.0
    tempos = {model: past.tempo for model, past in pasts.items() if past.tempo and tempo is None}
    usual = tempo or main.tempo or Tempo()
    scene = Scene(
        shape,
        sizes,
        config,
        Guess(lengths, 1.0, ratio),
        lambda pool: known[pool].limits,
        lambda pool: believed.of(pool).lessons,
        {key: burst.amount for key, burst in seen.items() if burst.is_whole},
        believed,
        lambda model: tempos.get(model, usual),
        job,
        at_ns,
        burst_s=_usual_burst_s(seen, known),
    )
    doubt = Doubt(
        lengths.doubt,
        main.ratio_doubt if main.ratio else UNTAUGHT_RATIO,
        TAUGHT_TEMPO if tempo or main.tempo else UNTAUGHT_TEMPO,
    )
    facts, guesses = _words(main, lengths, known, (usual, tempo is not None), _burst_words(scene))
    return Staged(scene, doubt, known, facts, guesses)


def _seen_bursts(
    shape: Shape, known: Mapping[str, Known], ledger: Path | None, since_ns: int
) -> dict[tuple[str, Unit], Burst]:
    found: dict[tuple[str, Unit], Burst] = {}
    for pool, each in known.items() if ledger else ():
        assert ledger is not None
        counts = not _reads_free(shape, pool)
        bursts = bursts_of(ledger, pool, each.limits, since_ns, reads_count=counts)
        found |= {(pool, unit): burst for unit, burst in bursts.items()}
    return found


def _held(known: Mapping[str, Known], believed: Believed) -> dict[tuple[str, Unit], Burst]:
    """What engines saw buckets hold, by the headers of replies: nearer the truth than what traffic shows."""
    return {
        (pool, limit.unit): Burst(held[limit.unit], True)
        for pool, each in known.items()
        if (held := believed.of(pool).capacities)
        for limit in each.limits
        if limit.unit in held
    }


def _looks(shape: Shape, model: str, job: str) -> Looks:
    parts = [part for part in shape.parts if part.cell.kind.model == model]
    lines = sum(part.lines for part in parts)
    tokens = sum(part.lines * part.input_tokens for part in parts)
    return Looks(job, tokens / max(lines, 1), frozenset(most for part in parts for most in part.most))


def _usual_burst_s(seen: Mapping[tuple[str, Unit], Burst], known: Mapping[str, Known]) -> float:
    """Seconds of refill that buckets hold of which not all was seen: as those of which it was, else at least as assumed."""
    rates = {(pool, limit.unit): limit.rate for pool, each in known.items() for limit in each.limits}
    whole = [burst.amount / rates[key] for key, burst in seen.items() if burst.is_whole]
    least = [burst.amount / rates[key] for key, burst in seen.items()]
    return max(whole) if whole else max([ASSUMED_BURST_S, *least])


def _reads_free(shape: Shape, pool: str) -> bool:
    catalog = Catalog.load()
    models = {part.cell.kind.model for part in shape.parts if part.cell.kind.pool == pool}
    return all(catalog.prefix_cache_free(model) for model in models)


def _burst_words(scene: Scene) -> tuple[str, bool]:
    """What is known of full buckets, and whether it is."""
    limits = {(pool, limit.unit): limit for pool in scene.pools for limit in scene.limits(pool)}
    if all(limit.burst is not None for limit in limits.values()):
        return "burst: as set", True
    seen = [
        f"{unit.value} {amount / limits[pool, unit].rate:.1f} s"
        for (pool, unit), amount in scene.bursts.items()
    ]
    if seen:
        return f"burst: full buckets were seen to hold, in seconds of refill: {', '.join(seen)}", True
    return f"burst: assumed that full buckets hold {scene.burst_s:.0f} s of refill (--burst)", False


def _words(
    main: Past,
    lengths: Replies,
    known: Mapping[str, Known],
    speed: tuple[Tempo, bool],
    burst: tuple[str, bool],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the plan rests on, and what of it is a guess."""
    facts, guesses = [], []
    whose = {"same": "of this job", "alike": "of jobs like this"}.get(main.kin, "of other calls to the model")
    match lengths.source:
        case "stated":
            facts.append("output lengths: as stated")
        case "learnt":
            facts.append(f"output lengths: learnt from {lengths.calls:,} replies {whose}")
        case "assumed":
            guesses.append(
                "output lengths: assumed (median 200 tokens, long tail); --output-tokens tells better"
            )
    tempo, is_stated = speed
    how_fast = f"{tempo.first_s:.2g} s to the first token, {tempo.speed:.3g} tokens/s"
    if is_stated or main.tempo:
        facts.append(f"speed: {how_fast}, {'as stated' if is_stated else 'from the ledger'}")
    else:
        guesses.append(f"speed: assumed ({how_fast}); --speed, --first-token")
    if main.ratio:
        facts.append(f"input: counted is {main.ratio:.3f} x estimated, from {main.calls:,} calls {whose}")
    else:
        guesses.append("input: by estimate, some 6 % in doubt until the ledger has replies to compare with")
    for pool, of_pool in known.items():
        (facts if of_pool.is_sure else guesses).append(f"limits of {pool}: {of_pool.source}")
    (facts if burst[1] else guesses).append(burst[0])
    return tuple(facts), tuple(guesses)
