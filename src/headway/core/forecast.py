"""What calls will take, learnt from what calls took.

Output lengths are learnt as survival: for each length, how many calls that got so far went on. So a call that is still
running teaches too, and the short replies that come back first do not make all replies look short (the Kaplan-Meier
estimate, E. L. Kaplan and P. Meier, 1958). A call cut off by `max_tokens` is a call that would have gone on.

Input estimates are corrected by the ratio of what was counted to what was estimated, per kind of call.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from math import erf, log, sqrt
from typing import NamedTuple

from headway.core.call import Call

# Lengths in tokens at which survival is kept: 16, then three steps an octave, up to 131,072.
EDGES = (0.0, *(16.0 * 2 ** (step / 3) for step in range(40)))
# Replies of production services: median 130-220 tokens, p99 600-3,700 (Azure 2023 conversation trace, Claude Code traces).
PRIOR_MEDIAN, PRIOR_SIGMA, PRIOR_CALLS = 200.0, 1.2, 4.0
RATIO_MEMORY = 0.99
KINDS_KEPT, CEILINGS_KEPT = 2000, 64


class Guess(NamedTuple):
    """Expected amount and the variance of that guess."""

    mean: float
    variance: float


def _prior_hazard(low: float, high: float) -> float:
    """Share of calls of the prior that got to `low` tokens and end before `high`."""

    def survival(tokens: float) -> float:
        if tokens <= 0:
            return 1.0
        return 0.5 * (1.0 - erf(log(tokens / PRIOR_MEDIAN) / (PRIOR_SIGMA * sqrt(2.0))))

    return 1.0 - survival(high) / survival(low) if survival(low) > 1e-12 else 0.5


_PRIOR = tuple(_prior_hazard(low, high) for low, high in pairwise(EDGES))


class Lengths:
    """The distribution of output lengths of one kind of call. Tokens."""

    def __init__(self, parent: Lengths | None = None) -> None:
        self.calls = 0
        self._parent = parent
        self._taught = (self,) if parent is None else (self, parent)  # by what is told of a call
        self._entered = [0.0] * (
            len(_PRIOR) + 1
        )  # at each step, how many more entered it than the one before
        self._ended = [0.0] * len(_PRIOR)
        self._news = 1  # what came since the tables were made
        self._survival: list[float] = []
        self._area: list[float] = []  # integral of survival: the mean of lengths cut off there
        self._moment: list[float] = []  # integral of 2 x survival(x): the second moment
        self._whole: dict[float, Guess] = {}  # by the most a call may put out, for calls that have not begun

    @property
    def taught(self) -> int:
        """Calls that have taught this distribution, or the one it starts from."""
        return self.calls if self._parent is None else max(self.calls, self._parent.calls)

    def grow(self, before: float, now: float) -> None:
        """A call has got from `before` to `now` tokens, and may go on. Not before something has been seen of it."""
        first = bisect_right(EDGES, before) if before > 0.0 else 0
        last = min(bisect_right(EDGES, now), len(_PRIOR))
        if last > first:
            for each in self._taught:
                each._entered[first] += 1.0
                each._entered[last] -= 1.0
                each._news += 1

    def end(self, tokens: float, *, cut_off: bool) -> None:
        """A call has ended at `tokens`, on its own or because its `max_tokens` cut it off."""
        step = min(bisect_right(EDGES, tokens), len(_PRIOR)) - 1
        for each in self._taught:
            each.calls += 1
            each._news += 1
            if not cut_off and step >= 0:
                each._ended[step] += 1.0

    def expect(self, most: float, produced: float = 0.0) -> Guess:
        """What a call limited to `most` tokens will take in all, given that it has produced `produced`."""
        if produced >= most:
            return Guess(produced, 0.0)
        self._learn()
        if produced > 0.0:
            return self._guess(most, produced)
        whole = self._whole.get(most)
        if whole is None:
            if len(self._whole) >= CEILINGS_KEPT:
                self._whole.clear()
            whole = self._whole[most] = self._guess(most, 0.0)
        return whole

    def _guess(self, most: float, produced: float) -> Guess:
        survival, area, moment = self._survival, self._area, self._moment
        high, share = _between(most)
        mean = area[high] + share * (area[high + 1] - area[high])
        square = moment[high] + share * (moment[high + 1] - moment[high])
        if produced > 0.0:
            low, share = _between(produced)
            alive = survival[low] + share * (survival[low + 1] - survival[low])
            alive = alive if alive > 1e-9 else 1e-9
            mean = produced + (mean - area[low] - share * (area[low + 1] - area[low])) / alive
            square = produced**2 + (square - moment[low] - share * (moment[low + 1] - moment[low])) / alive
        mean = produced if mean < produced else most if mean > most else mean
        variance, widest = square - mean * mean, 0.25 * (most - produced) ** 2  # of anything between the two
        return Guess(mean, 0.0 if variance < 0.0 else widest if variance > widest else variance)

    def _hazards(self) -> tuple[float, ...]:
        if self._parent is None:
            return _PRIOR
        before = self._parent.survival
        return tuple(1.0 - high / low if low > 1e-9 else 1.0 for low, high in pairwise(before))

    @property
    def survival(self) -> list[float]:
        """Share of calls that get to each of EDGES."""
        self._learn()
        return self._survival

    def _learn(self) -> None:
        if self._survival and self._news <= self.calls / 32:  # a few more calls do not change the picture
            return
        alive, believed, area, moment, seen = 1.0, PRIOR_CALLS, 0.0, 0.0, 0.0
        survivals, areas, moments = [1.0], [0.0], [0.0]
        steps = zip(self._hazards(), self._entered, self._ended, EDGES, EDGES[1:], strict=False)
        for hazard, entered, ended, low, high in steps:
            seen += entered
            known = seen + believed
            after = alive * (1.0 - ((ended + believed * hazard) / known if known > 1e-9 else hazard))
            believed *= 1.0 - hazard
            area += 0.5 * (alive + after) * (high - low)
            moment += (alive * low + after * high) * (high - low)
            alive = after
            survivals.append(alive)
            areas.append(area)
            moments.append(moment)
        self._survival, self._area, self._moment = survivals, areas, moments
        self._whole.clear()
        self._news = 0


def _between(tokens: float) -> tuple[int, float]:
    """The step of EDGES that `tokens` is in, and how far in it, from 0 to 1."""
    step = bisect_right(EDGES, tokens) - 1
    if step >= len(_PRIOR):
        return len(_PRIOR) - 1, 1.0
    return step, (tokens - EDGES[step]) / (EDGES[step + 1] - EDGES[step])


class Ratio:
    """How much more (or less) is counted than estimated, for one kind of call.

    `value` is the factor to put on an estimate; the prior, 1, weighs as much as two calls.
    """

    __slots__ = ("_actual", "_calls", "_estimated", "_square", "value")

    def __init__(self) -> None:
        self.value = 1.0
        self._estimated = self._actual = self._square = self._calls = 0.0

    def learn(self, estimated: float, actual: float) -> None:
        """One reply: what was estimated and what was counted. Tokens."""
        if estimated <= 0 or actual <= 0:
            return
        self._square = RATIO_MEMORY * self._square + (actual / estimated / self.value - 1.0) ** 2
        self._calls = RATIO_MEMORY * self._calls + 1.0
        self._estimated = RATIO_MEMORY * self._estimated + estimated
        self._actual = RATIO_MEMORY * self._actual + actual
        typical = 2.0 * self._estimated / self._calls
        self.value = (self._actual + typical) / (self._estimated + typical)

    def error(self, prior: float) -> float:
        """Relative standard deviation of a corrected estimate."""
        return sqrt((self._square + 4.0 * prior**2) / (self._calls + 4.0))


class _Owner:
    """What is learnt of the calls of one model and job (or tenant): by size, because sizes tell kinds of work apart."""

    __slots__ = ("kinds", "lengths", "ratio")

    def __init__(self) -> None:
        self.ratio = Ratio()
        self.lengths = Lengths()
        self.kinds: dict[tuple[int, int], Lengths] = {}


class Forecast:
    """All kinds of calls: by model and owner, and within these by size."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], _Owner] = {}
        self._kinds = 0

    def of(self, call: Call) -> tuple[Lengths, Ratio]:
        """The output lengths of calls like this one, and the correction of their input estimates."""
        name = (call.identity.model, call.job or call.tenant)
        owner = self._owners.get(name)
        if owner is None:
            owner = self._owners[name] = _Owner()
        estimate = call.estimate
        kind = (int(estimate.input_tokens).bit_length() // 2, estimate.max_output_tokens.bit_length())
        lengths = owner.kinds.get(kind)
        if lengths is None:
            self._kinds += 1
            if self._kinds > KINDS_KEPT:
                self._owners, self._kinds = {name: owner}, 1
                owner.kinds.clear()
            lengths = owner.kinds[kind] = Lengths(owner.lengths)
        return lengths, owner.ratio

    def lengths(self, call: Call) -> Lengths:
        """The output lengths of calls like this one."""
        return self.of(call)[0]

    def ratio(self, call: Call) -> Ratio:
        """The correction of input estimates for calls like this one."""
        return self.of(call)[1]
