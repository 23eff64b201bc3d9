"""All that watches the gateway, put together: what it tells an engine, a line of log for each request, the admin API.

operations = Operations("json")
engine = Engine(config, hooks=operations.hooks)
app = operations.around(gateway)
async with operations.admin(listener, engine, keys, token, more=...):
    ...  # serve
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from headway.core.events import Admitted, Refused, Settled
from headway.gateway.admin import admin_app
from headway.gateway.budgets import Budgets
from headway.gateway.keys import Keys
from headway.gateway.logs import Style, open_log
from headway.gateway.metrics import Metrics
from headway.gateway.record import CallLog
from headway.gateway.tally import Tally
from headway.gateway.wiring import App
from headway.hooks import Hooks
from headway.runtime import Engine

_END_S = 1.0  # how long an answer of the admin API may take to end, at the end
_IDLE_S = 30


class Operations:
    """`style` of the log; None: there is none, but headway's own warnings. `out`: where it goes, default standard error."""

    def __init__(self, style: Style | None, out: BinaryIO | None = None) -> None:
        self.tally, self.metrics = Tally(time.time_ns), Metrics()
        self.log: Any = open_log(style or "console", out)
        self._calls = None if style is None else CallLog(self.log)

    @property
    def hooks(self) -> Hooks:
        """What the engine is to be given: one for all, as it is asked for each call."""
        counts, tally = self.metrics.counts, self.tally

        def refused(news: Refused) -> None:
            counts.refused(news)
            tally.refused(news)
            if log is not None:
                log.refused(news)

        log = self._calls
        if log is None:
            return Hooks(admitted=counts.admitted, settled=counts.settled, refused=refused)

        def admitted(news: Admitted) -> None:
            counts.admitted(news)
            log.admitted(news)

        def settled(news: Settled) -> None:
            counts.settled(news)
            log.settled(news)

        return Hooks(admitted=admitted, settled=settled, refused=refused)

    def around(self, app: App) -> App:
        """The application of the gateway, with a line of log for each request."""
        return app if self._calls is None else self._calls.around(app)

    @asynccontextmanager
    async def admin(
        self,
        listener: socket.socket,
        engine: Engine,
        keys: Keys,
        token: str,
        *,
        budgets: Budgets | None = None,
        more: Callable[[], dict[str, Any]] | None = None,
    ) -> AsyncIterator[None]:
        """Serve the admin API on a socket that listens, for as long as the block runs. See `admin_app`."""
        app = admin_app(
            engine, keys, token, tally=self.tally, metrics=self.metrics, budgets=budgets, more=more
        )
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_maker(app, state), sock=listener)
        try:
            yield
        finally:
            server.close()
            await _end(state)


def _maker(app: ASGIApp, state: ServerState) -> Callable[[], HttpToolsProtocol]:
    config = uvicorn.Config(
        app,
        http=HttpToolsProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_S,
    )
    config.load()
    return lambda: HttpToolsProtocol(config=config, server_state=state, app_state={})


async def _end(state: ServerState) -> None:
    for connection in tuple(state.connections):
        connection.shutdown()
    if state.tasks:
        await asyncio.wait(tuple(state.tasks), timeout=_END_S)
    for connection in tuple(state.connections):
        connection.transport.abort()
    for task in tuple(state.tasks):
        task.cancel()
