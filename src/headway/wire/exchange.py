"""One request and what has come back of it so far: the buffer between a connection and a reader."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from headway.errors import ConnectionFailed

HIGH_WATER = 256 * 1024  # bytes waiting for the reader before reading from the socket stops


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each wait may be, seconds. They are kept to within a tenth of the shortest of them, or 1 s.

    `connect` covers name, TCP and TLS; `head` from the sent request to the response head; `idle` between two
    pieces of a body while somebody waits for one; `write` until the peer takes the next 256 kB of a large request.
    """

    connect: float = 10.0
    head: float = 600.0
    idle: float = 60.0
    write: float = 60.0


class Exchange:
    """Filled by the connection, emptied by the reply; lives on after the connection has gone to another call.

    `release` is None once the connection is out of the picture: the reply is all here, or it never will be.
    """

    __slots__ = (
        "awaited",
        "bound",
        "chunks",
        "complete",
        "deadline",
        "error",
        "headers",
        "held",
        "idle_s",
        "loop",
        "patience_s",
        "reason",
        "release",
        "resume",
        "sent",
        "status",
        "waiter",
        "whole",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_s: float) -> None:
        self.loop = loop
        self.idle_s = idle_s
        self.status = 0  # 0 until the head is in
        self.reason = ""
        self.headers: dict[str, str] = {}
        self.chunks: deque[bytes] = deque()
        self.held = 0
        self.bound = HIGH_WATER
        self.whole = False  # the reader wants the body in one piece: do not wake it for each chunk
        self.complete = False
        self.error: ConnectionFailed | None = None
        self.sent = False
        self.waiter: asyncio.Future[None] | None = None
        self.deadline = math.inf
        self.awaited = ""
        self.patience_s = 0.0
        self.resume: Callable[[], None] | None = None
        self.release: Callable[[], None] | None = None

    async def wait(self, awaited: str, patience_s: float) -> None:
        """Sleep until something happened. A deadline is but a number: one coarse timer of the pool sees to all."""
        self.awaited = awaited
        self.patience_s = patience_s
        self.deadline = self.loop.time() + patience_s
        self.waiter = waiter = self.loop.create_future()
        try:
            await waiter
        finally:
            self.deadline = math.inf
            self.waiter = None

    def wake(self) -> None:
        """Something happened that the one who waits should look at."""
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def arrived(self) -> None:
        """Body bytes came: the patience starts anew, and the reader wakes if that is what it waits for."""
        if self.waiter is None:
            return
        if self.whole and not self.complete and self.held <= self.bound:
            self.deadline = self.loop.time() + self.patience_s
        elif self.chunks or self.complete:
            self.wake()

    def end(self, error: ConnectionFailed | None) -> None:
        """No more will come: all is here (None), or `error` says why not."""
        self.release = self.resume = None
        if error is None:
            self.complete = True
        elif self.error is None and not self.complete:
            self.error = error
        self.wake()
