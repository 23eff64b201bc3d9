"""Sets the scene of a plan: from a scanned job, settings and the ledger to what is believed, with a word on each guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headway.config import Config
from headway.planner.known import Known, known_of
from headway.planner.past import Lessons, Past, past_of
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
    ledger: Path | None,
    since_ns: int,
    at_ns: int,
) -> Staged:
    """Put together what is known. `replies` are as stated (None: as learnt, or as assumed). LedgerError."""
    catalog = Catalog.load()
    lessons = Lessons(ledger, config.base_url, at_ns)
    pools = dict.fromkeys(part.cell.kind.pool for part in shape.parts)
    known = {pool: known_of(pool, config, catalog, lessons) for pool in pools}
    pasts = {model: past_of(ledger, model, job, since_ns) if ledger else Past() for model in shape.models}
    main = pasts[shape.models[0]]
    lengths = replies or main.replies or ASSUMED
    ratio = main.ratio or 1.0
    tempos = {model: past.tempo for model, past in pasts.items() if past.tempo}
    usual = main.tempo or Tempo()
    scene = Scene(
        shape,
        sizes,
        config,
        Guess(lengths, 1.0, ratio),
        lambda pool: known[pool].limits,
        lessons,
        lambda model: tempos.get(model, usual),
        job,
        at_ns,
    )
    doubt = Doubt(
        lengths.doubt,
        main.ratio_doubt if main.ratio else UNTAUGHT_RATIO,
        TAUGHT_TEMPO if main.tempo else UNTAUGHT_TEMPO,
    )
    facts, guesses = _words(main, lengths, known, usual, config)
    return Staged(scene, doubt, known, facts, guesses)


def _words(
    main: Past, lengths: Replies, known: Mapping[str, Known], tempo: Tempo, config: Config
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the plan rests on, and what of it is a guess."""
    facts, guesses = [], []
    whose = "of this job" if main.same_job else "of other calls to the model"
    match lengths.source:
        case "stated":
            facts.append("output lengths: as stated")
        case "learnt":
            facts.append(f"output lengths: learnt from {lengths.calls:,} replies {whose}")
        case "assumed":
            guesses.append(
                "output lengths: assumed (median 200 tokens, long tail); --output-tokens tells better"
            )
    if main.tempo:
        facts.append(
            f"speed: {tempo.first_s:.2g} s to the first token, {tempo.speed:.3g} tokens/s, from the ledger"
        )
    else:
        guesses.append(
            f"speed: assumed ({tempo.first_s:.2g} s to the first token, {tempo.speed:.3g} tokens/s)"
        )
    if main.ratio:
        facts.append(f"input: counted is {main.ratio:.3f} x estimated, from {main.calls:,} calls {whose}")
    else:
        guesses.append("input: by estimate, some 6 % in doubt until the ledger has replies to compare with")
    for pool, of_pool in known.items():
        (facts if of_pool.is_sure else guesses).append(f"limits of {pool}: {of_pool.source}")
    if not config.burst:
        guesses.append(f"burst: assumed that full buckets hold {ASSUMED_BURST_S:.0f} s of refill (--burst)")
    return tuple(facts), tuple(guesses)
