"""Who may use a connection, which one, and when an idle one is closed.

A call first takes a turn (at most `size` have one, the rest wait first come, first served), then the connection
that was used last, or a new one. Connections that rest hold no turn; as a new one is opened only when none rests,
there are never more than `size` of both together.
"""

from __future__ import annotations

import asyncio
from collections import deque

from headway.wire.connection import Connection

KEEP_S = 55.0  # seconds a connection may rest; servers and load balancers commonly close after 60


class Pool:
    """Bound to the event loop of its first call. Errors: none of its own."""

    def __init__(self, origin: str, size: int, tick_s: float, keep_s: float = KEEP_S) -> None:
        self._origin = origin
        self._size = size
        self._tick_s = tick_s
        self._keep_s = keep_s
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._names: dict[bytes, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self.closed = False
        self.open: set[Connection] = set()
        self.idle: dict[Connection, None] = {}  # in the order of coming to rest

    async def turn(self) -> None:
        """Wait for a turn. Whoever has one ends it with `leave`, or has a connection that does."""
        if self._busy < self._size:
            self._busy += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self.leave()  # the turn came together with the cancellation
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def leave(self) -> None:
        """End a turn; the one who has waited longest takes it over."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._busy -= 1

    def take(self) -> Connection | None:
        """The connection that came to rest last and is still good; None: open one."""
        while self.idle:
            connection, _ = self.idle.popitem()
            if connection.usable():
                return connection
            connection.drop()
        return None

    def new(self) -> Connection:
        """A connection that is not connected yet."""
        connection = Connection(self._origin, self._names, self._ended, self.forget)
        self.open.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._look)
        return connection

    def forget(self, connection: Connection) -> None:
        """It is gone, or never came to be."""
        self.open.discard(connection)
        self.idle.pop(connection, None)
        self._changed.set()

    async def close(self) -> None:
        """Drop all connections; return when their sockets are closed."""
        self.closed = True
        for connection in tuple(self.open):
            connection.drop()
        while any(connection.attached for connection in self.open):
            self._changed.clear()
            await self._changed.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ended(self, connection: Connection, reusable: bool) -> None:
        if reusable and not self.closed:
            connection.idle_since = asyncio.get_running_loop().time()
            self.idle[connection] = None
        elif reusable:
            connection.drop()
        self.leave()

    def _look(self) -> None:
        """The one timer: deadlines of exchanges, and the age of what rests."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = loop.call_later(self._tick_s, self._look) if self.open else None
        for connection in tuple(self.open):
            connection.expire(now)
        for connection in tuple(self.idle):
            if now - connection.idle_since < self._keep_s:
                break
            del self.idle[connection]
            connection.drop()
