"""How long the last calls take once nothing is left to send: the longest of many, so chance decides, not the mean."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from random import Random

from headway.planner.trial import Guess
from headway.planner.world import Rules, Serving, speed_at

DRAWS = 2_000  # of how long a call takes
LOOKED_AT = 3_000  # calls at most, the last ones
_STEPS = 24  # halvings, until a quantile is close enough


@dataclass(frozen=True, slots=True)
class Tail:
    """Seconds from the last call that is let in to the end of all: 10th, 50th and 90th percentile."""

    p10: float
    p50: float
    p90: float


def tail_of(servings: Sequence[Serving], guess: Guess, rules: Rules, seed: int = 0) -> Tail:
    """By the chance of each of the last calls to be over by then: P(all over) is the product."""
    if not servings:
        return Tail(0.0, 0.0, 0.0)
    random = Random(seed)
    takes: dict[tuple[str, int], list[float]] = {}
    last, calls = servings[-1].at, []
    for serving in servings[-LOOKED_AT:]:
        call = serving.call
        kind = call.identity.model, call.estimate.max_output_tokens
        if kind not in takes:
            takes[kind] = sorted(_takes_s(*kind, guess, rules, random) for _ in range(DRAWS))
        if serving.at + takes[kind][-1] > last:
            calls.append((last - serving.at, takes[kind]))
    most = max((each[-1] - ago for ago, each in calls), default=0.0)
    return Tail(*(_quantile(calls, most, share) for share in (0.1, 0.5, 0.9)))


def _takes_s(model: str, most: int, guess: Guess, rules: Rules, random: Random) -> float:
    tempo = rules.tempo(model)
    tokens = guess.replies.smooth(most, min(max(random.random(), 1e-4), 1.0 - 1e-4), guess.output_factor)
    first_s = tempo.first_s * exp(tempo.first_sigma * random.gauss(0.0, 1.0))
    return first_s + tokens / speed_at(tempo, random.gauss(0.0, 1.0))


def _quantile(calls: Sequence[tuple[float, list[float]]], most: float, share: float) -> float:
    """The time by which all calls are over with this chance."""
    low, high = 0.0, most
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        if sum(_log_share(takes, middle + ago) for ago, takes in calls) < log(share):
            low = middle
        else:
            high = middle
    return high


def _log_share(takes: list[float], seconds: float) -> float:
    """Log of the share of calls that are over after so many seconds."""
    over = bisect_right(takes, seconds)
    return log(over / len(takes)) if over else -50.0
