"""Calls that draw on no limit: models, files and whatever else the API has. They go straight through, and are recorded.

A body goes on piece by piece as the provider takes it, so that a large upload is never held. It is never sent twice.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from headway.core.call import Usage
from headway.core.ports import Entry, OpenEntry
from headway.errors import ConnectionFailed
from headway.exchange.scope import Scope
from headway.gateway.head import Head
from headway.gateway.keys import Key
from headway.gateway.refusal import Denied, refusal
from headway.gateway.sending import raw, with_key
from headway.gateway.wiring import Gone, Receive, Send, deliver
from headway.runtime import Engine
from headway.wire import Client, Reply, Upload


class Body:
    """The body of a request, as its pieces come: an iterator. Raises Denied beyond `most` bytes, Gone if the client left."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._size = 0
        self.is_ended = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if self.is_ended:
            raise StopAsyncIteration
        message = await self._receive()
        if message["type"] != "http.request":
            raise Gone
        piece: bytes = message["body"]
        self._size += len(piece)
        if self._size > self._most:
            raise too_large(self._most)
        self.is_ended = not message["more_body"]
        return piece


async def pass_on(
    engine: Engine,
    upstream: Client,
    credentials: list[tuple[bytes, bytes]],
    head: Head,
    key: Key,
    scope: Scope,
    body: Body,
    send: Send,
) -> None:
    """Run one such call to its end. Raises Denied and Gone, as its body does."""
    first = await anext(body)
    passing = Passing(engine, head, key, scope)
    headers = with_key(head.headers, credentials, has_version=head.has_version)
    if head.coding:
        headers.append((b"accept-encoding", head.coding))
    content = first if body.is_ended else Upload(_after(first, body), head.length)
    try:
        reply = await upstream.send(head.method, head.target, headers, content)
    except BaseException as error:
        passing.ended(None)
        if not isinstance(error, ConnectionFailed):
            raise
        await deliver(refusal(error, call_id=passing.id), send)
        return
    passing.ended(reply.status, reply.headers.get("request-id"))
    await _answer(reply, passing.id, send)


async def _after(first: bytes, rest: Body) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _answer(reply: Reply, call_id: str, send: Send) -> None:
    headers = [*raw(reply.headers), (b"headway-call-id", call_id.encode())]
    if (length := reply.headers.get("content-length")) is not None:
        headers.append((b"content-length", length.encode("latin-1")))
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        async for chunk in reply:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except ConnectionFailed:
        raise Gone from None
    finally:
        await reply.close()


def too_large(most: int) -> Denied:
    """What a client gets whose body is larger than it may be."""
    return Denied(413, "request_too_large", f"The body of the request is larger than {most} bytes.")


class Passing:
    """Noted when it leaves, and when the head of its reply is there."""

    __slots__ = ("_began", "_engine", "id")

    def __init__(self, engine: Engine, head: Head, key: Key, scope: Scope) -> None:
        self._engine, self.id, self._began = engine, engine.new_id(), time.monotonic()
        place = f"{head.method} {head.path}"[:200]
        engine.ledger.open(
            OpenEntry(
                attempt_id=f"{self.id}-1",
                call_id=self.id,
                number=1,
                at_ns=time.time_ns(),
                provider=engine.provider.name,
                pool="",
                model="",
                tenant=key.tenant,
                class_=scope.class_ or key.class_,
                session=scope.session,
                job=scope.job,
                label=f"{place},{scope.label}" if scope.label else place,
                estimated_input_tokens=0,
                estimated_output_tokens=0,
                queued_ms=0.0,
                stream=False,
            )
        )

    def ended(self, status: int | None, request_id: str | None = None) -> None:
        """The head of the reply is there; None: it never came."""
        self._engine.ledger.close(
            Entry(
                attempt_id=f"{self.id}-1",
                outcome="ok" if status is not None and status < 400 else "failed",
                status=status,
                error_type="",
                request_id=request_id,
                usage=Usage(),
                estimated=False,
                first_token_ms=None,
                total_ms=(time.monotonic() - self._began) * 1000.0,
            )
        )
