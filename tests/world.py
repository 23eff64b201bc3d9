"""A simulated provider in virtual time, and jobs to send to it. Independent of the engine: it knows the truth, keeps its
own buckets in continuous time, and its own books. Pure and deterministic: every draw comes from the seed.

How real providers behave, and where that is known from, is in the table of `Rules`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log
from random import Random
from typing import Literal

from headway.core.call import Call, Cap, Class, Estimate, Fault, Identity, Problem, Reading, Unit, Usage
from headway.core.limit import Limit
from headway.core.steps import Reply, Ticket
from headway.drivers.virtual import Done, Event, Headed, Produced

POOL = "pool"
TOKEN_UNITS = (Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)
PROGRESS_S = 0.2  # how often a stream shows how far it is
RAMP_WINDOW_S = 10.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What a call really takes. Tokens."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Work:
    """Calls, in the order they are sent, with the truth about each by its id."""

    calls: tuple[Call, ...]
    truths: Mapping[str, Truth]

    def need(self, unit: Unit) -> float:
        """What all calls together take of a unit."""
        match unit:
            case Unit.REQUESTS:
                return float(len(self.calls))
            case Unit.INPUT_TOKENS:
                return float(sum(truth.input_tokens for truth in self.truths.values()))
            case Unit.OUTPUT_TOKENS:
                return float(sum(truth.output_tokens for truth in self.truths.values()))
        raise ValueError(unit)


@dataclass(frozen=True, slots=True)
class Rules:
    """How the provider behaves. Limits are per minute; a full bucket holds `burst_s` seconds of refill.

    `admission`: "fit" lets a call in if all it needs is there, "debt" if anything is.
    `charging` of output: as it is "produced", at the "end", all at the "start", or `max_tokens` "reserved" at the
    start and corrected at the end.
    `head_at`: whether a stream's headers come once the call is admitted, or with its first token; those of other
    replies come with the end. Token headers are rounded to `rounding`; `headers=False` sends none.
    `overloaded`, `reset`, `cut`: shares of attempts that get a 529, lose the connection before they are admitted, or
    break off half-way. `spend_cap` is how many calls are let in at all. `growth` is the most by which the calls let in
    within ten seconds may exceed those of the ten seconds before.
    """

    requests: float = 1200.0
    input_tokens: float = 600_000.0
    output_tokens: float = 240_000.0
    burst_s: float = 5.0
    admission: Literal["fit", "debt"] = "fit"
    charging: Literal["produced", "end", "start", "reserved"] = "produced"
    headers: bool = True
    head_at: Literal["admission", "first token"] = "admission"
    rounding: int = 1000
    first_token_s: float = 0.6
    tokens_per_s: float = 60.0
    network_s: tuple[float, float] = (0.002, 0.02)
    overloaded: float = 0.0
    reset: float = 0.0
    cut: float = 0.0
    spend_cap: int | None = None
    growth: float | None = None

    def limits(self, *, with_burst: bool) -> tuple[Limit, ...]:
        """The limits as they are published: the burst only if `with_burst`."""
        return tuple(
            Limit(unit, amount, burst=capacity if with_burst else None)
            for unit, (amount, capacity) in self.sizes().items()
        )

    def sizes(self) -> dict[Unit, tuple[float, float]]:
        """The amount per minute and the capacity of each bucket."""
        amounts = {
            Unit.REQUESTS: self.requests,
            Unit.INPUT_TOKENS: self.input_tokens,
            Unit.OUTPUT_TOKENS: self.output_tokens,
        }
        return {unit: (amount, max(1.0, amount / 60.0 * self.burst_s)) for unit, amount in amounts.items()}

    def bound_s(self, work: Work) -> float:
        """The fluid lower bound on the time until the last call is let in: max over limits of (need - burst) / rate."""
        return max(
            (work.need(u) - capacity) / (amount / 60.0) for u, (amount, capacity) in self.sizes().items()
        )

    def tanks(self) -> dict[Unit, Tank]:
        return {unit: Tank(amount / 60.0, capacity) for unit, (amount, capacity) in self.sizes().items()}

    def needs(self, call: Call, truth: Truth) -> dict[Unit, float]:
        """What must be there for a call to be let in."""
        output = {"start": truth.output_tokens, "reserved": call.estimate.max_output_tokens}
        return {
            Unit.REQUESTS: 1.0,
            Unit.INPUT_TOKENS: float(truth.input_tokens),
            Unit.OUTPUT_TOKENS: float(output.get(self.charging, 1)),
        }


class Tank:
    """A bucket in continuous time: refilled at `rate` up to `capacity`, drained by what is produced meanwhile."""

    def __init__(self, rate: float, capacity: float) -> None:
        self.rate = rate
        self.capacity = capacity
        self.level = capacity
        self.lowest = capacity
        self.taken = 0.0
        self._drain = 0.0
        self._at = 0.0
        self._later: list[tuple[float, float, float]] = []

    def advance(self, now: float) -> None:
        """Move to `now`, through every change on the way."""
        while self._later and self._later[0][0] <= now:
            when, drain, amount = heapq.heappop(self._later)
            self._flow(when)
            self._drain += drain
            self.take(amount)
        self._flow(now)

    def take(self, amount: float) -> None:
        """Take `amount` now (less than 0: give back)."""
        self.taken += amount
        self.level = min(self.level - amount, self.capacity)
        self.lowest = min(self.lowest, self.level)

    def later(self, when: float, *, drain: float = 0.0, amount: float = 0.0) -> None:
        """From `when` on, drain so much more per second; and take `amount` then."""
        heapq.heappush(self._later, (when, drain, amount))

    def next_change(self) -> float:
        """When something that is under way changes next."""
        return self._later[0][0] if self._later else float("inf")

    def wait(self, need: float) -> float:
        """Seconds of refill until `need` is there; a call larger than the bucket needs it full."""
        return max(min(need, self.capacity) - self.level, 0.0) / self.rate

    def _flow(self, now: float) -> None:
        passed = max(now - self._at, 0.0)
        self.taken += self._drain * passed
        self.level = min(self.level + (self.rate - self._drain) * passed, self.capacity)
        self.lowest = min(self.lowest, self.level)
        self._at = max(self._at, now)


@dataclass(slots=True)
class Books:
    """What the provider wrote down. `refused` is 429s by unit; `answered` counts whole replies by call."""

    arrived: int = 0
    admitted: int = 0
    last_admitted_at: float = 0.0
    refused: Counter[Unit] = field(default_factory=Counter)
    faults: Counter[Fault] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    admissions: list[float] = field(default_factory=list)


class Provider:
    """Implements `drivers.virtual.World` for `work` by `rules`."""

    def __init__(self, rules: Rules, work: Work, seed: int = 1) -> None:
        self.rules = rules
        self.tanks = rules.tanks()
        self.books = Books()
        self._truths = work.truths
        self._random = Random(seed)

    def delay(self, ticket: Ticket) -> float:
        return self._random.uniform(*self.rules.network_s)

    def arrive(self, ticket: Ticket, now: float) -> Sequence[tuple[float, Event]]:
        self.books.arrived += 1
        for tank in self.tanks.values():
            tank.advance(now)
        back_s = self._random.uniform(*self.rules.network_s)
        truth = self._truths[ticket.call.id]
        problem = self._fault(now) or self._refusal(self.rules.needs(ticket.call, truth))
        if problem is not None:
            return self._failed(problem, back_s)
        return self._serve(ticket.call, truth, now, back_s)

    def _fault(self, now: float) -> Problem | None:
        """What goes wrong before the limits are looked at."""
        rules, draw = self.rules, self._random.random()
        if rules.spend_cap is not None and self.books.admitted >= rules.spend_cap:
            return Problem(Fault.STOPPED, "spend_cap", "the cap is reached", 429)
        if draw < rules.overloaded:
            return Problem(Fault.OVERLOADED, "overloaded_error", "overloaded", 529)
        if draw < rules.overloaded + rules.reset:
            return Problem(Fault.FAILED, "connection", "the connection was reset")
        if rules.growth is not None:
            times = self.books.admissions
            recent = sum(now - RAMP_WINDOW_S < at for at in times)
            before = sum(now - 2 * RAMP_WINDOW_S < at <= now - RAMP_WINDOW_S for at in times)
            if recent + 1 > max(rules.growth * before, 20.0):
                return Problem(Fault.RAMP_LIMITED, "ramp_limit_exceeded", "too steep", 429, retry_after_s=2.0)
        return None

    def _refusal(self, needs: Mapping[Unit, float]) -> Problem | None:
        for unit, tank in self.tanks.items():
            need = min(needs[unit], tank.capacity) if self.rules.admission == "fit" else 1e-9
            if tank.level < need:
                self.books.refused[unit] += 1
                wait_s = max(ceil(tank.wait(need)), 1)
                return Problem(Fault.RATE_LIMITED, "rate_limit_error", str(unit), 429, None, wait_s, unit)
        return None

    def _failed(self, problem: Problem, back_s: float) -> Sequence[tuple[float, Event]]:
        self.books.faults[problem.fault] += 1
        done = Done(Reply(problem.status, {}, problem=problem, total_s=2 * back_s))
        if problem.fault is Fault.RATE_LIMITED:
            return [(back_s, Headed(self._readings(), False)), (back_s, done)]
        return [(back_s, done)]

    def _serve(self, call: Call, truth: Truth, now: float, back_s: float) -> Sequence[tuple[float, Event]]:
        first_s = (
            self._random.lognormvariate(log(self.rules.first_token_s), 0.3)
            if self.rules.first_token_s
            else 0.0
        )
        speed = self.rules.tokens_per_s * self._random.uniform(0.8, 1.2)
        is_cut = self._random.random() < self.rules.cut
        output = truth.output_tokens // 2 if is_cut else truth.output_tokens
        total_s = first_s + output / speed
        self._charge(call, truth, output, now, first_s, speed)
        self.books.admitted += 1
        self.books.last_admitted_at = now
        self.books.admissions.append(now)
        readings = self._readings()
        usage = Usage(input_tokens=truth.input_tokens, output_tokens=output, model=call.identity.model)
        if is_cut:
            self.books.faults[Fault.FAILED] += 1
            broken = Problem(Fault.FAILED, "cut", "the stream broke off", 200)
            reply = Reply(200, {}, problem=broken, first_token_s=first_s, total_s=total_s, produced=output)
        else:
            self.books.answered[call.id] += 1
            reply = Reply(200, {}, message={}, usage=usage, first_token_s=first_s, total_s=total_s)
        head_s = total_s if not call.stream else 0.0 if self.rules.head_at == "admission" else first_s
        events: list[tuple[float, Event]] = [(head_s + back_s, Headed(readings, True))]
        if call.stream:
            events += self._progress(first_s + back_s, total_s - first_s, output)
        return [*events, (total_s + back_s, Done(reply))]

    def _charge(
        self, call: Call, truth: Truth, output: int, now: float, first_s: float, speed: float
    ) -> None:
        self.tanks[Unit.REQUESTS].take(1.0)
        self.tanks[Unit.INPUT_TOKENS].take(truth.input_tokens)
        tank, end = self.tanks[Unit.OUTPUT_TOKENS], now + first_s + output / speed
        match self.rules.charging:
            case "produced":
                tank.later(now + first_s, drain=speed)
                tank.later(end, drain=-speed)
            case "end":
                tank.later(end, amount=output)
            case "start":
                tank.take(output)
            case "reserved":
                tank.take(call.estimate.max_output_tokens)
                tank.later(end, amount=output - call.estimate.max_output_tokens)

    def _readings(self) -> tuple[Reading, ...]:
        """The headers, after this call was charged. Requests are whole numbers, tokens rounded to the nearest `rounding`."""
        if not self.rules.headers:
            return ()
        step = self.rules.rounding
        readings = []
        for unit, (amount, _) in self.rules.sizes().items():
            level = max(self.tanks[unit].level, 0.0)
            if unit in TOKEN_UNITS:
                readings.append(Reading(unit, amount, float(round(level / step) * step), step / 2))
            else:
                readings.append(Reading(unit, amount, float(int(level))))
        return tuple(readings)

    def _progress(self, start_s: float, length_s: float, output: int) -> Iterator[tuple[float, Event]]:
        steps = int(length_s / PROGRESS_S)
        for step in range(1, steps):
            yield start_s + length_s * step / steps, Produced(output * step / steps)


def oracle_s(rules: Rules, work: Work) -> float:
    """When the last call is let in for a client that knows everything, has no network, and sends in the given order."""
    tanks, now = rules.tanks(), 0.0
    speed = rules.tokens_per_s
    for call in work.calls:
        truth = work.truths[call.id]
        needs = rules.needs(call, truth)
        while True:
            for tank in tanks.values():
                tank.advance(now)
            wait_s = max(tanks[unit].wait(need) for unit, need in needs.items())
            if wait_s <= 1e-9:
                break
            now = min(now + wait_s, min(tank.next_change() for tank in tanks.values()))
        tanks[Unit.REQUESTS].take(1.0)
        tanks[Unit.INPUT_TOKENS].take(truth.input_tokens)
        most, end = call.estimate.max_output_tokens, now + rules.first_token_s + truth.output_tokens / speed
        assert rules.charging == "reserved", "only needed where the fluid bound does not tell"
        tanks[Unit.OUTPUT_TOKENS].take(most)
        tanks[Unit.OUTPUT_TOKENS].later(end, amount=truth.output_tokens - most)
    return now


Kind = Literal["mixed", "output", "short", "two", "little of much"]


def _mixed(random: Random) -> tuple[float, float, int]:
    return random.lognormvariate(log(250), 1.0), random.lognormvariate(log(120), 0.8), 1024


def _output(random: Random) -> tuple[float, float, int]:
    return random.uniform(50, 200), random.lognormvariate(log(300), 0.7), 4096


def _short(random: Random) -> tuple[float, float, int]:
    return random.uniform(20, 60), random.uniform(5, 30), 256


def _two(random: Random) -> tuple[float, float, int]:
    if random.random() < 0.5:
        return random.uniform(800, 1600), random.uniform(10, 60), 1024
    return random.uniform(50, 150), random.lognormvariate(log(350), 0.5), 2048


def _little_of_much(random: Random) -> tuple[float, float, int]:
    return random.uniform(50, 200), 1024 * 0.05 * random.uniform(0.7, 1.3), 1024


_KINDS = {
    "mixed": _mixed,
    "output": _output,
    "short": _short,
    "two": _two,
    "little of much": _little_of_much,
}


def job(kind: Kind, calls: int, *, seed: int = 3, stream: bool = True) -> Work:
    """A bulk job. Estimates of input are off by about 8 % each and 5 % in all, as those of the provider module are."""
    random = Random(seed)
    made, truths = [], {}
    for number in range(calls):
        tokens_in, tokens_out, most = _KINDS[kind](random)
        truth = Truth(max(int(tokens_in), 1), min(max(int(tokens_out), 1), most))
        truths[str(number)] = truth
        estimate = Estimate(truth.input_tokens * random.lognormvariate(0.05, 0.08), most)
        made.append(a_call(str(number), estimate=estimate, stream=stream, class_=Class.BULK, job="job"))
    return Work(tuple(made), truths)


def a_call(
    call_id: str = "1",
    *,
    pool: str = POOL,
    model: str = "model",
    estimate: Estimate = Estimate(100.0, 1000),  # noqa: B008 - frozen
    tenant: str = "default",
    class_: Class = Class.STANDARD,
    job: str = "",
    weight: float = 1.0,
    deadline: float | None = None,
    max_wait_s: float | None = None,
    stream: bool = False,
    session: str = "",
    caps: tuple[Cap, ...] = (),
) -> Call:
    """A call as a door would make it."""
    return Call(
        call_id,
        "/v1/messages",
        b"",
        Identity(pool, model),
        estimate,
        tenant=tenant,
        class_=class_,
        job=job,
        weight=weight,
        deadline=deadline,
        max_wait_s=max_wait_s,
        stream=stream,
        session=session,
        caps=caps,
    )
