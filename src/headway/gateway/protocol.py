"""One client's connection: HTTP/1.1 by httptools, with bounds on what a client may send and how slowly.

A request that could be read in two ways is no request: the connection ends. A client that hangs up cancels what runs for
it. uvicorn's own protocol does the same work in twice the time, and knows none of the bounds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

from headway.gateway.bounds import Bounds
from headway.gateway.cycle import HELD, Cycle
from headway.gateway.refusal import Denied, refusal
from headway.gateway.wiring import App, deliver

_log = logging.getLogger("headway")
_WATCHED = frozenset({b"host", b"transfer-encoding", b"expect"})
_UPGRADE = frozenset({b"connection", b"upgrade", b"http2-settings"})
_AFTER_CLOSE = "Data after `Connection: close`"  # llhttp's word for it
_DISCARD_S = 2.0  # how long what a refused client still sends is thrown away, so that it can read why
_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}
_MALFORMED = Denied(400, "invalid_request_error", "The request is not in the form of HTTP/1.1.")
_MISTAKE = Denied(500, "api_error", "A mistake in the gateway.")


class _Odd(Exception):
    """A request that is refused although the parser would take it."""


@dataclass(slots=True)
class Crowd:
    """All connections, and what runs for them."""

    connections: set[Connection] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Connection(asyncio.Protocol):
    """Calls `app` for each request. `tend` is to be called about every second: it ends what takes too long."""

    def __init__(self, app: App, bounds: Bounds, crowd: Crowd) -> None:
        self.bounds = bounds
        self.loop = asyncio.get_running_loop()
        self.is_full = False  # the kernel takes no more for now
        self._app = app
        self._crowd = crowd
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._cycle: Cycle | None = None  # what runs, or ran last
        self._coming: Cycle | None = None  # whose body comes
        self._queue: deque[Cycle] = deque()
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._url, self._method = b"", b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._hosts = 0
        self._expects = self._is_chunked = False
        self._is_paused = False
        self._in_head = False  # a head has begun and is not complete
        self._in_body = False
        self._grew = False  # body bytes came with this piece
        self._dry = 0  # bytes since a head began, or since body bytes came
        self._since = self.loop.time()  # when what is waited for began to be
        self._received = 0
        self._stuck: tuple[int, float] | None = None
        self._leaves_at: float | None = None
        self._is_deaf = False
        self._is_last = False  # no other request is taken

    # the event loop calls what follows

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._crowd.connections.add(self)
        if sock := transport.get_extra_info("socket"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._crowd.connections) > self.bounds.connections:
            self._refuse(
                Denied(503, "overloaded_error", "The gateway has as many connections as it may have.")
            )

    def connection_lost(self, _exc: Exception | None) -> None:
        self._crowd.connections.discard(self)
        self._queue.clear()
        self.resume_writing()
        self._drop()
        self._parser = cast("Any", None)  # which would hold us, and we it

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self._leaves_at is not None:
            return
        self._grew = False
        try:
            self._parser.feed_data(data)
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
        lines = [self._method + b" " + self._url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self._headers if name not in _UPGRADE]
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _bound(self, size: int) -> None:
        if not (self._in_head or self._in_body):
            self._dry = 0
            return
        self._dry = 0 if self._grew else self._dry + size
        if self._dry > self.bounds.head:
            what = "head" if self._in_head else "trailers or chunk extensions"
            self._refuse(Denied(431, "invalid_request_error", f"The {what} of the request has no end."))

    # httptools calls what follows

    def on_message_begin(self) -> None:
        self._url, self._headers, self._hosts = b"", [], 0
        self._expects = self._is_chunked = False
        self._in_head = True
        self._since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer, which nobody asked for
        name = name.lower()
        if name in _WATCHED:
            self._check(name, value)
        self._headers.append((name, value))

    def _check(self, name: bytes, value: bytes) -> None:
        """What the parser lets pass. Raises _Odd."""
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self._expects = value.lower() == b"100-continue"
        elif value.lower() != b"chunked" or self._is_chunked:
            raise _Odd
        else:
            self._is_chunked = True

    def on_headers_complete(self) -> None:
        parser = self._parser
        self._in_head, self._in_body, self._received = False, True, 0
        self._since = self.loop.time()
        self._method, version = parser.get_method(), parser.get_http_version()
        if self._hosts > 1 or not (
            (version == "1.1" and self._hosts) or (version == "1.0" and not self._is_chunked)
        ):
            raise _Odd
        if parser.should_upgrade():
            return  # the parser stops after this
        if len(self._queue) >= self.bounds.pipelined or self._is_last:
            raise _Odd
        is_old = version == "1.0"
        self._begin(
            Cycle(
                self,
                self._scope(version),
                expects=self._expects and not is_old,
                keep_alive=not is_old and parser.should_keep_alive(),
                is_old=is_old,
            )
        )

    def _scope(self, version: str) -> dict[str, Any]:
        url = self._url
        if url.startswith(b"/"):
            path, _, query = url.partition(b"?")
        else:
            parsed = httptools.parse_url(url)
            path, query = parsed.path or b"/", parsed.query or b""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": self._method.decode("ascii"),
            "scheme": "http",
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "client": self._transport.get_extra_info("peername"),
            "server": None,
            "state": {},
        }

    def _begin(self, cycle: Cycle) -> None:
        self._coming = cycle
        if self._cycle is None or self._cycle.is_complete:
            self._run(cycle)
        else:
            self._queue.append(cycle)
            self._pause()

    def on_body(self, body: bytes) -> None:
        self._grew = True
        self._received += len(body)
        coming = self._coming
        if coming is not None:
            coming.arrived(body)
            if coming.held > HELD:
                self._pause()

    def on_message_complete(self) -> None:
        self._in_body = False
        if self._coming is not None:
            self._coming.ended()
            self._coming = None

    # what follows is for the cycle

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until more can be sent."""
        while self.is_full:
            self._drained = self.loop.create_future()
            await self._drained

    def wants_more(self) -> None:
        """The application waits for more of the request."""
        if self._is_paused and not self._queue:
            self._is_paused = False
            self._transport.resume_reading()

    def done(self) -> None:
        """The reply is complete: on to the next request, or to the end."""
        cycle = self._cycle
        assert cycle is not None
        self._since = self.loop.time()
        if cycle.keep_alive and not self._is_last:
            if self._queue:
                self._run(self._queue.popleft())
            self.wants_more()
        elif cycle.is_partial:
            self._leave()
        else:
            self._transport.close()

    # what follows is for the server

    def shutdown(self) -> None:
        """End after the reply that is under way; now, if there is none."""
        if self._cycle is None or self._cycle.is_complete:
            self._transport.close()
        else:
            self._is_last = True
            if not self._cycle.is_started:
                self._cycle.keep_alive = False

    def abort(self) -> None:
        """End it now."""
        self._transport.abort()

    def tend(self, now: float) -> None:
        """End it if something takes longer than it may. `now` is loop time."""
        bounds, waited = self.bounds, now - self._since
        if self._leaves_at is not None:
            if now > self._leaves_at:
                self._transport.abort()
        elif self._in_head and waited > bounds.head_s:
            self._refuse(Denied(408, "timeout_error", "The head of the request took too long."))
        elif self._in_body and not self._is_paused and waited > bounds.body_s + self._received / bounds.slow:
            self._refuse(Denied(408, "timeout_error", "The body of the request took too long."))
        elif self._cycle is None or self._cycle.is_complete:
            if waited > (bounds.head_s if self._cycle is None else bounds.idle_s):
                self._transport.close()
        elif self.is_full:
            self._look_if_stuck(now)
        else:
            self._stuck = None

    def _look_if_stuck(self, now: float) -> None:
        left = self._transport.get_write_buffer_size()
        if self._stuck is None or self._stuck[0] != left:
            self._stuck = (left, now)
        elif now - self._stuck[1] > self.bounds.write_s:
            self._transport.abort()

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _leave(self) -> None:
        """Say that nothing more will come from here, and throw away what still comes from there."""
        if self._leaves_at is not None or self._transport.is_closing():
            return
        self._leaves_at = self.loop.time() + _DISCARD_S
        if self._transport.can_write_eof():
            self._transport.write_eof()
            if self._is_paused:
                self._is_paused = False
                self._transport.resume_reading()
        else:
            self._transport.close()

    def _refuse(self, why: Denied) -> None:
        """End the connection; say why, unless a reply is under way that this would be taken for a part of."""
        cycle = self._cycle
        is_under_way = cycle is not None and cycle.is_started and not cycle.is_complete
        if is_under_way or self._transport.is_closing():
            self._transport.abort()
            return
        self._drop()
        answer = refusal(why)
        lines = [b"HTTP/1.1 %d %b" % (why.status, _REASONS[why.status]), b"connection: close"]
        lines += [name + b": " + value for name, value in answer.headers]
        lines.append(b"content-length: %d" % len(answer.body))
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + answer.body)
        self._leave()

    def _drop(self) -> None:
        """What runs has nobody to answer to any more."""
        cycle = self._cycle
        if cycle is not None and not cycle.is_complete and self._task is not None:
            cycle.is_gone = True
            cycle.wake()
            self._task.cancel()

    def _run(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self._task = task = self.loop.create_task(self._serve(cycle))
        self._crowd.tasks.add(task)
        task.add_done_callback(self._crowd.tasks.discard)

    async def _serve(self, cycle: Cycle) -> None:
        """Have the application answer one request. What goes wrong there is logged without what the request says."""
        try:
            await self._app(cycle.scope, cycle.receive, cycle.send)
        except asyncio.CancelledError:
            pass  # hung up, refused, or out of time
        except Exception as error:
            _log.error("a request failed: %s", type(error).__name__, exc_info=error)
            if not cycle.is_started:
                await deliver(refusal(_MISTAKE), cycle.send)
        if not cycle.is_complete and not cycle.is_gone:
            self._transport.abort()
