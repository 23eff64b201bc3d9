"""One client's connection: bounds on how much a client sends and how slowly, and an end that it can read.

A client that hangs up cancels what runs for it. uvicorn's own protocol takes twice the time, and knows none of the bounds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from pathlib import Path
from traceback import extract_tb
from typing import cast

from headway.gateway.bounds import Bounds
from headway.gateway.cycle import HELD, Cycle
from headway.gateway.incoming import Incoming
from headway.gateway.refusal import Denied, refusal
from headway.gateway.wiring import App, deliver

_log = logging.getLogger("headway")
_DISCARD_S = 2.0  # how long what a refused client still sends is thrown away, so that it can read why
_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}
_MISTAKE = Denied(500, "api_error", "A mistake in the gateway.")


class Crowd:
    """All connections, and what runs for them. Belongs to one event loop."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._gone: asyncio.Future[None] | None = None

    def leave(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections and self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        while self.connections:
            self._gone = asyncio.get_running_loop().create_future()
            await self._gone


class Connection(asyncio.Protocol):
    """Calls `app` for each request. `tend` is to be called about every second: it ends what takes too long."""

    def __init__(self, app: App, bounds: Bounds, crowd: Crowd) -> None:
        self.bounds = bounds
        self.loop = asyncio.get_running_loop()
        self.is_full = False  # the kernel takes no more for now
        self._app = app
        self._crowd = crowd
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._incoming: Incoming = cast("Incoming", None)
        self._cycle: Cycle | None = None  # what runs, or ran last
        self._queue: deque[Cycle] = deque()
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._is_paused = False
        self._since = self.loop.time()  # of the last reply, or of the beginning
        self._stuck: tuple[int, float] | None = None
        self._leaves_at: float | None = None
        self._is_last = False  # no other request is taken

    # the event loop calls what follows

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._crowd.connections.add(self)
        client = transport.get_extra_info("peername")
        self._incoming = Incoming(self, self._begin, self.loop.time, self.bounds.head, client)
        if sock := transport.get_extra_info("socket"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._crowd.connections) > self.bounds.connections:
            self._refuse(
                Denied(503, "overloaded_error", "The gateway has as many connections as it may have.")
            )

    def connection_lost(self, _exc: Exception | None) -> None:
        self._crowd.leave(self)
        self._queue.clear()
        self.resume_writing()
        self._drop()
        self._incoming.close()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._leaves_at is not None:
            return
        try:
            self._incoming.feed(data)
        except Denied as why:
            self._refuse(why)
            return
        coming = self._incoming.coming
        if coming is not None and coming.held > HELD:
            self._pause()

    def _begin(self, cycle: Cycle) -> None:
        """The head of a request is there. Raises Denied."""
        if len(self._queue) >= self.bounds.pipelined or self._is_last:
            raise Denied(503, "overloaded_error", "No more requests are taken on this connection.")
        if self._cycle is None or self._cycle.is_complete:
            self._run(cycle)
        else:
            self._queue.append(cycle)
            self._pause()

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
        bounds, incoming = self.bounds, self._incoming
        waited = now - (incoming.since if incoming.in_head or incoming.in_body else self._since)
        if self._leaves_at is not None:
            if now > self._leaves_at:
                self._transport.abort()
        elif incoming.in_head and waited > bounds.head_s:
            self._refuse(Denied(408, "timeout_error", "The head of the request took too long."))
        elif (
            incoming.in_body
            and not self._is_paused
            and waited > bounds.body_s + incoming.received / bounds.slow
        ):
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
            _log.error("a request failed: %s at %s", type(error).__name__, _place(error))
            if not cycle.is_started:
                await deliver(refusal(_MISTAKE), cycle.send)
        if not cycle.is_complete and not cycle.is_gone:
            self._transport.abort()


def _place(error: BaseException) -> str:
    """Where it was raised. Its text may quote what a client sent, and so may the lines of a traceback."""
    frame = extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
