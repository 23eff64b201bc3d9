"""The jobs door: from a job file and settings to results on file.

    scan the file ─► look at what is done ─► run the rest ─► sum up

`Door` holds what those four share. The command line shows it; anything else can run a job with it, too.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from headway.assemble import Parts, fingerprinting
from headway.core.forecast import Lengths
from headway.errors import ConfigError, JobFileError, OutputError
from headway.jobs.check import bad_report, checker
from headway.jobs.counting import Counting
from headway.jobs.ending import Stop
from headway.jobs.going import Going
from headway.jobs.index import Index, scan
from headway.jobs.job import Job, Way
from headway.jobs.order import Order
from headway.jobs.record import Options as Options
from headway.jobs.record import Record
from headway.jobs.summary import summarise
from headway.jobs.tally import Tally
from headway.jobs.view import View
from headway.providers.anthropic import Anthropic

MOST_CONNECTIONS = 4000


RETRIES = 8  # of a failed call: nobody waits for it, and the whole job is worth some patience


class Door:
    """One job. Call `look`, then `run`, then `summary`; `close` in any case."""

    def __init__(self, options: Options, parts: Parts) -> None:
        self.options = options
        self.parts = parts
        self.tally = Tally()
        self.job: Job | None = None
        self.ledger_problem: str | None = None
        self._file: BinaryIO | None = None
        self._index: Index | None = None
        self._record: Record | None = None
        self._order: Order | None = None
        provider = fingerprinting(parts.provider, parts.config)
        plain = Anthropic(provider.catalog, salt=provider.salt)  # for the scan: not every line is run
        self._scan = checker(parts, options, plain)
        self._check = checker(parts, options, provider)
        self._retries = RETRIES if parts.config.retries is None else parts.config.retries

    def look(self, progress: Callable[[int], None] = lambda _read: None) -> Index:
        """Scan the input, then the output: after this it is known what is left to do. Nothing is sent.

        Raises JobFileError for bad lines (unless `keep_going`) and for an input that has changed; OutputError.
        """
        options, tally = self.options, self.tally
        index = self._index = scan(self._open(), self._scan, progress)
        if not index.good_count and not index.bad_count:
            raise JobFileError(f"{options.name} has no lines")
        if index.bad_count and not options.keep_going:
            raise JobFileError(
                bad_report(index, options.name), hint="Mend them, or run the rest with --keep-going."
            )
        self._refuse_unpriced(index)
        record = self._record = Record(options, index, tally)
        record.reconcile(self._scan, self._cost if self.parts.budget else None)
        if self.parts.budget is not None:
            self.parts.budget.spent = tally.before_nanousd
        self._order = Order(index.take_cells(record.done))
        tally.total = tally.before + tally.bad + self._order.left
        tally.input_left = index.input_tokens * self._order.left / max(index.good_count, 1)
        tally.likely_output = self._order.likely_output(lambda most: Lengths().expect(most).mean)
        return index

    def _open(self) -> BinaryIO:
        if not isinstance(self.options.input, Path):
            return self.options.input
        try:
            self._file = self.options.input.open("rb")
        except OSError as error:
            raise JobFileError(f"cannot read {self.options.name}: {error.strerror}") from None
        return self._file

    def _cost(self, message: bytes) -> int:
        usage = self.parts.provider.read_usage(message)
        return 0 if usage is None else self.parts.prices.cost(usage.model, usage, time.time_ns()).nanousd or 0

    def _refuse_unpriced(self, index: Index) -> None:
        if self.parts.budget is None:
            return
        for cell in index.cells:
            model = cell.kind.model
            if self.parts.prices.unit(model, time.time_ns()) is None:
                raise ConfigError(
                    f"no price is known for {model}, so --max-cost cannot be kept",
                    hint="Leave --max-cost out, or choose a model with a known price.",
                )

    def run(self, show: Callable[[View], None], every_s: float) -> Stop | None:
        """Run what is left, showing a picture of it from time to time. Returns why it stopped before its end, or None."""
        going = Going(
            self.parts,
            counted=lambda ledger: Counting(ledger, self.tally, self.parts.prices),
            retries=self._retries,
            connections=self.parts.config.concurrency or _most_connections(),
            show=show,
            every_s=every_s,
        )
        self.job = self._make_job()
        try:
            return going.run(self.job)
        finally:
            self.ledger_problem = going.ledger_problem

    def _make_job(self) -> Job:
        assert self._index is not None
        assert self._record is not None
        assert self._order is not None
        config = self.parts.config
        name = _job_name(self.options.output)
        way = Way(
            self._check, name, f"{name}-{token_hex(4)}", config.stream, self._retries, config.max_wait_s
        )
        return Job(
            self._index,
            self._order,
            self._record.results,
            self.parts.engine,
            way,
            self.tally,
            clock=time.monotonic,
            kept=self._save_spent,
        )

    def _save_spent(self) -> None:
        """With a budget, note what was spent and what calls in flight may still cost: a kill must not forget it."""
        budget = self.parts.budget
        if budget is None or self._record is None:
            return
        spent = budget.spent + budget.held
        if spent != self._record.state.spent_nanousd:
            with suppress(
                OutputError
            ):  # a full disk: nothing more is sent then, and the next second tries again
                self._record.save(spent)

    def summary(self, stop: Stop | None) -> Mapping[str, Any]:
        """The numbers of this run."""
        output = str(self.options.output or "standard output")
        return summarise(self.tally, self.parts.engine, stop, output=output, now=time.monotonic())

    def close(self) -> None:
        """Let go of the files."""
        if self._file is not None:
            self._file.close()
        if self._record is not None:
            self._record.results.close()


def _most_connections() -> int:
    """As many sockets as the system lets us open, with some left for files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_CONNECTIONS + 100), hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(8, min(MOST_CONNECTIONS, soft - 100))


def _job_name(output: Path | None) -> str:
    return "job" if output is None else output.name.removesuffix(".jsonl").removesuffix(".results")
