"""The plan of a job: how long, how much, what binds, at the 10th, 50th and 90th percentile of what is not known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, hypot, sqrt

from headway.core.call import Unit
from headway.ledger.price import Prices
from headway.planner.course import Course
from headway.planner.money import Bill
from headway.planner.replies import factor_at
from headway.planner.scene import Scene, play, span_for
from headway.planner.trial import Span

Z90 = 1.2816  # standard deviations to the 90th percentile
FEWER_BURSTS, MORE_BURSTS = 0.4, 3.0  # of what full buckets are assumed to hold, where nobody knows
MEMORY_BASE, MEMORY_LINE, MEMORY_CALL = 62_000_000, 32, 60_000  # bytes that `headway run` takes, measured


@dataclass(frozen=True, slots=True)
class Range:
    """A number that is not known, by its 10th, 50th and 90th percentile."""

    p10: float
    p50: float
    p90: float


@dataclass(frozen=True, slots=True)
class Doubt:
    """How unsure what goes into a plan is: sigmas of the factors by which it may be off, over the whole job."""

    output: float
    ratio: float
    tempo: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job comes to. Seconds, whole nanodollars (None: no price is known), tokens, bytes. `batch_nanousd` is what it
    would cost as batches; `best` and `worst` are the courses of the 10th and the 90th percentile."""

    lines: int
    seconds: Range
    nanousd: tuple[int, int, int] | None
    unpriced: tuple[str, ...]
    input_tokens: float
    output_tokens: Range
    course: Course
    best: Course
    worst: Course
    memory: int
    batch_nanousd: int | None = None


def plan(
    scene: Scene, doubt: Doubt, prices: Prices, progress: Callable[[str], None] = lambda _what: None
) -> Plan:
    """Run the scene as it is believed, and once as well and once as badly as it may be with one chance in ten."""
    lines = scene.shape.lines
    progress("the job as expected")
    span, quick = span_for(scene), span_for(scene, quick=True)
    course, bill = play(scene, span, prices)
    spread = sqrt(lines) or 1.0
    sigma_out = sqrt(doubt.output**2 + (1.0 / spread) ** 2)
    sigma_in = sqrt(doubt.ratio**2 + (scene.shape.error / spread) ** 2)
    burst_is_known = bool(scene.bursts) or all(
        limit.burst is not None for pool in scene.pools for limit in scene.limits(pool)
    )
    courses = []
    for sign, bursts in ((-1.0, MORE_BURSTS), (1.0, FEWER_BURSTS)):
        progress("the best case" if sign < 0 else "the worst case")
        varied = scene.varied(
            output=factor_at(sigma_out, sign * Z90),
            ratio=factor_at(sigma_in, sign * Z90),
            slower=exp(doubt.tempo * sign * Z90),
            burst_s=scene.burst_s * (1.0 if burst_is_known else bursts),
        )
        courses.append(play(varied, _fitting(span, quick), prices)[0])
    low, high = courses
    return Plan(
        lines=lines,
        seconds=_times(low, course, high),
        nanousd=_costs(bill, sigma_in, sigma_out, _output(low), _output(course), _output(high)),
        unpriced=bill.unpriced,
        input_tokens=scene.shape.input_tokens * scene.guess.ratio,
        output_tokens=Range(_output(low), _output(course), _output(high)),
        course=course,
        best=low,
        worst=high,
        memory=memory_of(scene, course),
        batch_nanousd=bill.batch,
    )


def _times(low: Course, middle: Course, high: Course) -> Range:
    """When the last call goes and how long the last ones take are in doubt apart from each other."""
    end, tail = middle.ends_s, middle.tail
    sooner = hypot(max(middle.admitted_s - low.admitted_s, 0.0), tail.p50 - min(low.tail.p50, tail.p10))
    later = hypot(max(high.admitted_s - middle.admitted_s, 0.0), max(high.tail.p50, tail.p90) - tail.p50)
    return Range(max(end - sooner, 0.0), end, end + later)


def _fitting(span: Span, quick: Span) -> Span:
    return quick if span.first > 2_000 else span


def memory_of(scene: Scene, course: Course) -> int:
    """Bytes that `headway run` will have in memory at most."""
    body = scene.shape.bodies / max(scene.shape.lines, 1)
    return round(
        MEMORY_BASE + MEMORY_LINE * scene.shape.lines + course.in_flight[1] * (MEMORY_CALL + 3 * body)
    )


def _output(course: Course) -> float:
    return sum(amount for (_, unit), amount in course.needs.items() if unit is Unit.OUTPUT_TOKENS)


def _costs(
    bill: Bill, sigma_in: float, sigma_out: float, low: float, middle: float, high: float
) -> tuple[int, int, int] | None:
    """Input and output are in doubt apart from each other: it is unlikely that both are as dear as they may be."""
    if bill.input is None or bill.output is None:
        return None
    of_input, of_output = bill.input * sigma_in, bill.output * sigma_out
    both = sqrt(of_input**2 + of_output**2) or 1.0
    found = []
    for sign, output in ((-1.0, low), (1.0, high)):
        tokens_in = exp(sigma_in * sign * Z90 * of_input / both)
        tokens_out = (output / max(middle, 1.0)) ** (of_output / both)
        found.append(round(bill.input * tokens_in + bill.output * tokens_out))
    return found[0], bill.input + bill.output, found[1]
