"""From a run of a job's beginning and end to the course of the whole job: when how much is done, what binds, what it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from headway.core.call import Unit, Usage
from headway.core.limit import Limit
from headway.planner.tail import Tail, tail_of
from headway.planner.trial import Guess, Skipped, Trial
from headway.planner.world import Rules, Serving

ALWAYS = 0.9  # of the time somebody was held back by a limit: then it is used wholly, whatever a short look at it says
ABOUT = 0.06  # how far a short look may be off
STEADY = (0.3, 0.95)  # of the calls of the beginning: between these it is neither starting nor breaking off
POINTS = 120  # of the curve of progress
Needs = dict[tuple[str, Unit], float]


@dataclass(frozen=True, slots=True)
class Course:
    """A job from its start to its end. Seconds; `admitted_s` is when the last call is let in.

    `waited` says for what share of the time each limit of each pool held calls back, `in_flight` how many were under way
    (median, most). `curve` is (seconds, lines done). `refused` are expected 429s. `pace` is how much longer than the limits
    alone the middle of the job takes; `needs` is what all of it takes of each unit of each pool.
    """

    admitted_s: float
    tail: Tail
    waited: Mapping[tuple[str, str], float]
    in_flight: tuple[int, int]
    refused: float
    curve: tuple[tuple[float, float], ...]
    pace: float
    needs: Needs
    simulated: int

    @property
    def ends_s(self) -> float:
        """When all is done, as likely earlier as later."""
        return self.admitted_s + self.tail.p50


def course_of(trial: Trial, guess: Guess, rules: Rules) -> Course:
    """Put the stretches that were not run back in their place."""
    servings, first = trial.servings, trial.first
    needs = needs_of(servings, rules)
    low, high = (int(first * share) for share in STEADY)
    from_s, to_s = (servings[at].at if at < len(servings) else 0.0 for at in (low, high))
    window_s = max(to_s - from_s, 0.0)
    fluid = fluid_s(_used_between(servings, rules, from_s, to_s), rules.limits)
    a_line = window_s / max(high - low, 1)
    pace = _settled(window_s / fluid if fluid else 0.0, trial)
    more_s, lines = 0.0, 0
    for skipped in trial.skipped:
        taken = expected(skipped, guess, rules)
        for key, amount in taken.items():
            needs[key] = needs.get(key, 0.0) + amount
        more_s += fluid_s(taken, rules.limits) * pace if pace else skipped.lines * a_line
        lines += skipped.lines
    admitted_s = (servings[-1].at if servings else 0.0) + more_s
    tail = tail_of(servings, guess, rules)
    return Course(
        admitted_s=admitted_s,
        tail=tail,
        waited=_shares(trial, more_s, admitted_s + tail.p50),
        in_flight=in_flight_of(servings),
        refused=float(sum(trial.refused.values())),
        curve=_curve(servings, first, more_s, lines),
        pace=pace,
        needs=needs,
        simulated=len(servings),
    )


def _settled(pace: float, trial: Trial) -> float:
    """The pace of the middle. Where a limit always holds somebody back it is 1, but for what a short look cannot tell:
    replies under way, and what a full bucket gives at the start."""
    admitted = trial.servings[-1].at if trial.servings else 0.0
    is_bound = max(_by_pool(trial).values(), default=0.0) > ALWAYS * admitted
    if is_bound and pace < 1.0 + ABOUT:
        return 1.0
    return pace


def expected(skipped: Skipped, guess: Guess, rules: Rules) -> Needs:
    """What a stretch takes of the limits, by the means of its parts. Whoever shares a beginning reads it from the cache."""
    found: Needs = {}
    for part, lines in skipped.parts:
        kind = part.cell.kind
        tokens_in = part.input_tokens * guess.ratio
        if kind.prefix and part.lines > 1 and rules.cache_is_free(kind.model):
            tokens_in -= part.cacheable_tokens * guess.ratio
        tokens_out = mean_output(part.most, guess)
        for unit, amount in (
            (Unit.REQUESTS, 1.0),
            (Unit.INPUT_TOKENS, tokens_in),
            (Unit.OUTPUT_TOKENS, tokens_out),
            (Unit.TOKENS, tokens_in + tokens_out),
        ):
            found[kind.pool, unit] = found.get((kind.pool, unit), 0.0) + lines * amount
    return found


def mean_output(most: Sequence[int], guess: Guess) -> float:
    """The mean reply to lines with these `max_tokens`."""
    counts = {ceiling: most.count(ceiling) for ceiling in set(most)}
    means = (count * guess.replies.mean(ceiling, guess.output_factor) for ceiling, count in counts.items())
    return sum(means) / max(len(most), 1)


def needs_of(servings: Sequence[Serving], rules: Rules) -> Needs:
    """What calls took of each limit of each pool."""
    found: Needs = {}
    for serving in servings:
        pool, usage = serving.call.identity.pool or "", serving.usage
        counted = charged_input(usage, free=rules.cache_is_free(serving.call.identity.model))
        for unit, amount in (
            (Unit.REQUESTS, 1.0),
            (Unit.INPUT_TOKENS, counted),
            (Unit.OUTPUT_TOKENS, float(usage.output_tokens)),
            (Unit.TOKENS, counted + usage.output_tokens),
        ):
            found[pool, unit] = found.get((pool, unit), 0.0) + amount
    return found


def _used_between(servings: Sequence[Serving], rules: Rules, from_s: float, to_s: float) -> Needs:
    """What the limits were charged with in this time: output as it was produced, whoever asked for it when."""
    found: Needs = {}
    for serving in servings:
        if serving.ends_at <= from_s or serving.at >= to_s:
            continue
        begins, usage, pool = serving.begins_at, serving.usage, serving.call.identity.pool or ""
        within = min(serving.ends_at, to_s) - max(begins, from_s)
        share = max(within, 0.0) / max(serving.ends_at - begins, 1e-9)
        is_new = from_s <= serving.at
        counted = charged_input(usage, free=rules.cache_is_free(serving.call.identity.model)) * is_new
        for unit, amount in (
            (Unit.REQUESTS, float(is_new)),
            (Unit.INPUT_TOKENS, counted),
            (Unit.OUTPUT_TOKENS, usage.output_tokens * share),
            (Unit.TOKENS, counted + usage.output_tokens * share),
        ):
            found[pool, unit] = found.get((pool, unit), 0.0) + amount
    return found


def fluid_s(needs: Needs, limits: Callable[[str], Sequence[Limit]]) -> float:
    """The time that the limits alone take for what is needed."""
    return max(
        (
            needs.get((pool, limit.unit), 0.0) / limit.rate
            for pool in {pool for pool, _ in needs}
            for limit in limits(pool)
        ),
        default=0.0,
    )


def charged_input(usage: Usage, *, free: bool) -> float:
    """Input that counts against the limit. `free`: what is read from the cache does not."""
    counted = usage.input_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    return float(counted if free else counted + usage.cache_read_tokens)


def in_flight_of(servings: Sequence[Serving]) -> tuple[int, int]:
    """How many calls were under way: half of the time no more than, and at most."""
    changes = sorted(
        [(serving.at, 1) for serving in servings] + [(serving.ends_at, -1) for serving in servings]
    )
    spent: dict[int, float] = {}
    now = 0
    for (at, step), (until, _) in pairwise(changes):
        now += step
        spent[now] = spent.get(now, 0.0) + until - at
    half, seen = sum(spent.values()) / 2.0, 0.0
    for count in sorted(spent):
        seen += spent[count]
        if seen >= half:
            return count, max(spent)
    return 0, 0


def _by_pool(trial: Trial) -> dict[str, float]:
    """How long each pool held calls back in all."""
    found: dict[str, float] = {}
    for (pool, _), seconds in trial.waited_s.items():
        found[pool] = found.get(pool, 0.0) + seconds
    return found


def _shares(trial: Trial, more_s: float, ends: float) -> dict[tuple[str, str], float]:
    """The share of the whole time that each limit held calls back: the middle goes on as the part that was run."""
    admitted = max((trial.servings[-1].at if trial.servings else 0.0), 1e-9)
    totals = _by_pool(trial)
    found: dict[tuple[str, str], float] = {}
    for (pool, name), seconds in trial.waited_s.items():
        if seconds > 0.0:
            more = more_s * min(totals[pool] / admitted, 1.0) * seconds / totals[pool]
            found[pool, name] = (seconds + more) / max(ends, 1e-9)
    return found


def _curve(
    servings: Sequence[Serving], first: int, more_s: float, lines: int
) -> tuple[tuple[float, float], ...]:
    """When how many lines are done: the beginning as it was, the middle as a straight line, then the end."""
    cut = servings[first].at if first < len(servings) else float("inf")
    ends = sorted(serving.ends_at for serving in servings)
    step = max(1, len(ends) // POINTS)
    points = [(0.0, 0.0)]
    for done in [*range(step, len(ends), step), len(ends)]:
        at = ends[done - 1]
        points.append((at, float(done)) if at < cut else (at + more_s, float(done + lines)))
    return tuple(points)
