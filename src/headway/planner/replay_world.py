"""The provider in a replay: it keeps the limits as providers do, and answers each call as it was answered then.

Its buckets are kept as those of the emulator are (continuous refill; anything above nothing lets a call in, requests have
to fit; output is counted while it is produced), so the engine meets an arithmetic that is not its own. Headers tell the
limits as Anthropic's do, tokens to the nearest thousand; far from every limit they are read every five seconds only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from headway.core.call import Call, Fault, Problem, Reading, Unit, Usage
from headway.core.limit import Limit
from headway.core.running import PROGRESS_TOKENS
from headway.core.steps import Reply, Ticket
from headway.drivers.virtual import Done, Event, Headed, Produced, Whole
from headway.emulator.bucket import Bucket
from headway.emulator.rules import Admit
from headway.planner.replay_rows import Asked

BURST_S = 5.0  # of refill, that a full bucket holds where nothing is known of it; as the emulator assumes
ROUND_TRIP_S = 0.05  # of a refusal
READ_EVERY_S = 5.0
MINUTE_S = 60.0
PROGRESS_MOST = 8  # times that a stream shows how far it is, where that matters
_HOT = (
    0.2  # of what a full bucket holds: with more output on the way, how far streams are matters to the engine
)
_ANYTHING = 1e-6
_NO_PARTS: tuple[Usage, ...] = ()
_NO_RAW: dict[str, Any] = {}
_COUNTED_LATE = (Unit.OUTPUT_TOKENS, Unit.TOKENS)


class Replayed(Call, frozen=True, kw_only=True):
    """A call that carries what the ledger has of it."""

    asked: Asked


class Took(Usage, frozen=True):
    """What a call took, with what it cost (nanodollars; None: not known)."""

    nanousd: int | None = None


@dataclass(frozen=True, slots=True)
class Peak:
    """How much of a limit was used: in all, and in the fullest minute. Shares of what the limit allows."""

    mean: float
    fullest_minute: float


class Tank:
    """A bucket that is charged at once, by the same rules as `emulator.bucket.Bucket`, which can be charged later, too."""

    __slots__ = ("_at", "_level", "capacity", "rate")

    def __init__(self, capacity: float, rate: float, now: float) -> None:
        self.capacity, self.rate = capacity, rate
        self._level, self._at = capacity, now

    def level(self, now: float) -> float:
        """Units held at `now`; negative is debt."""
        level = self._level + self.rate * (now - self._at)
        self._level = level = level if level < self.capacity else self.capacity
        self._at = now
        return level

    def wait_s(self, need: float, now: float) -> float:
        """Seconds until `need` units are there."""
        missing = need - self.level(now)
        return missing / self.rate if missing > _ANYTHING else 0.0

    def take(self, amount: float) -> None:
        """Take them now."""
        self._level -= amount

    @property
    def is_low(self) -> bool:
        """Whether less than half is left, as of the last look."""
        return self._level < 0.5 * self.capacity


class Pool:
    """The limits of one pool, as the provider keeps them, and how much of them was let in."""

    def __init__(self, limits: Sequence[Limit], now: float) -> None:
        self.limits = tuple(limits)
        self.refused: Counter[Unit] = Counter()
        self.promised = 0  # output tokens of the calls in flight
        self._tanks: list[tuple[int, Unit, Tank]] = []
        self._drained: list[tuple[int, Unit, Bucket]] = []
        for index, limit in enumerate(limits):
            if limit.unit in _COUNTED_LATE:
                self._drained.append((index, limit.unit, Bucket(_capacity(limit), limit.rate, now)))
            else:
                self._tanks.append((index, limit.unit, Tank(_capacity(limit), limit.rate, now)))
        self._watched = sum(_HOT * bucket.capacity for _, _, bucket in self._drained) or float("inf")
        self._read_at = float("-inf")
        self._minute_ends = 0.0
        self._now, self._all, self._most = ([0.0] * len(limits) for _ in range(3))

    def refuse(self, now: float) -> tuple[Unit, int] | None:
        """Which limit lets nobody in now, and in how many whole seconds it would. None: a call may come in."""
        binds, longest = None, 0.0
        for _, unit, tank in self._tanks:
            wait_s = tank.wait_s(1.0 if unit is Unit.REQUESTS else _ANYTHING, now)
            if wait_s > longest:
                binds, longest = unit, wait_s
        for _, unit, bucket in self._drained:
            wait_s = bucket.wait_s(0.0, Admit.DEBT, now)
            if wait_s > longest:
                binds, longest = unit, wait_s
        if binds is None:
            return None
        self.refused[binds] += 1
        return binds, max(1, ceil(longest))

    def charge(self, asked: Asked, charged: int, now: float) -> None:
        """Let it in, after `refuse` did not: requests and input are taken now, output while it is produced."""
        if now >= self._minute_ends:
            self._fold(now)
        self.promised += asked.output
        taken = self._now
        for index, unit, tank in self._tanks:
            amount = 1.0 if unit is Unit.REQUESTS else charged
            tank.take(amount)
            taken[index] += amount
        for index, unit, bucket in self._drained:
            bucket.drain(asked.output, now + asked.first_s, now + asked.total_s)
            taken[index] += asked.output
            if unit is Unit.TOKENS:
                bucket.charge(charged, now)
                taken[index] += charged

    def over(self, asked: Asked) -> None:
        """A call that was let in has ended."""
        self.promised -= asked.output

    @property
    def is_hot(self) -> bool:
        """Whether so much output is on the way that it matters how far each reply is."""
        return self.promised > self._watched

    def readings(self, now: float) -> tuple[Reading, ...]:
        """What the headers of a reply show that is admitted now; nothing if that is known and far from every limit."""
        if now - self._read_at < READ_EVERY_S and not self.is_hot and not self._is_low():
            return ()
        self._read_at = now
        levels = {unit: tank.level(now) for _, unit, tank in self._tanks}
        levels |= {unit: bucket.level(now) for _, unit, bucket in self._drained}
        return tuple(_reading(limit, max(levels[limit.unit], 0.0)) for limit in self.limits)

    def _is_low(self) -> bool:
        return any(tank.is_low for _, _, tank in self._tanks)

    def used(self, span_s: float) -> dict[Unit, Peak]:
        """How much of each limit was used over `span_s` seconds."""
        self._fold(0.0)
        return {
            limit.unit: Peak(total / max(limit.rate * span_s, 1e-9), most / (limit.rate * MINUTE_S))
            for limit, total, most in zip(self.limits, self._all, self._most, strict=True)
        }

    def _fold(self, now: float) -> None:
        self._minute_ends = now - now % MINUTE_S + MINUTE_S
        for index, amount in enumerate(self._now):
            self._all[index] += amount
            self._most[index] = max(self._most[index], amount)
            self._now[index] = 0.0


@dataclass(slots=True)
class Provider:
    """Implements `drivers.virtual.World`. `free` says whether reads from the cache of a model stay out of the input limit."""

    pools: Mapping[str, Pool]
    free: Mapping[str, bool]
    refusals: int = 0
    attempts: int = 0

    def delay(self, ticket: Ticket) -> float:  # noqa: ARG002 (as World has it): the durations of the ledger include the way
        return 0.0

    def arrive(self, ticket: Ticket, now: float) -> Sequence[tuple[float, Event]]:
        call = ticket.call
        assert isinstance(call, Replayed)
        asked = call.asked
        pool = self.pools[asked.pool]
        self.attempts += 1
        refused = self.admit(asked, pool, now)
        if refused is not None:
            unit, retry_after_s = refused
            problem = Problem(
                Fault.RATE_LIMITED, "rate_limit_error", unit.value, 429, None, retry_after_s, unit
            )
            reply = Reply(429, {}, problem=problem, total_s=ROUND_TRIP_S)
            return ((ROUND_TRIP_S, Headed(pool.readings(now), False)), (ROUND_TRIP_S, Done(reply)))
        readings, reply = pool.readings(now), _reply(asked, self.free[asked.model])
        if asked.stream and (readings or pool.is_hot):
            head, done = (asked.first_s, Headed(readings, True)), (asked.total_s, Done(reply))
            return (head, *_progress(asked), done) if pool.is_hot else (head, done)
        return ((asked.total_s, Whole(readings, reply)),)

    def admit(self, asked: Asked, pool: Pool, now: float) -> tuple[Unit, int] | None:
        """Let a call in, or say which limit does not and when it would."""
        refused = pool.refuse(now)
        if refused is not None:
            self.refusals += 1
            asked.refusals += 1
            return refused
        asked.sent_at = now
        pool.charge(asked, charged_input(asked, is_free=self.free[asked.model]), now)
        return None


def _progress(asked: Asked) -> Iterator[tuple[float, Event]]:
    """How far a stream is, a few times."""
    steps = min(asked.output // PROGRESS_TOKENS, PROGRESS_MOST)
    for step in range(1, steps):
        share = step / steps
        yield asked.first_s + (asked.total_s - asked.first_s) * share, Produced(asked.output * share)


def charged_input(asked: Asked, *, is_free: bool) -> int:
    """Input tokens that the limit counts."""
    charged = asked.input + asked.written_5m + asked.written_1h
    return charged if is_free else charged + asked.read


def _reply(asked: Asked, is_free: bool) -> Reply:
    """Where reads from the cache are free, the engine is not told of them, as its estimates are without them, too."""
    if asked.rejected:
        problem = Problem(Fault.REJECTED, "invalid_request_error", "as it was answered then", 400)
        return Reply(400, {}, problem=problem, total_s=asked.total_s)
    read = asked.read
    parts = (Usage(cache_read_tokens=read),) if is_free and read else _NO_PARTS
    usage = Took(
        *(
            asked.input,
            0 if is_free else read,
            asked.written_5m,
            asked.written_1h,
            asked.output,
            0,
            0,
            asked.model,
        ),
        *("", "", "", parts, _NO_RAW),
        asked.cost,
    )
    return Reply(200, {}, None, usage, None, asked.first_s, asked.total_s)


def _reading(limit: Limit, level: float) -> Reading:
    if limit.unit is Unit.REQUESTS:
        return Reading(limit.unit, limit.amount, float(int(level)), 0.0, limit.period_s)
    return Reading(limit.unit, limit.amount, round(level / 1000.0) * 1000.0, 500.0, limit.period_s)


def _capacity(limit: Limit) -> float:
    burst = limit.burst if limit.burst is not None else limit.rate * BURST_S
    return max(1.0, burst) if limit.unit is Unit.REQUESTS else burst
