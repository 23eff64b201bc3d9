"""All that one run of a job in virtual time depends on. What-ifs change one thing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp

from headway.assemble import build
from headway.catalog.believed import Believed
from headway.config import Config
from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.core.limit import Limit
from headway.ledger.price import Prices
from headway.planner.course import Course, course_of
from headway.planner.money import Bill, bill_of
from headway.planner.shape import Shape
from headway.planner.sizes import Sizes
from headway.planner.trial import Guess, Span, run
from headway.planner.world import Rules, Tempo
from headway.providers.catalog import Catalog

ASSUMED_BURST_S = 5.0  # of refill, that a full bucket holds where nobody has ever told: it is not published
START_LINES, END_LINES = 1_500, 600  # that are run one by one at least
AT_ONCE_START, AT_ONCE_END = 4.0, 1.5  # times the calls in flight, if those are more
MOST_START, MOST_END = 4_500, 1_500
QUICK_START, QUICK_END = 700, 300


@dataclass(frozen=True, slots=True)
class Scene:
    """A job, what is known of the provider, and what is believed of the replies.

    `limits` are what the provider enforces on a pool, `lessons` what an earlier run learnt of its buckets; what `config` says
    of limits the engine knows from the start. `believed` says what is known of other pools. `bursts` are what buckets
    were seen to hold; `burst_s`: what others hold, as seconds of refill. `at_ns` is wall time, for prices.
    """

    shape: Shape
    sizes: Sizes
    config: Config
    guess: Guess
    limits: Callable[[str], Sequence[Limit]]
    lessons: Callable[[str], Mapping[Unit, Lesson]]
    bursts: Mapping[tuple[str, Unit], float]
    believed: Believed
    tempo: Callable[[str], Tempo]
    job: str
    at_ns: int
    burst_s: float = ASSUMED_BURST_S
    reserves: bool = False

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that the job draws on."""
        return tuple(dict.fromkeys(part.cell.kind.pool for part in self.shape.parts))

    def varied(self, *, output: float, ratio: float, slower: float, burst_s: float) -> Scene:
        """The same with longer replies, larger prompts and a slower model by these factors."""
        tempo = self.tempo
        guess = replace(
            self.guess,
            output_factor=self.guess.output_factor * output,
            ratio=self.guess.ratio * ratio,
        )

        def slow(model: str) -> Tempo:
            usual = tempo(model)
            return replace(usual, first_s=usual.first_s * slower, speed=usual.speed / slower)

        return replace(self, guess=guess, tempo=slow, burst_s=burst_s)


def play(scene: Scene, span: Span, prices: Prices, *, seed: int = 0) -> tuple[Course, Bill]:
    """Run it, and put together what it comes to."""
    rules = rules_of(scene)
    engine = build(scene.config, lambda: scene.at_ns).engine
    engine.lessons = scene.lessons
    trial = run(
        scene.shape,
        scene.sizes,
        scene.guess,
        rules,
        engine,
        span,
        job=scene.job,
        stream=scene.config.stream,
        seed=seed,
    )
    return course_of(trial, scene.guess, rules), bill_of(trial, scene.guess, prices, scene.at_ns)


def rules_of(scene: Scene) -> Rules:
    """What the provider of a scene enforces, and how fast it is."""
    free = Catalog.load().prefix_cache_free
    return Rules(scene.limits, _capacity(scene), scene.tempo, free, scene.reserves)


def span_for(scene: Scene, *, quick: bool = False) -> Span:
    """How many lines to run one by one: enough that the beginning is over, and that the end is an end."""
    at_once = calls_at_once(scene)
    first = min(max(START_LINES, round(AT_ONCE_START * at_once)), MOST_START)
    last = min(max(END_LINES, round(AT_ONCE_END * at_once)), MOST_END)
    if quick:
        return Span(max(QUICK_START, round(first * 0.55)), max(QUICK_END, round(last * 0.55)))
    return Span(first, last)


def calls_at_once(scene: Scene) -> float:
    """About how many calls will be in flight: how many a second the limits let in, times how long one takes."""
    shape, guess = scene.shape, scene.guess
    lines, tokens_out = 0, 0.0
    seconds: dict[tuple[str, Unit], float] = {}
    for part in shape.parts:
        mean = guess.replies.mean(part.most[0], guess.output_factor) if part.most else 0.0
        lines, tokens_out = lines + part.lines, tokens_out + part.lines * mean
        needs = {
            Unit.REQUESTS: 1.0,
            Unit.INPUT_TOKENS: part.input_tokens - part.cacheable_tokens * (part.lines > 1),
            Unit.OUTPUT_TOKENS: mean,
        }
        for limit in scene.limits(part.cell.kind.pool):
            key = (part.cell.kind.pool, limit.unit)
            seconds[key] = seconds.get(key, 0.0) + part.lines * needs.get(limit.unit, 0.0) / limit.rate
    if not lines or not seconds:
        return float(scene.config.concurrency or 0)
    tempo = scene.tempo(shape.models[0])
    takes_s = tempo.first_s * exp(tempo.first_sigma**2 / 2) + tokens_out / lines / tempo.speed
    at_once = lines / max(max(seconds.values()), 1e-9) * takes_s
    return min(at_once, float(scene.config.concurrency or at_once))


def _capacity(scene: Scene) -> Callable[[str, Limit], float]:
    """What full buckets hold: as set, else as learnt, else as seen, else by assumption."""

    def capacity(pool: str, limit: Limit) -> float:
        if limit.burst is not None:
            return limit.burst
        lesson = scene.lessons(pool).get(limit.unit)
        if lesson is not None and lesson.amount == limit.amount:
            return lesson.capacity
        seen = scene.bursts.get((pool, limit.unit))
        if seen is not None:
            return seen
        return limit.rate * scene.burst_s

    return capacity
