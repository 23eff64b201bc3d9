"""Runs a scanned job: feeds the line, writes each result as its call ends, and stops in good order.

Calls are made as the line has room for them, so memory does not grow with the job. Stopping first ends the feeding and
empties the line, then lets the calls in flight finish; what has no result yet is run by the next start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import anyio
import anyio.to_thread

from headway.core.call import Call, Class, Fault
from headway.core.engine import Engine
from headway.core.steps import Outcome
from headway.drivers.aio import AioDriver
from headway.errors import BudgetExceeded, HeadwayError, WouldWaitTooLong
from headway.jobs.index import Check, Index
from headway.jobs.lines import PATH
from headway.jobs.order import Kind, Order
from headway.jobs.results import Results, errored, succeeded
from headway.jobs.tally import Tally
from headway.ledger.price import Prices

LOOKAHEAD = 8  # calls of one pool that stand in line, so that the next one is there when the head goes
SYNC_S = 1.0
FULL_DISK_S = 2.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a job stopped before its end. `exit_code` is for the shell."""

    reason: str
    hint: str = ""
    exit_code: int = 3


@dataclass(frozen=True, slots=True)
class Way:
    """How lines are made into calls."""

    check: Check
    job: str
    stream: bool
    max_wait_s: float | None = None


class Job:
    """One run of one job. `run` returns None at the end of the file, or why it stopped."""

    def __init__(
        self,
        index: Index,
        order: Order,
        results: Results,
        engine: Engine,
        driver: AioDriver,
        way: Way,
        tally: Tally,
        *,
        prices: Prices,
        clock: Callable[[], float],
        wall: Callable[[], int],
    ) -> None:
        self.engine = engine
        self.tally = tally
        self.stopped: Stop | None = None
        self.disk_is_full = False
        self._index = index
        self._order = order
        self._results = results
        self._driver = driver
        self._way = way
        self._prices = prices
        self._clock = clock
        self._wall = wall
        self._waiting: Counter[str] = Counter()
        self._change = anyio.Event()
        self._serial = count(1)
        self._feeding: anyio.CancelScope | None = None
        self._line_scopes: dict[str, anyio.CancelScope] = {}
        self._all: anyio.CancelScope | None = None

    def stop(self, stop: Stop) -> None:
        """Stop sending; calls in flight go on to their end. The first reason counts."""
        if self.stopped is None:
            self.stopped = stop
            for scope in list(self._line_scopes.values()):
                scope.cancel()
            self._notify()

    def abandon(self) -> None:
        """Break off the calls in flight too. They are settled by estimate and run again next time."""
        if self._all is not None:
            self._all.cancel()

    async def run(self) -> Stop | None:
        """Run every line that has no result yet."""
        self.tally.began_at = self._clock()
        with anyio.CancelScope() as self._all:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep)
                async with anyio.create_task_group() as calls:
                    await self._feed(calls)
                group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._write_waiting()
            await anyio.to_thread.run_sync(self._results.sync)
        self.tally.ended_at = self._clock()
        return self.stopped

    async def _feed(self, calls: anyio.abc.TaskGroup) -> None:
        while self.stopped is None and self._order.left:
            picked = None if self.disk_is_full else self._order.next(self._may)
            if picked is None:
                await self._change.wait()
                continue
            number, kind = picked
            self._waiting[kind.pool] += 1
            calls.start_soon(self._one, number, kind)
            await anyio.lowlevel.checkpoint()

    def _may(self, kind: Kind) -> bool:
        if self._waiting[kind.pool] >= LOOKAHEAD:
            return False
        return not (kind.prefix and self.engine.prefixes.is_warming(kind.prefix, self._clock()))

    def _notify(self) -> None:
        change, self._change = self._change, anyio.Event()
        change.set()

    async def _one(self, number: int, kind: Kind) -> None:
        """Run one line."""
        checked = self._way.check(self._index.read(number).strip(), number + 1)
        line, estimate = checked.line, checked.estimate
        call = Call(
            id=f"{self._way.job}-{next(self._serial)}",
            path=PATH,
            body=line.body(stream=self._way.stream),
            identity=checked.identity,
            estimate=estimate,
            class_=Class.BULK,
            job=self._way.job,
            label=line.custom_id,
            max_wait_s=self._way.max_wait_s,
            replayable=True,
            stream=self._way.stream,
        )
        if kind.prefix:
            self.engine.prefixes.go(kind.prefix, call.id, self._clock())
        in_line = True

        def admitted() -> None:
            nonlocal in_line
            if in_line:
                in_line = False
                self._waiting[kind.pool] -= 1
            self._line_scopes.pop(call.id, None)
            self._notify()

        try:
            with anyio.CancelScope() as scope:
                self._line_scopes[call.id] = scope
                outcome = await self._driver.run(call, admitted, self._rejoined(call, scope))
                await self._end(line.custom_id, outcome)
        finally:
            self.engine.prefixes.failed(kind.prefix, call.id)
            admitted()

    def _rejoined(self, call: Call, scope: anyio.CancelScope) -> Callable[[], None]:
        """A call that waits for another try may be taken out like one in line."""

        def waits() -> None:
            self._line_scopes[call.id] = scope
            if self.stopped is not None:
                scope.cancel()

        return waits

    async def _end(self, custom_id: str, outcome: Outcome) -> None:
        tally = self.tally
        tally.note(outcome)
        for usage in outcome.usages:
            tally.note_usage(usage, self._prices, self._wall())
        tally.input_left -= outcome.call.estimate.input_tokens
        result = self._result(outcome)
        if result is None:
            return
        if result["type"] == "succeeded":
            tally.succeeded += 1
        else:
            tally.errored += 1
        if not self._results.append(custom_id, result):
            await self._write_waiting()

    def _result(self, outcome: Outcome) -> dict[str, object] | None:
        """What is written for a call; None: nothing, because the job stops and the line is to run again."""
        if outcome.error is not None:
            self.stop(_stop_for(outcome.error))
            return None
        problem = outcome.problem
        if problem is None:
            assert outcome.reply is not None
            return succeeded(outcome.reply.message)
        self.tally.trouble = f"{problem.error_type}: {problem.message}"
        if problem.fault is Fault.STOPPED:
            self.stop(Stop(f"the provider stopped us: {problem.message}", "What is done is kept.", 3))
            return None
        if problem.fault in (Fault.RATE_LIMITED, Fault.RAMP_LIMITED):
            self.stop(Stop(f"a limit does not clear in time: {problem.message} ({outcome.why})"))
            return None
        if problem.status is None:
            self.stop(Stop(f"the API cannot be reached: {problem.message}", "Look at the base URL.", 5))
            return None
        self.tally.errors[problem.error_type] += 1
        return errored(problem.error_type, problem.message, problem.request_id)

    async def _write_waiting(self) -> None:
        """The disk is full: hold what came, stop sending, and go on when there is room again."""
        while not self._results.retry():
            self.disk_is_full = True
            await anyio.sleep(FULL_DISK_S)
        if self.disk_is_full:
            self.disk_is_full = False
            self._notify()

    async def _keep(self) -> None:
        """Have the disk keep the results, and look again at what waits for the clock alone."""
        while True:
            await anyio.sleep(SYNC_S)
            await anyio.to_thread.run_sync(self._results.sync)
            self._notify()


def _stop_for(error: HeadwayError) -> Stop:
    reason = "the budget is used up" if isinstance(error, BudgetExceeded) else "a call would wait too long"
    if not isinstance(error, BudgetExceeded | WouldWaitTooLong):
        reason = "refused"
    return Stop(f"{reason}: {error}", error.hint, error.exit_code)
