"""One client's connection: uvicorn's HTTP/1.1, with bounds on what a client may send and how slowly.

A request that could be read in two ways is no request: the connection ends. A client that hangs up cancels what runs for it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from headway.gateway.bounds import Bounds
from headway.gateway.refusal import Denied, refusal

_log = logging.getLogger("headway")
_REASONS = {400: b"Bad Request", 431: b"Request Header Fields Too Large", 408: b"Request Timeout"}
_REASONS |= {503: b"Service Unavailable"}
_WATCHED = frozenset({b"host", b"transfer-encoding", b"expect"})
_UPGRADE = frozenset({b"connection", b"upgrade", b"http2-settings"})
_AFTER_CLOSE = "Data after `Connection: close`"  # llhttp's word for it
_DISCARD_S = 2.0  # how long what a refused client still sends is thrown away, so that it can read why

_MALFORMED = Denied(400, "invalid_request_error", "The request is not in the form of HTTP/1.1.")


class _Odd(Exception):
    """A request that is refused although the parser would take it."""


class Connection(HttpToolsProtocol):
    """`tend` is to be called about every second: it ends what takes too long."""

    def __init__(self, bounds: Bounds, **settings: Any) -> None:
        super().__init__(**settings)
        self.bounds = bounds
        self.parser = httptools.HttpRequestParser(
            self
        )  # without the leniencies of the one that uvicorn makes
        self._task: asyncio.Task[None] | None = None
        self._in_head = False  # a head has begun and is not complete
        self._in_body = False
        self._grew = False  # body bytes came with this piece
        self._dry = 0  # bytes since a head began, or since body bytes came
        self._since = self.loop.time()  # when what is waited for began to be
        self._received = 0
        self._stuck: tuple[int, float] | None = None
        self._leaves_at: float | None = None
        self._is_deaf = False
        self._method = b""
        self._hosts = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if sock := transport.get_extra_info("socket"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self.bounds.connections:
            self._refuse(
                Denied(503, "overloaded_error", "The gateway has as many connections as it may have.")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        if self.flow is not None:
            super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self._leaves_at is not None:
            return
        self._unset_keepalive_if_required()
        self._grew = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._stay(data[stopped.args[0] :])
        except httptools.HttpParserError as error:
            if _AFTER_CLOSE in str(error):  # more requests after one that was to be the last
                self._is_deaf = True
            else:
                self._refuse(_MALFORMED)
        else:
            self._bound(len(data))

    def _stay(self, rest: bytes) -> None:
        """Pass over the offer of another protocol, as some clients make with their first request."""
        if self._method == b"CONNECT":
            self._refuse(_MALFORMED)
            return
        lines = [self._method + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in _UPGRADE]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _bound(self, size: int) -> None:
        if not (self._in_head or self._in_body):
            self._dry = 0
            return
        self._dry = 0 if self._grew else self._dry + size
        if self._dry > self.bounds.head:
            what = "head" if self._in_head else "trailers or chunk extensions"
            self._refuse(Denied(431, "invalid_request_error", f"The {what} of the request has no end."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["connection"] = self
        self._in_head, self._hosts = True, 0
        self._since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer, which nobody asked for
        name = name.lower()
        if name in _WATCHED:
            self._check(name, value)
        self.headers.append((name, value))

    def _check(self, name: bytes, value: bytes) -> None:
        """What the parser lets pass. Raises _Odd."""
        if name == b"host":
            self._hosts += 1
        elif name == b"transfer-encoding" and (value.lower() != b"chunked" or self._is_chunked()):
            raise _Odd
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True

    def _is_chunked(self) -> bool:
        return any(name == b"transfer-encoding" for name, _ in self.headers)

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body, self._received = False, True, 0
        self._since = self.loop.time()
        self._method, version = self.parser.get_method(), self.parser.get_http_version()
        if not (version == "1.1" and self._hosts == 1) and not (
            version == "1.0" and self._hosts <= 1 and not self._is_chunked()
        ):
            raise _Odd
        if self.parser.should_upgrade():
            return  # the parser stops after this
        if len(self.pipeline) >= self.bounds.pipelined:
            raise _Odd
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._grew = True
        self._received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._since = self.loop.time()

    def close_after_reply(self) -> None:
        """Take no other request on this connection, if this one has not come whole."""
        if self._in_body and self._leaves_at is None:
            self.cycle.transport = _Leaving(self.transport, self)  # type: ignore[assignment]  # all that a cycle uses
            self.cycle.keep_alive = False

    def leave(self) -> None:
        """Say that nothing more will come from here, and throw away what still comes from there."""
        if self._leaves_at is not None or self.transport.is_closing():
            return
        self._leaves_at = self.loop.time() + _DISCARD_S
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()

    def tend(self, now: float) -> None:
        """End it if something takes longer than it may. `now` is loop time."""
        bounds, waited = self.bounds, now - self._since
        if self._leaves_at is not None:
            if now > self._leaves_at:
                self.transport.abort()
        elif self._in_head and waited > bounds.head_s:
            self._refuse(Denied(408, "timeout_error", "The head of the request took too long."))
        elif self._in_body and waited > bounds.body_s + self._received / bounds.slow:
            self._refuse(Denied(408, "timeout_error", "The body of the request took too long."))
        elif self.cycle is None or self.cycle.response_complete:
            if waited > (bounds.head_s if self.cycle is None else bounds.idle_s):
                self.transport.close()
        elif self.flow.write_paused:
            self._look_if_stuck(now)
        else:
            self._stuck = None

    def _look_if_stuck(self, now: float) -> None:
        left = self.transport.get_write_buffer_size()
        if self._stuck is None or self._stuck[0] != left:
            self._stuck = (left, now)
        elif now - self._stuck[1] > self.bounds.write_s:
            self.transport.abort()

    def _refuse(self, why: Denied) -> None:
        """End the connection; say why, unless a reply is under way that this would be taken for a part of."""
        busy = self.cycle is not None and not self.cycle.response_complete and self.cycle.response_started
        if busy or self.transport.is_closing():
            self.transport.abort()
            return
        answer = refusal(why)
        lines = [b"HTTP/1.1 %d %s" % (why.status, _REASONS[why.status]), b"connection: close"]
        lines += [name + b": " + value for name, value in answer.headers]
        lines.append(b"content-length: %d" % len(answer.body))
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + answer.body)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # what runs for it has nobody to answer to
        if self._task is not None:
            self._task.cancel()
        self.leave()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._task = task = self.loop.create_task(self._run(cycle, app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, cycle: RequestResponseCycle, app: Any) -> None:
        """uvicorn's `run_asgi`, which would write what goes wrong into a log, headers and all."""
        try:
            await app(cycle.scope, cycle.receive, cycle.send)
        except asyncio.CancelledError:
            if not cycle.disconnected:
                self.transport.abort()
            return
        except Exception as error:
            _log.error("a request failed: %s", type(error).__name__, exc_info=error)
            if not cycle.response_started:
                await cycle.send_500_response()
        finally:
            self._task = None
        if not cycle.response_complete and not cycle.disconnected:
            self.transport.abort()


class _Leaving:
    """A transport whose end is put off until the client has had time to read why."""

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self._connection = connection

    def close(self) -> None:
        """End it, politely."""
        self._connection.leave()
