"""The gateway as a raw ASGI application: one handler for a request, from its head to the last byte of its reply.

A server that closes over `protocol.Connection` cancels the handler when the client hangs up: a call in line leaves it, a
reply under way is closed and settled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from headway.core.events import Event
from headway.errors import HeadwayError
from headway.gateway import record
from headway.gateway.bounds import Bounds
from headway.gateway.budgets import Budgets
from headway.gateway.calls import Calls
from headway.gateway.head import Head, read_head
from headway.gateway.keys import Key, Keys
from headway.gateway.passing import Body, pass_on, too_large
from headway.gateway.refusal import Answer, Denied, refusal
from headway.gateway.rights import Waits, check_path, key_of, scope_of
from headway.gateway.standing import Standings, State
from headway.gateway.wiring import Gone, Receive, Send, deliver
from headway.runtime import Engine
from headway.wire import Client

_log = logging.getLogger("headway")
_HEALTH = {"/healthz", "/readyz"}
_OK = Answer(200, [(b"content-type", b"application/json")], b'{"status":"ok"}')
_DRAINING = Answer(503, [(b"content-type", b"application/json")], b'{"status":"draining"}')


class Gateway:
    """Serves the API of the engine's provider through `upstream`, to whoever has one of `keys`.

    `is_open`: also without a key, to programs of this machine. `budgets` are those that keys have; None: they have
    none. Raises ConfigError if there is no key of the upstream.
    """

    def __init__(
        self,
        engine: Engine,
        keys: Keys,
        *,
        upstream: Client,
        is_open: bool = False,
        waits: Waits | None = None,
        bounds: Bounds | None = None,
        budgets: Budgets | None = None,
    ) -> None:
        self.engine = engine
        self.keys = keys
        self.bounds = bounds or Bounds()
        self.is_draining = False
        self._upstream = upstream
        self._is_open = is_open
        self._credentials = engine.config.headers()
        self._standings = Standings()
        self._waits = (waits or Waits()) if engine.config.max_wait_s is None else None
        self._held = 0
        self._served = self._refused = 0
        self._calls = Calls(engine, upstream, self._credentials, self._standings, budgets)
        engine.turnstile.tell = _both(engine.turnstile.tell, self._standings.hear)

    def state(self) -> State:
        """Who is in line and in flight, and what was done so far."""
        calls = tuple(self._standings.calls.values())
        return State(calls, self._served, self._refused, self.is_draining, self._standings.held())

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            head = read_head(scope)
            if head.path in _HEALTH:
                await deliver(self._health(head.path), send)
                return
            key = key_of(head, self.keys, is_open=self._is_open)
            record.presented(key)
            is_served = await self._serve(head, key, receive, send)
            self._served += is_served
            self._refused += not is_served
        except HeadwayError as error:
            self._refused += 1
            await deliver(refusal(error), send)
        except Gone:
            return

    def _health(self, path: str) -> Answer:
        return _DRAINING if self.is_draining and path == "/readyz" else _OK

    async def _serve(self, head: Head, key: Key, receive: Receive, send: Send) -> bool:
        """Whether it was not refused here."""
        pool = self.engine.provider.identify(head.path, {}).pool
        scope = scope_of(head, key, self._waits)
        most = self.bounds.message if pool not in (None, "anthropic/batches") else self.bounds.other
        if head.length is not None and head.length > most:
            raise too_large(most)
        if pool is None:
            check_path(key, head)
            body = Body(receive, most)
            await pass_on(self.engine, self._upstream, self._credentials, head, scope, body, send)
            return True
        whole = await self._read(receive, most)
        try:
            return await self._calls.run(head, key, scope, whole, send)
        finally:
            self._held -= len(whole)

    async def _read(self, receive: Receive, most: int) -> bytes:
        """The whole body. Raises Denied if it is too large, Gone if the client left."""
        parts: list[bytes] = []
        size = 0
        try:
            async for part in Body(receive, most):
                size += len(part)
                self._held += len(part)
                if self._held > self.bounds.bodies:
                    raise Denied(
                        503, "overloaded_error", "The gateway holds as many bodies as it may. Try again."
                    )
                parts.append(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        except BaseException:
            self._held -= size
            raise


def _both(first: Callable[[Event], None] | None, second: Callable[[Event], None]) -> Callable[[Event], None]:
    if first is None:
        return second

    def tell(news: Event) -> None:
        first(news)
        second(news)

    return tell
