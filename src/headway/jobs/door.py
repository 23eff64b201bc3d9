"""The jobs door: from a job file and settings to results on file.

    scan the file ─► look at what is done ─► run the rest ─► sum up

`Door` holds what those four share. The command line shows it; anything else can run a job with it, too.
"""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio

from headway.assemble import Parts, open_ledger
from headway.core.retry import Retry
from headway.drivers.aio import AioDriver
from headway.errors import ConfigError, JobFileError
from headway.jobs.index import Check, Checked, Index, scan
from headway.jobs.job import Job, Stop, Way
from headway.jobs.lines import PATH, Defaults, custom_id_of, read_line
from headway.jobs.order import Order
from headway.jobs.results import Results, errored
from headway.jobs.sender import WireSender
from headway.jobs.state import check_unchanged, save, state_of
from headway.jobs.summary import summarise
from headway.jobs.tally import Tally
from headway.jobs.view import View, look
from headway.providers.catalog import oversize
from headway.wire.client import Client
from headway.wire.exchange import Timeouts

MOST_CONNECTIONS = 4000


@dataclass(frozen=True, slots=True)
class Options:
    """What to run. `name` is how the input is called in messages (a file name, or "standard input")."""

    input: Path
    name: str
    output: Path
    defaults: Defaults
    is_text: bool = False
    keep_going: bool = False
    restart: bool = False
    accept_changes: bool = False
    retry_errored: bool = False


class Door:
    """One job. Call `look`, then `run`, then `summary`; `close` in any case."""

    def __init__(self, options: Options, parts: Parts) -> None:
        self.options = options
        self.parts = parts
        self.tally = Tally()
        self.index: Index | None = None
        self.job: Job | None = None
        self._results: Results | None = None
        self._order: Order | None = None
        self._check = checker(parts, options)

    def look(self, progress: Callable[[int], None] = lambda _read: None) -> Index:
        """Scan the input, then the output: after this it is known what is left to do. Nothing is sent.

        Raises JobFileError for bad lines (unless `keep_going`) and for an input that has changed; OutputError.
        """
        options = self.options
        index = self.index = scan(options.input, self._check, progress)
        if not index.good_count and not index.bad_count:
            raise JobFileError(f"{options.name} has no lines")
        if index.bad_count and not options.keep_going:
            raise JobFileError(
                bad_report(index, options.name), hint="Mend them, or run the rest with --keep-going."
            )
        self._refuse_unpriced(index)
        results = self._results = Results(options.output)
        if options.restart:
            results.restart()
        elif not options.accept_changes:
            check_unchanged(options.output, state_of(index, options.name))
        if options.retry_errored:
            results.drop_errored()
        done = bytearray(len(index.offsets) - 1)
        self.tally.before = results.repair(lambda custom_id, _ok: self._seen(index, done, custom_id))
        save(options.output, state_of(index, options.name))
        self._write_bad(index, results, done)
        self._order = Order(index.without(done))
        self.tally.total = self.tally.before + self.tally.bad + self._order.left
        self.tally.input_left = index.input_tokens * self._order.left / max(index.good_count, 1)
        return index

    def _seen(self, index: Index, done: bytearray, custom_id: str) -> bool:
        number = index.ids.line_of(custom_id)
        if number is None and custom_id.startswith("line-") and custom_id[5:].isdigit():
            number = int(custom_id[5:]) - 1  # a bad line without an id, written as errored
        if number is None or number >= len(done):
            return self.options.accept_changes
        if done[number]:
            return False
        done[number] = 1
        return True

    def _write_bad(self, index: Index, results: Results, done: bytearray) -> None:
        """With `keep_going`, each line that cannot be run gets its result: an error that says why."""
        for number in index.bad_lines:
            data = index.read(number).strip()
            custom_id = custom_id_of(data) or f"line-{number + 1}"
            owner = index.ids.line_of(custom_id)
            if done[number] or (owner is not None and owner != number):
                continue
            try:
                self._check(data, number + 1)
                problem = "the same custom_id as another line"
            except JobFileError as error:
                problem = str(error)
            results.append(custom_id, errored("invalid_request_error", f"line {number + 1}: {problem}"))
            done[number] = 1
            self.tally.bad += 1

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
        return anyio.run(
            self._run, show, every_s, backend="asyncio", backend_options={"use_uvloop": _has_uvloop()}
        )

    async def _run(self, show: Callable[[View], None], every_s: float) -> Stop | None:
        assert self.index is not None
        assert self._results is not None
        assert self._order is not None
        parts, config = self.parts, self.parts.config
        headers = config.headers()
        most = config.concurrency or _most_connections()
        ledger = open_ledger(config, parts.prices)
        client = Client(config.base_url, limits=Timeouts(), max_connections=most)
        try:
            driver = AioDriver(
                parts.engine,
                WireSender(client, parts.provider, headers, time.monotonic),
                ledger,
                provider=parts.provider.name,
                retry=Retry(config.retries),
                clock=time.monotonic,
                wall=time.time_ns,
            )
            way = Way(self._check, _job_name(self.options.output), config.stream, config.max_wait_s)
            job = self.job = Job(
                self.index,
                self._order,
                self._results,
                parts.engine,
                driver,
                way,
                self.tally,
                prices=parts.prices,
                clock=time.monotonic,
                wall=time.time_ns,
            )
            async with anyio.create_task_group() as group:
                group.start_soon(_obey_signals, job)
                group.start_soon(_show, job, show, every_s)
                stop = await job.run()
                group.cancel_scope.cancel()
            show(look(job, self.tally.ended_at))
            return stop
        finally:
            await client.close()
            ledger.stop()

    def summary(self, stop: Stop | None) -> Mapping[str, Any]:
        """The numbers of this run."""
        return summarise(
            self.tally, self.parts.engine, stop, output=str(self.options.output), now=time.monotonic()
        )

    def close(self) -> None:
        """Let go of the files."""
        if self.index is not None:
            self.index.close()
        if self._results is not None:
            self._results.close()


def checker(parts: Parts, options: Options) -> Check:
    """Reads a line and checks it against what is known of its model. Raises JobFileError."""

    def check(data: bytes, number: int) -> Checked:
        line = read_line(data, number, options.defaults, is_text=options.is_text)
        identity = parts.provider.identify(PATH, line.request)
        facts = parts.catalog.model(identity.model)
        if facts is None and not parts.config.any_model:
            near = parts.catalog.nearest_model(identity.model)
            raise JobFileError(
                f"unknown model {identity.model!r}" + (f"; did you mean {near}?" if near else "")
            )
        estimate = parts.provider.estimate(line.request)
        problem = oversize(facts, estimate) if facts else None
        if problem:
            raise JobFileError(problem)
        return Checked(line, identity, estimate)

    return check


def bad_report(index: Index, name: str) -> str:
    """What is wrong with a job file, by line, as far as it is worth reading."""
    more = index.bad_count - len(index.bad)
    lines = [f"  {bad}" for bad in index.bad] + ([f"  … and {more:,} more"] if more else [])
    count = f"{index.bad_count:,} line{'s' if index.bad_count != 1 else ''}"
    return f"{name}: {count} cannot be run; nothing was sent\n" + "\n".join(lines)


async def _show(job: Job, show: Callable[[View], None], every_s: float) -> None:
    while True:
        await anyio.sleep(every_s)
        show(look(job, time.monotonic()))


async def _obey_signals(job: Job) -> None:
    """The first Ctrl-C stops sending and lets calls in flight end; the second one breaks them off."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            if job.stopped is not None:
                job.abandon()
            job.stop(Stop("interrupted", "The same command goes on where this one ended.", 128 + number))


def _most_connections() -> int:
    """As many sockets as the system lets us open, with some left for files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_CONNECTIONS + 100), hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(8, min(MOST_CONNECTIONS, soft - 100))


def _has_uvloop() -> bool:
    return find_spec("uvloop") is not None


def _job_name(output: Path) -> str:
    return output.name.removesuffix(".jsonl").removesuffix(".results")
