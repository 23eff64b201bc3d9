"""One run of a job through the engine, in virtual time: its beginning and its end line by line, what is between by the
pace of the beginning.

The order of a job makes any beginning of it a fair sample, so its middle goes on as its beginning does: at the fluid bound
(need ÷ rate of the limit that takes longest), times how much longer than that the beginning took.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from headway.core.call import Call, Class, Unit
from headway.core.engine import Engine
from headway.core.steps import Outcome
from headway.drivers.virtual import VirtualDriver
from headway.jobs.job import LOOKAHEAD
from headway.jobs.lines import PATH
from headway.jobs.order import Cell, Kind, Order
from headway.planner.replies import Replies
from headway.planner.shape import Part, Shape
from headway.planner.sizes import Sizes
from headway.planner.world import ProviderWorld, Rules, Serving, Truth

GOLDEN = 0.6180339887498949  # steps that fill a distribution evenly, from the first draw on
ENDS_DIFFERENTLY = (
    0.06,
    0.05,
    0.04,
    0.03,
    0.02,
    0.01,
)  # left of a job, where kinds of lines run out: see `jobs.order`


@dataclass(frozen=True, slots=True)
class Guess:
    """What is believed of the calls: how long replies will be and by what factor longer, and how far input estimates are off.

    `ratio` is input counted for each token estimated.
    """

    replies: Replies
    output_factor: float = 1.0
    ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Span:
    """How many lines are run one by one at the beginning and at the end of a job."""

    first: int
    last: int


@dataclass(slots=True)
class Skipped:
    """A stretch of a job that was not run line by line: how many lines of each part it has."""

    lines: int
    parts: list[tuple[Part, int]]


@dataclass(slots=True)
class Trial:
    """What came of it: calls as they were let in, with `first` of them before what was `skipped`.

    `waited_s` is how long each limit of each pool held calls back, in virtual seconds, `refused` are 429s by limit. `lost`
    calls never got a reply.
    """

    servings: Sequence[Serving]
    first: int
    skipped: list[Skipped]
    waited_s: Mapping[tuple[str, str], float]
    refused: Mapping[Unit, int]
    lost: int = 0


def run(
    shape: Shape,
    sizes: Sizes,
    guess: Guess,
    rules: Rules,
    engine: Engine,
    span: Span,
    *,
    job: str,
    stream: bool,
    seed: int = 0,
) -> Trial:
    """Run a job, as much of it as `span` says, all of it if that is more."""
    truths: dict[str, Truth] = {}
    lost = 0

    def ended(outcome: Outcome) -> None:
        nonlocal lost
        lost += outcome.reply is None or outcome.problem is not None
        feed.look(driver.now)

    world = ProviderWorld(rules, truths, lambda at: feed.look(at), seed)
    driver = VirtualDriver(engine, world, seed=seed, ended=ended)
    feed = _Feed(shape, sizes, span, guess, driver, truths, job, stream, seed)
    feed.look(0.0)
    driver.play()
    waited: dict[tuple[str, str], float] = {}
    for pool in engine.pools.values():
        for name, seconds in pool.bound_s.items():
            waited[pool.name, name] = seconds
    return Trial(
        servings=world.books.servings,
        first=feed.first if feed.skipped else len(world.books.servings),
        skipped=feed.skipped,
        waited_s=waited,
        refused=world.books.refused,
        lost=lost,
    )


class _Feed:
    """Begins calls as `jobs.job` does: in its order, a few ahead, and of one cache prefix only the first until that is
    warm."""

    def __init__(
        self,
        shape: Shape,
        sizes: Sizes,
        span: Span,
        guess: Guess,
        driver: VirtualDriver,
        truths: dict[str, Truth],
        job: str,
        stream: bool,
        seed: int,
    ) -> None:
        self._parts = [
            replace(part, cell=Cell(part.cell.kind, part.cell.lines)) for part in shape.parts if part.lines
        ]
        self._order = Order([part.cell for part in self._parts])
        self.first = 0
        self.skipped: list[Skipped] = []
        self._span = span
        self._sizes = sizes
        self._guess = guess
        self._driver = driver
        self._truths = truths
        self._job = job
        self._stream = stream
        self._random = Random(seed)
        self._begun: dict[str, str] = {}  # prefixes of which a call was begun, as the engine knows them
        self._draws: dict[int, float] = {}
        self._looks_at = -1.0

    def look(self, at: float) -> None:
        """See at that time whether another call may go."""
        if at > self._driver.now or self._looks_at != at:
            if at <= self._driver.now:
                self._looks_at = at
            self._driver.at(at, self._feed)

    def _feed(self) -> None:
        self._looks_at = -1.0
        while True:
            if self.first == self._span.first and not self.skipped:
                self._skip()
            picked = self._order.next(self._pool_may, self._kind_may)
            if picked is None:
                return
            if not self.skipped:
                self.first += 1
            self._driver.begin(self._call(*picked))

    def _call(self, number: int, kind: Kind) -> Call:
        identity, estimate = self._sizes.of(number)
        if kind.prefix:
            self._begun[kind.prefix] = estimate.prefix
        call = Call(
            id=str(number),
            path=PATH,
            body=b"",
            identity=identity,
            estimate=estimate,
            class_=Class.BULK,
            job=self._job,
            stream=self._stream,
        )
        self._truths[call.id] = truth_of(call, self._guess, self._random, self._draws)
        return call

    def _skip(self) -> None:
        """Jump to the last lines, and note what is passed over."""
        total, last = sum(part.lines for part in self._parts), self._span.last
        for left in (*(round(total * share) for share in ENDS_DIFFERENTLY), last):
            if last <= left < self._order.left:
                before = [part.cell.taken for part in self._parts]
                self._order.skip_to(left)
                passed = [
                    (part, part.cell.taken - was) for part, was in zip(self._parts, before, strict=True)
                ]
                found = [(part, count) for part, count in passed if count]
                self.skipped.append(Skipped(sum(count for _, count in found), found))
        if not self.skipped:
            self.skipped.append(Skipped(0, []))

    def _pool_may(self, pool: str) -> bool:
        known = self._driver.engine.pools.get(pool)
        return known is None or known.line.size < LOOKAHEAD

    def _kind_may(self, kind: Kind) -> bool:
        prefix = self._begun.get(kind.prefix) if kind.prefix else None
        return not prefix or self._driver.engine.prefixes.is_warm(prefix, self._driver.now)


def truth_of(call: Call, guess: Guess, random: Random, draws: dict[int, float]) -> Truth:
    """What a call will really take, by the guess. `draws` are kept from call to call: lengths fill their distribution
    evenly, from the first few calls on."""
    estimate = call.estimate
    factor = guess.ratio * max(0.2, 1.0 + random.gauss(0.0, estimate.error))
    most = estimate.max_output_tokens
    kind = most.bit_length()
    share = draws[kind] = (draws.get(kind, 0.5 - GOLDEN) + GOLDEN) % 1.0
    return Truth(
        max(1, round(estimate.input_tokens * factor)),
        guess.replies.length(most, min(max(share, 1e-4), 1.0 - 1e-4), guess.output_factor),
        round(estimate.cacheable_tokens * factor),
    )
