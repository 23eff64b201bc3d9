"""What the engine costs a call, in process: flow, line, meters, forecast, progress of the stream, settling.

About fifty calls in flight; three limits that never bind in one run, output tokens that bind in the other, and a budget
in dollars with the prices of the ledger in the third. Then the limiter alone (enter, settle, one call at a time, no headers
and no stream), and the store alone (take, give back). Beside them, a fixed loop of plain Python in the same
run, interleaved: where that is slow, the machine was busy. Prints JSON lines.

    python benchmarks/engine.py [--calls 20000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import deque
from typing import Any, ClassVar

from pacing import machine

from headway.core.call import Call, Cap, Class, Estimate, Identity, Reading, Unit, Usage
from headway.core.engine import Engine
from headway.core.flow import Flow, flow
from headway.core.limit import Limit
from headway.core.meter import Hold
from headway.core.retry import Retry
from headway.core.steps import Reply, Sent, Settle, Ticket
from headway.ledger.price import Prices
from headway.stores.memory import MemoryStore

IN_FLIGHT, WAITING = 50, 32
PROGRESS = (40.0, 80.0, 120.0, 160.0)  # output tokens, as the stream tells them
MODEL = "claude-opus-4-0"
USAGE = Usage(input_tokens=300, output_tokens=200, model=MODEL)
REPLY = Reply(200, {}, message={}, usage=USAGE, total_s=3.8)
BUDGET = (Cap("b", Unit.USD, 10**18),)
ENGINE_US, BUDGET_US, LIMITER_US, STORE_US = 55.0, 70.0, 20.0, 6.0  # what is to be reached


class Cycle:
    """Calls through one engine, one in and one out at a time. `step_s` is how far its own clock goes meanwhile.

    Where the limits bind, up to 32 calls stand in line, and the head asks again at each step.
    """

    def __init__(
        self, amounts: dict[Unit, float], step_s: float, caps: tuple[Cap, ...] = (), **options: Any
    ) -> None:
        self.caps = caps
        self.limits = [Limit(unit, amount) for unit, amount in amounts.items()]
        self.readings = tuple(Reading(unit, amount, 0.9 * amount, 500.0) for unit, amount in amounts.items())
        self.engine = Engine(MemoryStore(), limits=lambda _pool: self.limits, **options)
        self.retry, self.now, self.step_s = Retry(), 0.0, step_s
        self.running: deque[tuple[Flow, Ticket]] = deque()
        self.waiting: dict[int, Flow] = {}
        self.serial = self.ended = 0

    def turn(self) -> None:
        """One more call joins, if few are waiting; the oldest in flight, if there are enough, ends."""
        self.now += self.step_s
        if len(self.waiting) < WAITING:
            self._join()
        self._pump()
        if len(self.running) > IN_FLIGHT:
            self._end(*self.running.popleft())

    def _join(self) -> None:
        self.serial += 1
        call = Call(
            str(self.serial),
            "/v1/messages",
            b"",
            Identity("p", MODEL),
            Estimate(300 + self.serial % 100, 1024),
            job="j",
            class_=Class.BULK,
            stream=True,
            caps=self.caps,
        )
        life = flow(call, self.retry, "anthropic")
        life.send(None)
        place = self.engine.join(call, 1, self.now)
        self.waiting[id(place)] = life

    def _pump(self) -> None:
        for place, ticket in self.engine.pump("p", self.now, 0).admitted:
            life = self.waiting.pop(id(place))
            life.send(ticket)  # it asks to be recorded
            life.send(None)  # it asks to be sent
            self.running.append((life, ticket))

    def _end(self, life: Flow, ticket: Ticket) -> None:
        self.engine.headed(ticket, self.readings, self.now, ok=True)
        self._pump()
        for tokens in PROGRESS:
            self.engine.produced(ticket, tokens, self.now)
        settle = life.send(Sent(REPLY, self.now, 0.5))
        assert isinstance(settle, Settle)
        self.engine.settle(ticket, settle.reply, settle.usage, settle.estimated, self.now)
        self._pump()
        life.send(None)
        try:
            life.send(None)
        except StopIteration:
            self.ended += 1
            return
        raise AssertionError("the flow should have ended")


class Alone:
    """The limiter, or its store, one call at a time: nothing binds, nothing is read, nothing streams."""

    def __init__(self, amounts: dict[Unit, float]) -> None:
        limits = [Limit(unit, amount, burst=amount) for unit, amount in amounts.items()]
        self.store = MemoryStore()
        self.engine = Engine(self.store, limits=lambda _pool: limits)
        self.engine.pool("p", -1000.0)
        self.call = Call("c", "/v1/messages", b"", Identity("p", MODEL), Estimate(300, 1024))
        self.now, self.ended = 0.0, 0

    def turn(self) -> None:
        """One call in and out."""
        self.now += 0.001
        self.ended += 1
        ticket = self.engine.enter(self.call, self.ended, self.now, 0)
        assert ticket is not None
        self.engine.settle(ticket, REPLY, USAGE, False, self.now)


class Store(Alone):
    """Only what the store does of it."""

    holds: ClassVar = {
        Unit.REQUESTS: Hold(1.0),
        Unit.INPUT_TOKENS: Hold(300.0, 900.0),
        Unit.OUTPUT_TOKENS: Hold(200.0, 10_000.0, 1024.0),
    }
    used: ClassVar = {Unit.REQUESTS: 1.0, Unit.INPUT_TOKENS: 300.0, Unit.OUTPUT_TOKENS: 200.0}

    def turn(self) -> None:
        """One ticket out and back."""
        self.now += 0.001
        self.ended += 1
        self.store.take("t", "p", self.holds, self.now)
        self.store.give_back("t", self.used, self.now)


def per_call_us(cycle: Cycle | Alone, calls: int) -> float:
    """CPU microseconds a call."""
    began, end = time.process_time(), cycle.ended + calls
    while cycle.ended < end:
        cycle.turn()
    return (time.process_time() - began) / calls * 1e6


def rows() -> dict[str, tuple[Cycle | Alone, float]]:
    """What is measured, and the most that each may cost."""
    free = {Unit.REQUESTS: 1e9, Unit.INPUT_TOKENS: 1e12, Unit.OUTPUT_TOKENS: 1e12}
    tight = {**free, Unit.OUTPUT_TOKENS: 144_000.0}
    prices = Prices()

    def cost(usage: Usage, at_ns: int) -> int | None:
        return prices.cost(usage.model, usage, at_ns).nanousd

    def expect(call: Call, input_tokens: float, output_tokens: float) -> int | None:
        return prices.estimate(call.identity.model, round(input_tokens), round(output_tokens), 0)

    return {
        "engine, limits that never bind": (Cycle(free, 0.08), ENGINE_US),
        "engine, output tokens bind": (Cycle(tight, 0.08), ENGINE_US),
        "engine, priced, with a budget": (Cycle(free, 0.08, BUDGET, cost=cost, expect=expect), BUDGET_US),
        "limiter alone": (Alone(free), LIMITER_US),
        "store alone": (Store(free), STORE_US),
    }


def calibration_ms() -> float:
    """CPU milliseconds of a fixed piece of plain Python."""
    began = time.process_time()
    table: dict[int, float] = {}
    for number in range(200_000):
        table[number % 512] = table.get(number % 512, 0.0) * 0.5 + number
    return (time.process_time() - began) * 1e3


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cycles = rows()
    for cycle, _ in cycles.values():
        per_call_us(cycle, 2_000)
    measured: dict[str, list[float]] = {name: [] for name in cycles}
    beside: list[float] = []
    for _ in range(arguments.rounds):
        beside.append(calibration_ms())
        for name, (cycle, _) in cycles.items():
            measured[name].append(per_call_us(cycle, arguments.calls))
    is_slow = False
    for name, rounds in measured.items():
        middle, most = statistics.median(rounds), cycles[name][1]
        is_slow |= middle > most
        row = {
            "row": name,
            "us_per_call": round(middle, 1),
            "rounds": [round(each, 1) for each in rounds],
            "to_reach_us": most,
            "calibration_ms": [round(each, 1) for each in beside],
            "calls": arguments.calls,
        }
        print(json.dumps(row | machine()), flush=True)
    return int(is_slow)


if __name__ == "__main__":
    sys.exit(main())
