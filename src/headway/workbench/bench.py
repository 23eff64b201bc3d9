"""Runs the calls of a comparison through the engine of jobs: paced, tried again, priced, recorded, resumable."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from headway.assemble import Parts
from headway.core.forecast import Lengths
from headway.core.ports import Ledger
from headway.errors import ConfigError, JobFileError, OutputError
from headway.jobs.check import checker
from headway.jobs.counting import Counting
from headway.jobs.door import RETRIES
from headway.jobs.ending import Stop
from headway.jobs.going import Going
from headway.jobs.index import Index, scan
from headway.jobs.job import Job, Way
from headway.jobs.lines import Defaults
from headway.jobs.order import Cell, Kind, Order
from headway.jobs.record import Options
from headway.jobs.state import State, load, save
from headway.jobs.tally import Tally
from headway.jobs.view import View
from headway.workbench.record import Record, Reply, Stopwatch
from headway.workbench.trials import lines

MOST_CONNECTIONS = 200  # a comparison is small beside a job
_LOOKED_AHEAD = 64  # calls among which one is sought that need not wait for the prompt cache

Asked = Sequence[tuple[str, Mapping[str, Any]]]  # ids and requests, in the order in which they go


class Bench:
    """One file of replies and the engine that fills it. `run` may be called more than once: for calls, then for judges."""

    def __init__(self, parts: Parts, path: Path, name: str, *, retry_errored: bool = False) -> None:
        self.parts = parts
        self.tally = Tally()
        self.ledger_problem: str | None = None
        self.record = Record(path)
        self.record.look(drop_errored=retry_errored)
        self._name = name
        self._state = load(path) or State(name, 0, 0, "")
        if parts.budget is not None:
            self._state = State(
                name, 0, 0, "", spent_nanousd=max(self._state.spent_nanousd, self.replies()[1])
            )
            parts.budget.spent = self._state.spent_nanousd

    def replies(self) -> tuple[dict[str, Reply], int]:
        """What is on file: replies by id, and what they cost in all."""
        return self.record.replies()

    def left(self, asked: Asked) -> Asked:
        """The calls that have no reply yet."""
        return [(name, request) for name, request in asked if name not in self.record.known]

    def expected_nanousd(self, asked: Asked) -> int | None:
        """What the calls that have no reply yet will cost, by estimate and without the cache; None: a price is not known."""
        parts, now, total = self.parts, time.time_ns(), 0
        for _, request in self.left(asked):
            estimate = parts.provider.estimate(request)
            output = Lengths().expect(estimate.max_output_tokens).mean
            cost = parts.prices.estimate(
                str(request["model"]), round(estimate.input_tokens), round(output), now
            )
            if cost is None:
                return None
            total += cost
        return total

    def run(self, asked: Asked, show: Callable[[View], None], every_s: float) -> Stop | None:
        """Ask what has no reply yet. Returns why it stopped before its end, or None.

        Raises JobFileError before anything is sent if a call cannot work; OutputError.
        """
        left = self.left(asked)
        if not left:
            return None
        with tempfile.TemporaryFile(prefix="headway-") as file:
            file.writelines(lines(left))
            file.flush()
            options = Options(file, self._name, None, Defaults())
            check = checker(self.parts, options)
            index = scan(file, check)
            self._refuse(index)
            self.tally = tally = Tally(total=len(left), input_left=index.input_tokens)
            order = Blocks(index.cells)
            tally.likely_output = order.likely_output(lambda most: Lengths().expect(most).mean)
            config = self.parts.config
            retries = RETRIES if config.retries is None else config.retries
            way = Way(
                check, self._name, f"{self._name}-{token_hex(4)}", config.stream, retries, config.max_wait_s
            )
            job = Job(
                index,
                order,
                self.record,
                self.parts.engine,
                way,
                tally,
                clock=time.monotonic,
                kept=self._save_spent,
            )
            going = Going(
                self.parts,
                counted=self._watched,
                retries=retries,
                connections=config.concurrency or MOST_CONNECTIONS,
                show=show,
                every_s=every_s,
            )
            try:
                return going.run(job)
            finally:
                self.ledger_problem = going.ledger_problem
                self.record.look(drop_errored=False)

    def _refuse(self, index: Index) -> None:
        if index.bad:
            what = "\n".join(f"  call {bad.custom_id}: {bad.problem}" for bad in index.bad[:3])
            raise JobFileError(f"{index.bad_count:,} calls cannot be run; nothing was sent\n{what}")
        if self.parts.budget is None:
            return
        for model in sorted({cell.kind.model for cell in index.cells}):
            if self.parts.prices.unit(model, time.time_ns()) is None:
                raise ConfigError(f"no price is known for {model}, so --max-cost cannot be kept")

    def _watched(self, ledger: Ledger) -> Ledger:
        watch = Stopwatch(Counting(ledger, self.tally, self.parts.prices), self.parts.prices)
        self.record.courses = watch.take
        return watch

    def _save_spent(self) -> None:
        """With a budget, note what was spent and what calls in flight may still cost: a kill must not forget it."""
        budget = self.parts.budget
        if budget is None or budget.spent + budget.held == self._state.spent_nanousd:
            return
        self._state = State(self._name, 0, 0, "", spent_nanousd=budget.spent + budget.held)
        with suppress(OutputError):  # a full disk: nothing more is sent then, and the next second tries again
            save(self.record.path, self._state)

    def close(self) -> None:
        """Let go of the file."""
        self.record.close()


class Blocks(Order):
    """Calls in the order in which they stand, but none has to wait while another may go."""

    def __init__(self, cells: list[Cell]) -> None:
        super().__init__(cells)
        kinds = {number: cell.kind for cell in cells for number in cell.lines}
        self._waiting = [(number, kinds[number]) for number in sorted(kinds, reverse=True)]

    def next(
        self, pool_may: Callable[[str], bool], kind_may: Callable[[Kind], bool]
    ) -> tuple[int, Kind] | None:
        """The next call that may go now; None: none of the next few may, or none is left."""
        for place in range(len(self._waiting) - 1, max(len(self._waiting) - 1 - _LOOKED_AHEAD, -1), -1):
            kind = self._waiting[place][1]
            if pool_may(kind.pool) and kind_may(kind):
                self.left -= 1
                return self._waiting.pop(place)
        return None
