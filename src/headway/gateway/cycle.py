"""One request and its reply, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Protocol

HELD = 64 * 1024  # bytes of a body that nobody has asked for yet
_CONTROLS = bytes([*range(9), *range(10, 32), 127])
_STATUS = {each.value: f"HTTP/1.1 {each.value} {each.phrase}".encode() for each in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS = frozenset({204, 304})


class Channel(Protocol):
    """The connection of a request."""

    is_full: bool

    def write(self, data: bytes) -> None:
        """Send bytes."""

    async def drained(self) -> None:
        """Wait until more can be sent."""

    def wants_more(self) -> None:
        """The application waits for more of the request."""

    def done(self) -> None:
        """The reply is complete."""


class Cycle:
    """`keep_alive`: another request may follow. `is_gone`: nobody is there any more. `is_partial`: some of the request is not
    here. `is_old`: HTTP/1.0, which knows no chunks. `held`: bytes of the body that nobody has asked for.

    A reply that begins before the request is there whole is the last one on its connection."""

    __slots__ = (
        "_channel",
        "_expects",
        "_head",
        "_is_chunked",
        "_is_head",
        "_left",
        "_parts",
        "_waiter",
        "held",
        "is_complete",
        "is_gone",
        "is_old",
        "is_partial",
        "is_started",
        "keep_alive",
        "scope",
    )

    def __init__(
        self, channel: Channel, scope: dict[str, Any], *, expects: bool, keep_alive: bool, is_old: bool
    ) -> None:
        self._channel = channel
        self.scope = scope
        self.keep_alive = keep_alive
        self.is_old = is_old
        self.is_partial = True
        self.is_started = self.is_complete = self.is_gone = False
        self.held = 0
        self._expects = expects
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._is_head = scope["method"] == "HEAD"
        self._is_chunked = False
        self._left: int | None = None

    def arrived(self, part: bytes) -> None:
        """Some of the body."""
        if not self.is_complete:
            self._parts.append(part)
            self.held += len(part)
            self.wake()

    def ended(self) -> None:
        """The request is here whole."""
        self.is_partial = False
        self.wake()

    def wake(self) -> None:
        """Something happened that the application may wait for."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def receive(self) -> Any:
        """The next of the body."""
        if self._expects and not self.is_started:
            self._expects = False
            self._channel.write(_CONTINUE)
        while not self._parts and self.is_partial and not self.is_gone and not self.is_complete:
            self._channel.wants_more()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.is_gone or self.is_complete:
            return {"type": "http.disconnect"}
        parts, self._parts, self.held = self._parts, [], 0
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return {"type": "http.request", "body": body, "more_body": self.is_partial}

    async def send(self, message: Any) -> None:
        """Some of the reply. Raises ValueError for a head that HTTP does not allow."""
        if self._channel.is_full and not self.is_gone:
            await self._channel.drained()
        if self.is_gone:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
        else:
            self._go_on(message.get("body", b""), is_last=not message.get("more_body", False))

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if self.is_started:
            raise ValueError("a reply begins once")
        lines = [_STATUS.get(status) or b"HTTP/1.1 %d " % status]
        length = None
        for name, value in headers:
            lines.append(name + b": " + value)
            if name == b"content-length":
                length = int(value)
        if self.is_partial:
            self.keep_alive = False
        if length is None and not self._is_head and status not in _BODILESS:
            self._is_chunked = not self.is_old
            if self._is_chunked:
                lines.append(b"transfer-encoding: chunked")
            else:
                self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close")
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * len(lines) + 2:
            raise ValueError("a header holds a line break or another control character")
        self.is_started = True
        self._left = None if self._is_head or status in _BODILESS else length
        if length is None:
            self._channel.write(head)
        else:
            self._head = head  # it leaves with the first of the body

    def _go_on(self, body: bytes, *, is_last: bool) -> None:
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (is_last and self._left):
                raise ValueError("a body is not as long as it was said")
        elif self._is_chunked:
            body = _chunk(body, is_last=is_last)
        elif not self.is_old or self._is_head:
            body = b""
        head, self._head = self._head, b""
        if head or body:
            self._channel.write(head + body if head else body)
        if is_last:
            self.is_complete = True
            self.wake()
            self._channel.done()


def _chunk(body: bytes, *, is_last: bool) -> bytes:
    if not body:
        return b"0\r\n\r\n" if is_last else b""
    return b"%x\r\n%b\r\n%b" % (len(body), body, b"0\r\n\r\n" if is_last else b"")
