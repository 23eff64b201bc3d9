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

from headway.core.call import Call, Class, Problem
from headway.core.engine import Engine
from headway.core.prefix import Prefixes
from headway.core.steps import Outcome
from headway.drivers.aio import AioDriver
from headway.errors import HeadwayError, JobFileError, OutputError
from headway.jobs.ending import Ending
from headway.jobs.ending import Stop as Stop
from headway.jobs.index import Check, Checked, Index
from headway.jobs.lines import PATH
from headway.jobs.order import Kind, Order
from headway.jobs.result import Result
from headway.jobs.results import Results
from headway.jobs.streamed import Streamed
from headway.jobs.tally import Tally

LOOKAHEAD = 8  # calls of one pool that stand in line, so that the next one is there when the head goes
PUT_OFF_AT_MOST = 5000  # calls that wait for another try, before no new ones are begun: memory has a bound
SYNC_S = 1.0
BLOCKED_AT_MOST_S = 600.0  # how long to wait for room on the disk
UNHEARD = 3  # attempts without a connection, before anything was ever heard, that end the job


@dataclass(frozen=True, slots=True)
class Way:
    """How lines are made into calls. `run` tells the calls of this run from those of others."""

    check: Check
    job: str
    run: str
    stream: bool
    retries: int
    max_wait_s: float | None = None


class Job:
    """One run of one job. `run` returns None at the end of the file, or why it stopped."""

    def __init__(
        self,
        index: Index,
        order: Order,
        results: Results | Streamed,
        engine: Engine,
        way: Way,
        tally: Tally,
        *,
        clock: Callable[[], float],
        kept: Callable[[], None] = lambda: None,
    ) -> None:
        self.engine = engine
        self.tally = tally
        self.stopped: Stop | None = None
        self.is_blocked = False
        self.results = results
        self._index = index
        self._order = order
        self._way = way
        self._clock = clock
        self._kept = kept
        self._ending = Ending(way.retries)
        self._lookahead = (
            LOOKAHEAD if way.max_wait_s is None else 1
        )  # who waits behind our own calls is not kept waiting
        self._prefixes = Prefixes()  # warm once a reply has started, which is later than its head
        self._waiting: Counter[str] = Counter()
        self._change = anyio.Event()
        self._serial = count(1)
        self._line_scopes: dict[str, anyio.CancelScope] = {}
        self._all: anyio.CancelScope | None = None

    def stop(self, stop: Stop) -> None:
        """Stop sending; calls in flight go on to their end. The first reason counts."""
        if self.stopped is None:
            self.stopped = stop
            for scope in list(self._line_scopes.values()):
                scope.cancel()
            self.look_again()

    def abandon(self) -> None:
        """Break off the calls in flight too. They are settled by estimate and run again next time."""
        if self._all is not None:
            self._all.cancel()

    def look_again(self) -> None:
        """Something happened that may let another call go."""
        change, self._change = self._change, anyio.Event()
        change.set()

    def began(self, call: Call) -> None:
        """A reply has started: its prefix is warm, siblings may follow."""
        self._prefixes.started(call.estimate.prefix, self._clock())
        self.look_again()

    def troubled(self, problem: Problem, *, sent: bool) -> None:
        """An attempt has failed. An API that nobody ever heard of is not there: no need to try each line on it."""
        tally = self.tally
        tally.trouble, tally.troubled_at = f"{problem.error_type}: {problem.message}", self._clock()
        tally.unheard = 0 if sent else tally.unheard + 1
        tally.heard += sent
        if not tally.heard and tally.unheard >= UNHEARD:
            self.stop(Stop.unreachable(problem))
        self._ending.failed(problem, self._clock())
        if self._ending.stop is not None:
            self.stop(self._ending.stop)

    async def run(self, driver: AioDriver) -> Stop | None:
        """Run every line that has no result yet."""
        self.tally.began_at = self._clock()
        with anyio.CancelScope() as self._all:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep)
                async with anyio.create_task_group() as calls:
                    await self._feed(calls, driver)
                group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._end()
        self.tally.ended_at = self._clock()
        return self.stopped

    async def _feed(self, calls: anyio.abc.TaskGroup, driver: AioDriver) -> None:
        while self.stopped is None and self._order.left:
            change = self._change
            picked = None if self.is_blocked else self._order.next(self._pool_may, self._kind_may)
            if picked is None:
                await change.wait()
                continue
            number, kind = picked
            try:
                checked = self._read(number)
            except JobFileError as error:
                self.stop(Stop(str(error), error.hint, error.exit_code))
                return
            self._waiting[kind.pool] += 1
            call = self._call(checked)
            if kind.prefix:
                self._prefixes.go(kind.prefix, call.id, self._clock())
            calls.start_soon(self._one, call, kind, driver)
            await anyio.lowlevel.checkpoint()

    @property
    def put_off(self) -> int:
        """Calls that failed and wait for their next try."""
        return len(self._line_scopes) - sum(len(pool.line) for pool in self.engine.pools.values())

    def _pool_may(self, pool: str) -> bool:
        return self._waiting[pool] < self._lookahead and len(self._line_scopes) < PUT_OFF_AT_MOST

    def _kind_may(self, kind: Kind) -> bool:
        return not (kind.prefix and self._prefixes.is_warming(kind.prefix, self._clock()))

    def _read(self, number: int) -> Checked:
        """Read and check a line once more: it must be the one that was scanned."""
        checked = self._way.check(self._index.read(number), number + 1)
        if self._index.ids.line_of(checked.line.custom_id) != number:
            raise JobFileError("the job file changed while the job ran", hint="What is done is kept.")
        return checked

    def _call(self, checked: Checked) -> Call:
        way = self._way
        return Call(
            id=f"{way.run}-{next(self._serial)}",
            path=PATH,
            body=checked.line.body(stream=way.stream),
            identity=checked.identity,
            estimate=checked.estimate,
            class_=Class.BULK,
            job=way.job,
            label=checked.line.custom_id,
            max_wait_s=way.max_wait_s,
            stream=way.stream,
        )

    async def _one(self, call: Call, kind: Kind, driver: AioDriver) -> None:
        """Run one call to its result."""
        in_line = True

        def admitted() -> None:
            nonlocal in_line
            if in_line:
                in_line = False
                self._waiting[kind.pool] -= 1
            self._line_scopes.pop(call.id, None)
            self.look_again()

        def waits() -> None:
            """A call that waits for another try may be taken out like one in line."""
            self._line_scopes[call.id] = scope
            if self.stopped is not None:
                scope.cancel()

        try:
            with anyio.CancelScope() as scope:
                waits()
                self._finish(await driver.run(call, admitted, waits))
                await self._write_waiting()
        finally:
            self._prefixes.failed(kind.prefix, call.id)
            admitted()

    def _finish(self, outcome: Outcome) -> None:
        """Write down what came of a call, and stop where it says that others would fare no better."""
        self.tally.input_left -= outcome.call.estimate.input_tokens
        for custom_id, result in self._ending.settle(outcome, self._clock()):
            self._append(custom_id, result)
        if self._ending.stop is not None:
            self.stop(self._ending.stop)

    def _append(self, custom_id: str, result: Result) -> None:
        if result["type"] == "succeeded":
            self.tally.succeeded += 1
        else:
            self.tally.errored += 1
            self.tally.errors[result["error"]["error"]["type"]] += 1
        self.results.append(custom_id, result)

    async def _write_waiting(self) -> None:
        """What cannot be written is held, and nothing more is sent, until there is room again."""
        results, since = self.results, self._clock()
        while not results.retry():
            self.is_blocked = True
            if not results.may_clear or self._clock() - since > BLOCKED_AT_MOST_S:
                self.stop(Stop.unwritable(results.path, results.exit_code))
            if self.stopped is not None:
                return  # `_end` tries once more, and puts it elsewhere
            await anyio.sleep(results.patience_s)
        if self.is_blocked:
            self.is_blocked = False
            self.look_again()

    async def _keep(self) -> None:
        """Have the disk keep the results, and look again at what waits for the clock alone."""
        while True:
            await anyio.sleep(SYNC_S)
            try:
                await anyio.to_thread.run_sync(self.results.sync)
                await anyio.to_thread.run_sync(self._kept)
            except OutputError as error:
                self.stop(Stop(str(error), error.hint, error.exit_code))
            self.look_again()

    async def _end(self) -> None:
        """Everything that came is written, or put where there is room."""
        if self.stopped is None:
            for custom_id, result in self._ending.doubtful:
                self._append(custom_id, result)
        await self._write_waiting()
        try:
            await anyio.to_thread.run_sync(self.results.sync)
            await anyio.to_thread.run_sync(self._kept)
        except HeadwayError as error:
            self.stop(Stop(str(error), error.hint, error.exit_code))
        lost = len(self.results.waiting)
        if lost:
            place = self.results.rescue()
            self.stopped = Stop.unsaved(self.stopped, lost, place, self.results.path)
