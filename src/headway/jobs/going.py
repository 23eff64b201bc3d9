"""Runs a job to its end, or until it is told to stop: the connection, the driver, the signals, and what is learnt.

Whoever has a job to run (`headway run`, `headway compare`) brings its ledger and how it is shown.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from importlib.util import find_spec

import anyio

from headway.assemble import Parts, open_ledger
from headway.core.ports import Ledger
from headway.core.retry import Retry
from headway.drivers.aio import AioDriver
from headway.drivers.turnstile import Turnstile
from headway.jobs.ending import Stop
from headway.jobs.job import Job
from headway.jobs.sender import WireSender
from headway.jobs.view import View, look
from headway.ledger.lessons import keep_learnt, recall_lessons
from headway.wire.client import Client
from headway.wire.exchange import Timeouts


class Going:
    """`counted` goes around the ledger and sees what each attempt took. `show` gets a picture every `every_s` seconds."""

    def __init__(
        self,
        parts: Parts,
        *,
        counted: Callable[[Ledger], Ledger],
        retries: int,
        connections: int,
        show: Callable[[View], None],
        every_s: float,
    ) -> None:
        self.ledger_problem: str | None = None
        self._parts, self._counted = parts, counted
        self._retries, self._connections = retries, connections
        self._show, self._every_s = show, every_s

    def run(self, job: Job) -> Stop | None:
        """Run what is left of `job`. Returns why it stopped before its end, or None."""
        options = {"use_uvloop": find_spec("uvloop") is not None}
        return anyio.run(self._run, job, backend="asyncio", backend_options=options)

    async def _run(self, job: Job) -> Stop | None:
        parts, config = self._parts, self._parts.config
        ledger = open_ledger(config, parts.prices)
        client = Client(config.base_url, limits=Timeouts(), max_connections=self._connections)
        parts.engine.lessons = lambda pool: recall_lessons(ledger, config.base_url, pool, time.time_ns())
        try:
            driver = AioDriver(
                Turnstile(parts.engine, self._counted(ledger), time.monotonic, time.time_ns),
                WireSender(client, parts.provider, config.headers(), time.monotonic, job),
                provider=parts.provider.name,
                retry=Retry(self._retries),
            )
            async with anyio.create_task_group() as group:
                group.start_soon(self._obey_signals, job)
                group.start_soon(self._keep_showing, job)
                stop = await job.run(driver)
                group.cancel_scope.cancel()
            self._show(look(job, job.tally.ended_at))
            return stop
        finally:
            await client.close()
            keep_learnt(ledger, config.base_url, parts.engine, time.time_ns())
            ledger.stop()
            self.ledger_problem = ledger.problem

    async def _keep_showing(self, job: Job) -> None:
        while True:
            await anyio.sleep(self._every_s)
            self._show(look(job, time.monotonic()))

    async def _obey_signals(self, job: Job) -> None:
        """The first Ctrl-C stops sending and lets calls in flight end; the second one breaks them off."""
        wanted = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means it
            wanted.append(signal.SIGHUP)
        with anyio.open_signal_receiver(*wanted) as signals:
            async for number in signals:
                if job.stopped is not None:
                    job.abandon()
                job.stop(Stop.interrupted(number))
                self._show(look(job, time.monotonic()))
