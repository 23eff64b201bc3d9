"""The gateway as a raw ASGI application: one handler for a request, from its head to the last byte of its reply.

A server that closes over `protocol.Connection` cancels the handler when the client hangs up: a call in line leaves it, a
reply under way is closed and settled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from headway.core.events import Event
from headway.errors import ConnectionFailed, HeadwayError
from headway.gateway.bounds import Bounds
from headway.gateway.budgets import Budgets
from headway.gateway.calls import Calls
from headway.gateway.head import Head, read_head
from headway.gateway.keys import Key, Keys
from headway.gateway.passing import Passing
from headway.gateway.refusal import Answer, Denied, refusal
from headway.gateway.rights import Waits, check_path, key_of, scope_of
from headway.gateway.sending import raw, with_key
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
        return State(calls, self._served, self._refused, self.is_draining)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            head = read_head(scope)
            if head.path in _HEALTH:
                await deliver(self._health(head.path), send)
                return
            key = key_of(head, self.keys, is_open=self._is_open)
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
        identity = self.engine.provider.identify(head.path, {})
        scope = scope_of(head, key, self._waits)
        if identity.pool is None:
            check_path(key, head)
        most = self.bounds.message if identity.pool not in (None, "anthropic/batches") else self.bounds.other
        body = await self._read(head, receive, most)
        try:
            if identity.pool is None:
                await self._pass(head, key, scope, body, send)
                return True
            return await self._calls.run(head, key, scope, body, send)
        finally:
            self._held -= len(body)

    async def _read(self, head: Head, receive: Receive, most: int) -> bytes:
        """The whole body. Raises Denied if it is too large, Gone if the client left."""
        if head.length is not None and head.length > most:
            raise _too_large(most)
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Gone
                part = message["body"]
                size += len(part)
                self._held += len(part)
                if size > most:
                    raise _too_large(most)
                if self._held > self.bounds.bodies:
                    raise Denied(
                        503, "overloaded_error", "The gateway holds as many bodies as it may. Try again."
                    )
                parts.append(part)
                if not message["more_body"]:
                    return parts[0] if len(parts) == 1 else b"".join(parts)
        except BaseException:
            self._held -= size
            raise

    async def _pass(self, head: Head, key: Key, scope: Any, body: bytes, send: Send) -> None:
        """A call that draws on no limit goes straight through, and is recorded."""
        passing = Passing(self.engine, head, key, scope)
        headers = with_key(head.headers, self._credentials, has_version=head.has_version)
        if head.coding:
            headers.append((b"accept-encoding", head.coding))
        try:
            reply = await self._upstream.send(head.method, head.target, headers, body)
        except BaseException as error:
            passing.ended(None)
            if not isinstance(error, ConnectionFailed):
                raise
            await deliver(refusal(error, call_id=passing.id), send)
            return
        passing.ended(reply.status, reply.headers.get("request-id"))
        ours = [*raw(reply.headers), (b"headway-call-id", passing.id.encode())]
        if (length := reply.headers.get("content-length")) is not None:
            ours.append((b"content-length", length.encode("latin-1")))
        try:
            await send({"type": "http.response.start", "status": reply.status, "headers": ours})
            async for chunk in reply:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except ConnectionFailed:
            raise Gone from None
        finally:
            await reply.close()


def _both(first: Callable[[Event], None] | None, second: Callable[[Event], None]) -> Callable[[Event], None]:
    if first is None:
        return second

    def tell(news: Event) -> None:
        first(news)
        second(news)

    return tell


def _too_large(most: int) -> Denied:
    return Denied(413, "request_too_large", f"The body of the request is larger than {most} bytes.")
