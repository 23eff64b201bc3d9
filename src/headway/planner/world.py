"""A provider as far as a plan needs one: buckets that refill, a prompt cache, replies that take their time.

The buckets are those of the emulator: refilled continuously, a request is let in while anything is there (for requests: a
whole one), input is charged at admission, output while it is produced or, where `reserves`, `max_tokens` ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, exp
from random import Random

from headway.core.call import Call, Fault, Problem, Reading, Unit, Usage
from headway.core.limit import Limit
from headway.core.steps import Reply, Ticket
from headway.drivers.virtual import Done, Event, Headed, Produced
from headway.emulator.bucket import Bucket
from headway.emulator.rules import Admit

NETWORK_S = 0.01  # each way
PROGRESS_TOKENS = 65  # the engine looks at output in steps of 64
ROUNDING = 1000  # of token amounts in headers
MOST_SIGMAS = 1.8  # by how much a reply is faster or slower than usual
CACHE_S = 300.0  # an entry of the prompt cache lives five minutes from its last use
_TOKENS = (Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS, Unit.TOKENS)


@dataclass(frozen=True, slots=True)
class Tempo:
    """How fast a model answers: seconds to the first token (median, sigma of a lognormal), output tokens a second (the
    same)."""

    first_s: float = 0.9
    first_sigma: float = 0.35
    speed: float = 55.0
    speed_sigma: float = 0.15


@dataclass(frozen=True, slots=True)
class Truth:
    """What a call will really take. Tokens: `cacheable` is the part of `input_tokens` that can be read from the cache."""

    input_tokens: int
    output_tokens: int
    cacheable: int = 0


@dataclass(frozen=True, slots=True)
class Serving:
    """One call that was let in: when, from when on it is answered, when it is over, and what it takes."""

    call: Call
    at: float
    begins_at: float
    ends_at: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class Rules:
    """What the provider enforces. `limits` and `capacity` (units that a full bucket of a limit holds) are of a pool."""

    limits: Callable[[str], Sequence[Limit]]
    capacity: Callable[[str, Limit], float]
    tempo: Callable[[str], Tempo]
    cache_is_free: Callable[[str], bool]
    reserves: bool = False


@dataclass(slots=True)
class Books:
    """What the provider wrote down. `refused` counts 429s by unit."""

    servings: list[Serving] = field(default_factory=list)
    refused: dict[Unit, int] = field(default_factory=dict)


class ProviderWorld:
    """Implements `drivers.virtual.World`. `truths` are by call id; `wake` is told when something happens that may let
    another call go."""

    def __init__(
        self, rules: Rules, truths: Mapping[str, Truth], wake: Callable[[float], None], seed: int = 0
    ) -> None:
        self._wake = wake
        self.books = Books()
        self._rules = rules
        self._truths = truths
        self._random = Random(seed)
        self._pools: dict[str, dict[Unit, tuple[Limit, Bucket]]] = {}
        self._warm: dict[str, tuple[float, float]] = {}  # prefix -> readable from, until

    def delay(self, ticket: Ticket) -> float:  # noqa: ARG002 - the seam asks for one
        """Seconds until the request arrives."""
        return NETWORK_S

    def arrive(self, ticket: Ticket, now: float) -> Sequence[tuple[float, Event]]:
        """What happens to a request that arrives now."""
        call = ticket.call
        self._wake(now)
        truth = self._truths[call.id]
        buckets = self._buckets(call.identity.pool or "", now)
        usage = self._usage(call, truth, now)
        counted = usage.input_tokens + usage.cache_write_5m_tokens
        if usage.cache_read_tokens and not self._rules.cache_is_free(call.identity.model):
            counted += usage.cache_read_tokens
        refused = self._refused(buckets, call, counted, now)
        if refused is not None:
            return self._turned_away(refused, buckets, now)
        return self._serve(call, truth, usage, counted, buckets, now)

    def _serve(
        self,
        call: Call,
        truth: Truth,
        usage: Usage,
        counted: int,
        buckets: dict[Unit, tuple[Limit, Bucket]],
        now: float,
    ) -> Sequence[tuple[float, Event]]:
        tempo, draw = self._rules.tempo(call.identity.model), self._random.gauss
        first_s = tempo.first_s * exp(tempo.first_sigma * draw(0.0, 1.0))
        speed = speed_at(tempo, draw(0.0, 1.0))
        total_s = first_s + truth.output_tokens / speed
        for unit, (_, bucket) in buckets.items():
            self._charge(unit, bucket, call, counted, truth.output_tokens, now, first_s, total_s)
        prefix = call.estimate.prefix
        if prefix:
            from_, until = self._warm.get(prefix, (0.0, 0.0))
            readable = min(from_, now + first_s) if until > now else now + first_s
            self._warm[prefix] = (readable, max(now, readable) + CACHE_S)
            self._wake(
                now + first_s + PROGRESS_TOKENS / speed + 2 * NETWORK_S
            )  # the engine has seen it begin
        self.books.servings.append(Serving(call, now, now + first_s, now + total_s, usage))
        head_s = first_s if call.stream else total_s
        events: list[tuple[float, Event]] = [(head_s + NETWORK_S, Headed(_readings(buckets, now), True))]
        if call.stream:
            steps = truth.output_tokens // PROGRESS_TOKENS
            events += [
                (first_s + step * PROGRESS_TOKENS / speed + NETWORK_S, Produced(step * PROGRESS_TOKENS))
                for step in range(1, steps + 1)
            ]
        reply = Reply(200, _NO_HEADERS, {}, usage, first_token_s=first_s, total_s=total_s)
        events.append((total_s + NETWORK_S, Done(reply)))
        return events

    def _charge(
        self,
        unit: Unit,
        bucket: Bucket,
        call: Call,
        counted: int,
        output: int,
        now: float,
        first_s: float,
        total_s: float,
    ) -> None:
        if unit is Unit.REQUESTS:
            bucket.charge(1.0, now)
        if unit in (Unit.INPUT_TOKENS, Unit.TOKENS):
            bucket.charge(counted, now)
        if unit in (Unit.OUTPUT_TOKENS, Unit.TOKENS):
            if self._rules.reserves:
                most = call.estimate.max_output_tokens
                bucket.charge(most, now)
                bucket.charge(output - most, now + total_s)
            else:
                bucket.drain(output, now + first_s, now + total_s)

    def _refused(
        self, buckets: dict[Unit, tuple[Limit, Bucket]], call: Call, counted: int, now: float
    ) -> tuple[Unit, float] | None:
        """The limit that a request waits for longest, and how long; None: it is let in."""
        found: tuple[Unit, float] | None = None
        for unit, (_, bucket) in buckets.items():
            rule, need = Admit.DEBT, float(counted)
            if unit is Unit.REQUESTS:
                rule, need = Admit.FIT, 1.0
            elif self._rules.reserves and unit is Unit.OUTPUT_TOKENS:
                rule, need = Admit.FIT, float(call.estimate.max_output_tokens)
            wait_s = bucket.wait_s(need, rule, now)
            if wait_s > 0.0 and (found is None or wait_s > found[1]):
                found = (unit, wait_s)
        return found

    def _turned_away(
        self, refused: tuple[Unit, float], buckets: dict[Unit, tuple[Limit, Bucket]], now: float
    ) -> Sequence[tuple[float, Event]]:
        unit, wait_s = refused
        self.books.refused[unit] = self.books.refused.get(unit, 0) + 1
        problem = Problem(
            Fault.RATE_LIMITED,
            "rate_limit_error",
            f"{unit} used up",
            429,
            retry_after_s=float(max(1, ceil(wait_s))),
            unit=unit,
        )
        reply = Reply(429, _NO_HEADERS, problem=problem, total_s=2 * NETWORK_S)
        return [(NETWORK_S, Headed(_readings(buckets, now), False)), (NETWORK_S, Done(reply))]

    def _usage(self, call: Call, truth: Truth, now: float) -> Usage:
        prefix, model = call.estimate.prefix, call.identity.model
        if not prefix or not truth.cacheable:
            return Usage(input_tokens=truth.input_tokens, output_tokens=truth.output_tokens, model=model)
        from_, until = self._warm.get(prefix, (0.0, 0.0))
        reads = from_ <= now < until
        return Usage(
            input_tokens=truth.input_tokens - truth.cacheable,
            cache_read_tokens=truth.cacheable if reads else 0,
            cache_write_5m_tokens=0 if reads else truth.cacheable,
            output_tokens=truth.output_tokens,
            model=model,
        )

    def _buckets(self, pool: str, now: float) -> dict[Unit, tuple[Limit, Bucket]]:
        buckets = self._pools.get(pool)
        if buckets is None:
            buckets = self._pools[pool] = {
                limit.unit: (limit, Bucket(max(self._rules.capacity(pool, limit), 1.0), limit.rate, now))
                for limit in self._rules.limits(pool)
            }
        return buckets


def speed_at(tempo: Tempo, normal: float) -> float:
    """Tokens a second at so many standard deviations; none is very far from the others."""
    return tempo.speed * exp(tempo.speed_sigma * max(-MOST_SIGMAS, min(normal, MOST_SIGMAS)))


_NO_HEADERS: Mapping[str, str] = {}


def _readings(buckets: dict[Unit, tuple[Limit, Bucket]], now: float) -> tuple[Reading, ...]:
    """The headers as of now: token amounts to the nearest thousand, none below 0."""
    found = []
    for unit, (limit, bucket) in buckets.items():
        level, step = bucket.level(now), ROUNDING if unit in _TOKENS else 1
        left = min(limit.amount, max(0.0, float(round(level / step) * step if step > 1 else int(level))))
        found.append(Reading(unit, limit.amount, left, step / 2 if step > 1 else 0.0, limit.period_s))
    return tuple(found)
