"""One socket: writes a request, feeds what comes to `Incoming`, stops reading when the reader is slow."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from contextlib import aclosing
from typing import cast

from headway.errors import ConnectionFailed
from headway.wire import failure
from headway.wire.exchange import Exchange
from headway.wire.incoming import Incoming, Malformed
from headway.wire.upload import Upload

ONE_WRITE = 64 * 1024  # bodies up to this leave together with the head
SLICE = 256 * 1024  # bytes handed to the transport at a time


class Connection(asyncio.Protocol):
    """`exchange` is what it works on; None while it rests in the pool (since `idle_since`, loop time)."""

    __slots__ = (
        "_ended",
        "_full",
        "_incoming",
        "_lost",
        "_origin",
        "_paused",
        "_poll",
        "_pouring",
        "_transport",
        "exchange",
        "idle_since",
    )

    def __init__(
        self,
        origin: str,
        names: dict[bytes, str],
        ended: Callable[[Connection, bool], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self._origin = origin
        self._ended = ended
        self._lost = lost
        self._incoming = Incoming(names)
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._paused = self._full = self._pouring = False
        self.exchange: Exchange | None = None
        self.idle_since = 0.0

    def usable(self) -> bool:
        """Whether a request may be written: open, and nothing has come (bytes or an end) since the last reply.

        Asks the kernel, because the event loop may not have looked since the peer closed.
        """
        return self.connected and self._poll is not None and not self._poll.poll(0)

    @property
    def connected(self) -> bool:
        """Between `connection_made` and its end. (A fresh TLS connection may have tickets to read: no poll here.)"""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def attached(self) -> bool:
        """Whether there is a socket, closing or not."""
        return self._transport is not None

    async def ask(
        self, head: bytes, body: bytes | Upload, exchange: Exchange, head_s: float, write_s: float
    ) -> None:
        """Send a request and wait for the head of its reply. Raises ConnectionFailed."""
        transport = cast("asyncio.Transport", self._transport)
        self.exchange = exchange
        exchange.release = self.drop
        exchange.resume = self._resume
        self._incoming.expect(exchange, bodiless=head.startswith(b"HEAD "))
        if isinstance(body, Upload):
            await self._pass_on(head, body, exchange, write_s)
        elif len(body) <= ONE_WRITE:
            transport.write(head + body)
            exchange.sent = not transport.is_closing()  # asyncio: the kernel refused the very first byte
        else:
            await self._pour(head, body, exchange, write_s)
        while not exchange.status and exchange.error is None:
            await exchange.wait("the head of a reply", head_s)
        if not exchange.status and exchange.error is not None:
            raise exchange.error

    async def _pour(self, head: bytes, body: bytes, exchange: Exchange, write_s: float) -> None:
        """Write a large body piece by piece; stop when a reply comes before its end (too large, say)."""
        transport = cast("asyncio.Transport", self._transport)
        self._pouring = exchange.sent = True
        transport.write(head)
        view = memoryview(body)
        for start in range(0, len(view), SLICE):
            if exchange.status or exchange.error is not None:
                return
            transport.write(view[start : start + SLICE])
            await self._taken(exchange, write_s)
        self._pouring = (
            self._full
        )  # if a reply came early: what it will not read must not lie before the next

    async def _pass_on(self, head: bytes, body: Upload, exchange: Exchange, write_s: float) -> None:
        """Write a body as its pieces come. A reply before its end is seen with the next piece, and stops it."""
        transport = cast("asyncio.Transport", self._transport)
        self._pouring = exchange.sent = True
        transport.write(head)
        async with aclosing(body.framed()) as pieces:
            async for piece in pieces:
                if exchange.status or exchange.error is not None:
                    return
                transport.write(piece)
                await self._taken(exchange, write_s)
        self._pouring = self._full

    async def _taken(self, exchange: Exchange, write_s: float) -> None:
        """Wait until the peer takes more, or has said something."""
        while self._full and not exchange.status and exchange.error is None:
            await exchange.wait("the request to be accepted", write_s)

    def drop(self) -> None:
        """Give up on this socket, now. Nothing we close has anything left to say, so there is no goodbye."""
        sent = self.exchange is not None and self.exchange.sent
        self._finish(failure.closed(self._origin, sent=sent))

    def expire(self, now: float) -> None:
        """End the exchange if its wait has run out. `now` in loop time."""
        exchange = self.exchange
        if exchange is not None and now >= exchange.deadline:
            late = failure.too_late(exchange.awaited, exchange.patience_s, self._origin, sent=exchange.sent)
            self._finish(late)

    def _finish(self, error: ConnectionFailed | None, *, reusable: bool = False) -> None:
        exchange, self.exchange = self.exchange, None
        if not reusable and self._transport is not None:
            self._transport.abort()
        if exchange is not None:
            exchange.end(error)
            self._ended(self, reusable)

    def _break(self, reason: str, exchange: Exchange) -> None:
        self._finish(
            failure.broken(reason, self._origin, head_seen=bool(exchange.status), sent=exchange.sent)
        )

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    # the event loop calls what follows

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a reply may take minutes, behind a NAT
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.drop()  # bytes that nobody asked for
            return
        incoming = self._incoming
        had_head = exchange.status
        try:
            incoming.feed(data)
        except Malformed as error:
            self._break(str(error), exchange)
            return
        if incoming.complete:
            self._finish(None, reusable=incoming.reusable and not (self._pouring or self._paused))
            return
        if exchange.held > exchange.bound and not self._paused:
            self._paused = True
            cast("asyncio.Transport", self._transport).pause_reading()
        if had_head:
            exchange.arrived()
        elif exchange.status:
            exchange.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        exchange = self.exchange
        self._poll = None
        if exchange is not None:
            self._end_of_input(exc, exchange)
        self._transport = None
        self._lost(self)

    def _end_of_input(self, exc: Exception | None, exchange: Exchange) -> None:
        if exc is not None:
            self._break(str(exc) or type(exc).__name__, exchange)
            return
        try:
            self._incoming.finish()
        except Malformed as error:
            self._break(str(error), exchange)
        else:
            self._finish(None)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self.exchange is not None and not self.exchange.status:
            self.exchange.wake()
