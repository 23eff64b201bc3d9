"""The measurements behind the decision notes, in virtual time, against the simulated provider of the tests.

    python docs/decisions/measure.py [NUMBER ...]      decisions 1 2 3 4 6 7 8; without numbers: all

Each line is the median of five seeds: time until the last call was let in, by its lower bound, and refused attempts by
calls. Alternatives are small changes of the engine's parts, made here. About half a minute of CPU time.
"""

from __future__ import annotations

import statistics
import sys
from array import array
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from headway.core import engine as core_engine
from headway.core.bucket import Bucket
from headway.core.budget import Budget
from headway.core.call import Call, Unit, Usage
from headway.core.engine import Engine
from headway.core.limit import Limit
from headway.core.meter import Hold, Mark, OutputMeter, StartMeter
from headway.core.pool import Pool
from headway.drivers.virtual import VirtualDriver
from headway.jobs.order import Cell, Kind, Order
from headway.stores import memory
from headway.stores.memory import MemoryStore
from world import Kind as KindOfWork
from world import Provider, Rules, Work, job, oracle_s

SEEDS = range(5)
# Two limits bind, one for each half of a job that reads much and then writes much.
TWO_BIND = Rules(requests=6000.0, input_tokens=300_000.0, output_tokens=90_000.0)
# Ten requests, 5,000 input and 2,000 output tokens a second, with five seconds of refill in a full bucket.
USUAL = Rules(requests=600.0, input_tokens=300_000.0, output_tokens=120_000.0)


@dataclass(frozen=True, slots=True)
class Result:
    """One run: slowness by the bound, refused attempts by calls, the lowest level of the output bucket."""

    slowness: float
    refused: float
    lowest: float


def run(
    rules: Rules,
    work: Work,
    seed: int,
    *,
    told: tuple[Limit, ...] | None = None,
    bound_s: float | None = None,
    **engine: Any,
) -> Result:
    """One job. `told` are the limits that the engine knows from the start; None: as published, without bursts."""
    limits = rules.limits(with_burst=False) if told is None else told
    made = Engine(MemoryStore(), limits=lambda _pool: limits, **engine)
    provider = Provider(rules, work, seed)
    VirtualDriver(made, provider, seed=seed).run(iter(work.calls))
    books, tank = provider.books, provider.tanks[Unit.OUTPUT_TOKENS]
    return Result(
        books.last_admitted_at / (bound_s or rules.bound_s(work)),
        books.refused.total() / len(work.calls),
        tank.lowest / tank.capacity,
    )


def show(name: str, results: Iterable[Result]) -> None:
    results = list(results)
    slowness = statistics.median(one.slowness for one in results)
    refused = statistics.median(one.refused for one in results)
    lowest = statistics.median(one.lowest for one in results)
    sys.stdout.write(
        f"  {name:48} {slowness:5.2f} x bound   {refused:6.2%} refused   lowest {lowest:5.1f} bursts\n"
    )


@contextmanager
def meter(kind: type[OutputMeter]) -> Any:
    """Output limits are metered by `kind`."""
    before, memory.OutputMeter = memory.OutputMeter, kind  # type: ignore[misc]  # an experiment
    try:
        yield
    finally:
        memory.OutputMeter = before  # type: ignore[misc]  # an experiment


@contextmanager
def guard(seconds: float) -> Any:
    """Buckets keep a distance of `seconds`."""
    defaults = Bucket.__init__.__kwdefaults__
    before, defaults["guard_s"] = defaults["guard_s"], seconds
    try:
        yield
    finally:
        defaults["guard_s"] = before


class SumAgainstLevel(OutputMeter):
    """Holds what calls in flight still have to produce, in sum, against what is there now."""

    def wait(self, hold: Hold, now: float) -> float:
        self.content.refill(now)
        kept = sqrt(self._variance + hold.variance)
        promised = self.in_flight - self._produced
        short = promised + hold.need + kept - self.content.level
        return short / self.content.rate if short > 1e-6 and self.in_flight > 1e-6 else 0.0


class OnlyThere(OutputMeter):
    """Looks only at what is there."""

    def wait(self, hold: Hold, now: float) -> float:  # noqa: ARG002 - what it needs is not looked at
        return self.content.wait(0.0, now)


class OnlyPromised(OutputMeter):
    """Looks only at what is promised."""

    def wait(self, hold: Hold, now: float) -> float:
        return self.pace.wait(hold.need + sqrt(self._variance + hold.variance), now)


class NeverReserved(OutputMeter):
    """Believes the documentation, whatever headers say."""

    def _weigh(self, *_: Any) -> None:
        self.is_reserved = False

    def refuse(self, *arguments: Any) -> None:
        super().refuse(*arguments)
        self.is_reserved = False


class AlwaysReserved(OutputMeter):
    """Holds `max_tokens` of the calls in flight against what is there now, always."""

    most = 0.0

    def wait(self, hold: Hold, now: float) -> float:
        self.content.refill(now)
        short = self.most - self._produced + hold.most - self.content.level
        return short / self.content.rate if short > 1e-6 and self.most else 0.0

    def take(self, hold: Hold, now: float) -> Mark:
        self.most += hold.most
        return super().take(hold, now)

    def _release(self, mark: Mark, actual: float) -> None:
        self.most -= mark.hold.most
        super()._release(mark, actual)


def output_metered_twice() -> None:
    alternatives = {
        "promised and there": OutputMeter,
        "the sum of the holds against the level": SumAgainstLevel,
        "only what is there": OnlyThere,
        "only what is promised": OnlyPromised,
    }
    for what, rules in (
        ("output binds", USUAL),
        ("output binds, 20 s of burst", replace(USUAL, burst_s=20.0)),
    ):
        sys.stdout.write(f" {what}: 600 calls of 380 output tokens\n")
        for name, kind in alternatives.items():
            with meter(kind):
                show(name, (run(rules, job("output", 600, seed=seed), seed) for seed in SEEDS))
    sys.stdout.write(" two kinds of calls first short answers, then long ones: 500 calls\n")
    for name, kind in alternatives.items():
        with meter(kind):
            show(name, (run(TWO_BIND, in_turn(job("two", 500, seed=seed)), seed) for seed in SEEDS))


def reserved_or_produced() -> None:
    reserves = replace(USUAL, requests=1200.0, output_tokens=240_000.0, charging="reserved")
    sys.stdout.write(" the provider reserves max_tokens: 400 calls; bound of a client that knows all\n")
    for name, kind in {"detected": OutputMeter, "never believed": NeverReserved}.items():
        with meter(kind):
            works = [(seed, job("mixed", 400, seed=seed)) for seed in SEEDS]
            show(name, (run(reserves, work, seed, bound_s=oracle_s(reserves, work)) for seed, work in works))
    sys.stdout.write(" the provider counts what is produced: 400 calls\n")
    for name, kind in {"detected": OutputMeter, "max_tokens held in any case": AlwaysReserved}.items():
        with meter(kind):
            show(name, (run(USUAL, job("output", 400, seed=seed), seed) for seed in SEEDS))


def guard_in_time() -> None:
    for headers in (True, False):
        sys.stdout.write(
            f" 1,200 short calls, requests bind, bursts told, headers {'sent' if headers else 'missing'}\n"
        )
        for network_s in ((0.002, 0.02), (0.05, 0.2)):
            rules = replace(USUAL, network_s=network_s, headers=headers)
            network = f"network to {network_s[1] * 1000:.0f} ms"
            for seconds, factor in ((0.0, 1.0), (0.05, 1.0), (0.0, 1.05)):
                with guard(seconds), charged(factor):
                    name = f"{network}, {seconds * 1000:.0f} ms later, {factor:.2f} x the units"
                    works = [(seed, job("short", 1200, seed=seed)) for seed in SEEDS]
                    show(
                        name,
                        (run(rules, work, seed, told=rules.limits(with_burst=True)) for seed, work in works),
                    )


@contextmanager
def charged(factor: float) -> Any:
    """Each start takes so many times what it needs."""
    take, wait = StartMeter.take, StartMeter.wait

    def more(hold: Hold) -> Hold:
        return Hold(hold.need * factor, hold.variance, hold.most)

    settle = StartMeter.settle
    StartMeter.take = lambda self, hold, now: take(self, more(hold), now)  # type: ignore[method-assign]  # an experiment
    StartMeter.wait = lambda self, hold, now: wait(self, more(hold), now)  # type: ignore[method-assign]  # an experiment
    StartMeter.settle = lambda self, mark, actual: settle(self, mark, actual * factor)  # type: ignore[method-assign]  # an experiment
    try:
        yield
    finally:
        StartMeter.take, StartMeter.wait, StartMeter.settle = take, wait, settle  # type: ignore[method-assign]  # an experiment


def in_turn(work: Work) -> Work:
    """The calls with little output first, then the others: the way files often come."""
    return Work(tuple(sorted(work.calls, key=lambda call: call.estimate.max_output_tokens)), work.truths)


def shuffled(work: Work, seed: int) -> Work:
    calls = list(work.calls)
    Random(seed).shuffle(calls)
    return Work(tuple(calls), work.truths)


def strided(work: Work) -> Work:
    """The order of the jobs door."""
    cells: dict[Kind, Cell] = {}
    for number, call in enumerate(work.calls):
        estimate = call.estimate
        kind = Kind(
            "pool",
            "model",
            "",
            int(estimate.input_tokens).bit_length(),
            estimate.max_output_tokens.bit_length(),
        )
        cells.setdefault(kind, Cell(kind, array("I"))).lines.append(number)
    order, calls = Order(list(cells.values())), []
    while (found := order.next(lambda _pool: True, lambda _kind: True)) is not None:
        calls.append(work.calls[found[0]])
    return Work(tuple(calls), work.truths)


def order_of_a_job() -> None:
    sys.stdout.write(
        " half of 500 calls read much, half write much; in the file one half comes after the other\n"
    )
    orders: dict[str, Callable[[Work, int], Work]] = {
        "order of the file": lambda work, _seed: work,
        "at random": shuffled,
        "stratified, golden stride": lambda work, _seed: strided(work),
    }
    for name, ordered in orders.items():
        works = [(seed, in_turn(job("two", 500, seed=seed))) for seed in SEEDS]
        show(name, (run(TWO_BIND, ordered(work, seed), seed) for seed, work in works))


def worst_case_holds() -> None:
    sys.stdout.write(
        " cap of $3.00 at $15/$75 per Mtok, 1,000 calls that may put out 4,096 and put out 380\n"
    )
    cap = 3 * 10**9

    def cost(usage: Usage, _at_ns: int) -> int:
        return usage.input_tokens * 15_000 + usage.output_tokens * 75_000

    def worst(call: Call, tokens: float) -> int:
        return round(tokens * 1.25) * 15_000 + call.estimate.max_output_tokens * 75_000

    def usual(_call: Call, tokens: float) -> int:
        return round(tokens) * 15_000 + 380 * 75_000

    def nothing(_call: Call, _tokens: float) -> int:
        return 0

    for name, price in (
        ("the most it can cost", worst),
        ("what calls cost on average", usual),
        ("nothing", nothing),
    ):
        spent = []
        for seed in SEEDS:
            budget = Budget(cap)
            run(USUAL, job("output", 1000, seed=seed), seed, budget=budget, price=price, cost=cost)
            spent.append(budget.spent / cap)
        sys.stdout.write(f"  held: {name:32} spent {min(spent):.3f} to {max(spent):.3f} of the cap\n")


def streaming_by_default() -> None:
    kinds: dict[str, KindOfWork] = {"mixed calls": "mixed", "output binds": "output"}
    for what, kind in kinds.items():
        for told in (None, ()):
            for stream in (True, False):
                works = [(seed, job(kind, 600, seed=seed, stream=stream)) for seed in SEEDS]
                name = f"{what}, limits {'told' if told is None else 'learnt'}, {'streamed' if stream else 'whole'}"
                show(name, (run(USUAL, work, seed, told=told) for seed, work in works))


class AllAtOnce(Pool):
    """Holds nothing back while the limits are not known."""

    def closed_for(self, now: float) -> tuple[str, float]:
        self.taught = True
        self.ceiling.adaptive = None
        return super().closed_for(now)


class FourAtOnce(Pool):
    """Grows from four calls in flight while the limits are not known."""

    def closed_for(self, now: float) -> tuple[str, float]:
        self.taught = True
        return super().closed_for(now)


@contextmanager
def start(kind: type[Pool]) -> Any:
    """A pool of which nothing is known starts as `kind` does."""
    before, core_engine.Pool = core_engine.Pool, kind  # type: ignore[misc]  # an experiment
    try:
        yield
    finally:
        core_engine.Pool = before  # type: ignore[misc]  # an experiment


def until_the_first_reply() -> None:
    lowest = (
        Limit(Unit.REQUESTS, 50.0),
        Limit(Unit.INPUT_TOKENS, 30_000.0),
        Limit(Unit.OUTPUT_TOKENS, 8_000.0),
    )
    ways: dict[str, tuple[type[Pool], tuple[Limit, ...], tuple[Limit, ...]]] = {
        "all at once": (AllAtOnce, (), ()),
        "four at once, then more": (FourAtOnce, (), ()),
        "told the lowest tier, as buckets": (Pool, lowest, ()),
        "at the pace of the lowest tier": (Pool, (), lowest),
        "one, then the rest": (Pool, (), ()),
    }
    for what, rules in (
        ("600 requests a minute", USUAL),
        ("50 requests a minute", Rules(requests=50.0, input_tokens=30_000.0, output_tokens=8_000.0)),
        ("20 requests a minute", Rules(requests=20.0, input_tokens=12_000.0, output_tokens=3_200.0)),
    ):
        for stream in (True, False):
            sys.stdout.write(f" 64 calls at once, {what}, {'streamed' if stream else 'whole'} replies\n")
            for name, (kind, told, assumed) in ways.items():
                with start(kind):
                    works = [(seed, job("short", 64, seed=seed, stream=stream)) for seed in SEEDS]
                    show(name, (learning(rules, work, seed, told, assumed) for seed, work in works))


def learning(
    rules: Rules, work: Work, seed: int, told: tuple[Limit, ...], assumed: tuple[Limit, ...]
) -> Result:
    """One job of an engine that goes by what is assumed until the first reply."""
    return run(rules, work, seed, told=told, assumed=lambda _pool: assumed)


MEASUREMENTS = {
    "1": output_metered_twice,
    "2": reserved_or_produced,
    "3": guard_in_time,
    "4": order_of_a_job,
    "6": worst_case_holds,
    "7": streaming_by_default,
    "8": until_the_first_reply,
}

if __name__ == "__main__":
    for number in sys.argv[1:] or MEASUREMENTS:
        sys.stdout.write(f"decision {number}\n")
        MEASUREMENTS[number]()
