"""How long replies will be, and how sure that is: as stated, as learnt from the ledger, or as assumed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist, fmean
from typing import Literal

from headway.core.forecast import PRIOR_MEDIAN, PRIOR_SIGMA
from headway.errors import InputError

Source = Literal["stated", "learnt", "assumed"]

STATED_SIGMA = 0.8  # spread of lengths around a stated mean; the mean itself is taken at its word
ASSUMED_DOUBT = (
    0.7  # sigma of the factor by which a mean may be off that nobody knows: 10 % are beyond 2.5 times
)
ANOTHER_JOB_DOUBT = 0.3  # replies of the same model, but to other work
SAME_JOB_DOUBT = 0.02  # the next batch of the same work
ALIKE_DOUBT = 0.06  # another job whose prompts look the same
SURE_SHARE = 0.95  # of lengths that were seen; beyond it they are few
ENOUGH = 30  # replies of a kind, before they count as a kind of their own
_KIN_DOUBT = {"same": SAME_JOB_DOUBT, "alike": ALIKE_DOUBT}
_NORMAL = NormalDist()
_STEPS = 400  # of a distribution, to take its mean
_STATED = re.compile(
    r"(?:(?P<mean>\d+(?:\.\d+)?)|lognormal:(?P<median>\d+(?:\.\d+)?):(?P<sigma>\d+(?:\.\d+)?))"
)
_HINT = "A mean such as 300, or lognormal:MEDIAN:SIGMA such as lognormal:200:0.8."


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lengths by formula. Tokens."""

    median: float
    sigma: float

    def at(self, share: float) -> float:
        """The length that `share` of the replies stay below."""
        return self.median * exp(self.sigma * _NORMAL.inv_cdf(share))


@dataclass(frozen=True, slots=True)
class Seen:
    """Lengths as they were, sorted. Tokens."""

    lengths: tuple[int, ...]

    def at(self, share: float) -> float:
        """The length that `share` of the replies stay below."""
        return float(self.lengths[min(int(share * len(self.lengths)), len(self.lengths) - 1)])

    def upper(self) -> Lognormal:
        """The lognormal that is like the longer half of them."""
        half = self.lengths[len(self.lengths) // 2 :]
        middle = max(half[0], 1)
        return Lognormal(middle, sqrt(fmean(log(max(each, 1) / middle) ** 2 for each in half)))


@dataclass(frozen=True, slots=True)
class Replies:
    """Lengths of replies. `doubt` is the sigma of the factor by which their mean may be off; `calls` have taught it.

    `kinds` are the lengths of calls with a `max_tokens` of so many bits; calls of other kinds are as `all`.
    """

    source: Source
    all: Lognormal | Seen
    doubt: float
    calls: int = 0
    kinds: tuple[tuple[int, Seen], ...] = ()

    def length(self, most: int, share: float, factor: float) -> int:
        """The length that `share` of the replies to calls with this `max_tokens` stay below, if all are `factor` longer."""
        lengths = self.all
        for bits, of_kind in self.kinds:
            if bits == most.bit_length():
                lengths = of_kind
        return max(min(1, most), min(most, round(lengths.at(share) * factor)))

    def smooth(self, most: int, share: float, factor: float) -> float:
        """The same, but of lengths that were seen the longest ones by how the others spread: of some hundred replies, the
        longest is chance."""
        if isinstance(self.all, Lognormal) or share <= SURE_SHARE:
            return self.length(most, share, factor)
        return min(float(most), self.all.upper().at(share) * factor)

    def mean(self, most: int, factor: float) -> float:
        """The mean length of replies to calls with this `max_tokens`."""
        return sum(self.length(most, (step + 0.5) / _STEPS, factor) for step in range(_STEPS)) / _STEPS


ASSUMED = Replies("assumed", Lognormal(PRIOR_MEDIAN, PRIOR_SIGMA), ASSUMED_DOUBT)


def stated(text: str) -> Replies:
    """Read `--output-tokens`. Raises InputError."""
    found = _STATED.fullmatch(re.sub(r"\s*:\s*", ":", text.strip().lower()))
    if found is None or float(found["mean"] or found["median"]) <= 0:
        raise InputError(f"--output-tokens does not understand {text!r}", hint=_HINT)
    if found["mean"]:
        mean = float(found["mean"])
        return Replies("stated", Lognormal(mean * exp(-(STATED_SIGMA**2) / 2), STATED_SIGMA), 0.0)
    return Replies("stated", Lognormal(float(found["median"]), float(found["sigma"])), 0.0)


def learnt(seen: Sequence[tuple[int, int]], *, kin: str) -> Replies:
    """From pairs of `max_tokens` (0: not known) and what the reply took, at least one; `kin` is whose they are: "same",
    "alike" or "other", see `past`."""
    lengths = sorted(output for _, output in seen)
    kinds: dict[int, list[int]] = {}
    for most, output in seen:
        kinds.setdefault(most.bit_length(), []).append(output)
    mean = sum(lengths) / len(lengths)
    variance = sum((each - mean) ** 2 for each in lengths) / len(lengths)
    sampling = sqrt(variance) / max(mean, 1.0) / sqrt(len(lengths)) if len(lengths) > 1 else ASSUMED_DOUBT
    other = _KIN_DOUBT.get(kin, ANOTHER_JOB_DOUBT)
    own = tuple(
        (bits, Seen(tuple(sorted(group))))
        for bits, group in kinds.items()
        if bits and len(group) >= ENOUGH and len(kinds) > 1
    )
    doubt = min(sqrt(sampling**2 + other**2), ASSUMED_DOUBT)
    return Replies("learnt", Seen(tuple(lengths)), doubt, len(lengths), own)


def factor_at(doubt: float, normal: float) -> float:
    """The factor on a mean in doubt at so many standard deviations: 1 in the middle."""
    return exp(doubt * normal) if doubt else 1.0


def spread_of(lengths: Sequence[int]) -> float:
    """Relative standard deviation of lengths."""
    if len(lengths) < 2:
        return 0.0
    mean = sum(lengths) / len(lengths)
    return sqrt(sum((each - mean) ** 2 for each in lengths) / len(lengths)) / mean


def median_factor(samples: Sequence[float]) -> tuple[float, float]:
    """Median and sigma of a lognormal by its middle and its quartiles. At least one sample, all above 0."""
    ordered = sorted(samples)
    size = len(ordered)
    low, middle, high = (ordered[min(int(share * size), size - 1)] for share in (0.25, 0.5, 0.75))
    return middle, log(high / low) / 1.349 if high > low > 0 else 0.0
