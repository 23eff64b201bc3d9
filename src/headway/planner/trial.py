"""One run of a job through the engine, in virtual time: its beginning and its end line by line, what is between by the
pace of the beginning.

The order of a job makes any beginning of it a fair sample, so its middle goes on as its beginning does: at the fluid bound
(need ÷ rate of the limit that takes longest), times how much longer than that the beginning took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from headway.core.call import Call, Class, Unit
from headway.core.engine import Engine
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

    `waited_s` is how long each limit held calls back, in virtual seconds, `refused` are 429s by limit. `lost` calls never
    got a reply.
    """

    servings: Sequence[Serving]
    first: int
    skipped: list[Skipped]
    waited_s: Mapping[str, float]
    refused: Mapping[Unit, int]
    lost: int = 0
    most_memory: int = field(default=0)


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
    world = ProviderWorld(rules, truths, seed)
    driver = VirtualDriver(engine, world, seed=seed)
    feed = _Feed(shape, sizes, span, guess, engine, truths, lambda: driver.now, job, stream, seed)
    outcomes = driver.run(feed, lookahead=LOOKAHEAD * feed.pools)
    waited: dict[str, float] = {}
    for pool in engine.pools.values():
        for name, seconds in pool.bound_s.items():
            waited[name] = waited.get(name, 0.0) + seconds
    return Trial(
        servings=world.books.servings,
        first=feed.first if feed.skipped else len(world.books.servings),
        skipped=feed.skipped,
        waited_s=waited,
        refused=world.books.refused,
        lost=sum(outcome.reply is None or outcome.problem is not None for outcome in outcomes),
    )


class _Feed(Iterator[Call]):
    """Hands out calls as `jobs.job` does: in its order, and of one cache prefix only the first until that is warm.

    While nothing may go it says that it is at its end; asked again later, it goes on.
    """

    def __init__(
        self,
        shape: Shape,
        sizes: Sizes,
        span: Span,
        guess: Guess,
        engine: Engine,
        truths: dict[str, Truth],
        clock: Callable[[], float],
        job: str,
        stream: bool,
        seed: int,
    ) -> None:
        self._parts = [Part(Cell(part.cell.kind, part.cell.lines), *_rest(part)) for part in shape.parts]
        self._order = Order([part.cell for part in self._parts])
        self.pools = len({part.cell.kind.pool for part in self._parts})
        self.first = 0
        self.skipped: list[Skipped] = []
        self._span = span
        self._sizes = sizes
        self._guess = guess
        self._engine = engine
        self._truths = truths
        self._clock = clock
        self._job = job
        self._stream = stream
        self._random = Random(seed)
        self._begun: dict[
            str, str
        ] = {}  # prefixes of which a call has been handed out, as the engine knows them
        self._draws: dict[int, float] = {}

    def __next__(self) -> Call:
        if self.first == self._span.first and not self.skipped:
            self._skip()
        picked = self._order.next(self._pool_may, self._kind_may)
        if picked is None:
            raise StopIteration
        number, kind = picked
        if not self.skipped:
            self.first += 1
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
        self._truths[call.id] = self._truth(call)
        return call

    def _truth(self, call: Call) -> Truth:
        estimate, guess = call.estimate, self._guess
        factor = guess.ratio * max(0.2, 1.0 + self._random.gauss(0.0, estimate.error))
        most = estimate.max_output_tokens
        kind = most.bit_length()
        share = self._draws[kind] = (self._draws.get(kind, self._random.random()) + GOLDEN) % 1.0
        share = min(max(share, 1e-4), 1.0 - 1e-4)
        return Truth(
            max(1, round(estimate.input_tokens * factor)),
            guess.replies.length(most, share, guess.output_factor),
            round(estimate.cacheable_tokens * factor),
        )

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
        known = self._engine.pools.get(pool)
        return known is None or len(known.line) < LOOKAHEAD

    def _kind_may(self, kind: Kind) -> bool:
        prefix = self._begun.get(kind.prefix) if kind.prefix else None
        return not prefix or self._engine.prefixes.is_warm(prefix, self._clock())


def _rest(part: Part) -> tuple[float, float, tuple[int, ...]]:
    return part.input_tokens, part.cacheable_tokens, part.most
