"""Calls that draw on no limit: models, files and whatever else the API has. They go straight through, and are recorded.

A body goes on piece by piece as the provider takes it, so that a large upload is never held. It is never sent twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from headway.errors import ConnectionFailed
from headway.exchange.passing import Passing
from headway.exchange.scope import Scope
from headway.gateway.head import Head
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
    scope: Scope,
    body: Body,
    send: Send,
) -> None:
    """Run one such call to its end. Raises Denied and Gone, as its body does."""
    first = await anext(body)
    passing = Passing(engine, head.method, head.path, scope)
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
