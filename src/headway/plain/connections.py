"""Connections that all plain calls share: of the process, or of the event loop that they are in. Closed when that ends."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import AsyncGenerator
from functools import cache
from ssl import SSLContext
from threading import Lock

import httpx2
from anyio.lowlevel import RunVar

from headway.transport.inner import plain, plain_async

TRIPS = "headway.trips"  # the extension of a request that counts its attempts


class Trips:
    """Counts the attempts of one call, and the seconds that it did not spend under way."""

    __slots__ = ("_began", "_left", "_under_way_s", "attempts", "waited_s")

    def __init__(self) -> None:
        self.attempts = 0
        self.waited_s = 0.0
        self._began = self._left = time.monotonic()
        self._under_way_s = 0.0

    def leave(self) -> None:
        self.attempts += 1
        self._left = time.monotonic()
        self.waited_s = self._left - self._began - self._under_way_s

    def back(self) -> None:
        self._under_way_s += time.monotonic() - self._left


@cache
def _trusted() -> SSLContext:
    """Which certificates are trusted; read once, because it takes 40 ms, and an event loop should not stand still."""
    return httpx2.create_ssl_context()


class _Counted(httpx2.BaseTransport):
    """Connections that count the attempts that go out."""

    def __init__(self, proxy: str | None) -> None:
        self._inner = plain(proxy, verify=_trusted())

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        trips: Trips = request.extensions[TRIPS]
        trips.leave()
        try:
            return self._inner.handle_request(request)
        finally:
            trips.back()

    def close(self) -> None:
        self._inner.close()


class _AsyncCounted(httpx2.AsyncBaseTransport):
    """The same, asynchronous."""

    def __init__(self, proxy: str | None) -> None:
        self._inner = plain_async(proxy, verify=_trusted())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        trips: Trips = request.extensions[TRIPS]
        trips.leave()
        try:
            return await self._inner.handle_async_request(request)
        finally:
            trips.back()

    async def aclose(self) -> None:
        await self._inner.aclose()


_open: dict[str | None, _Counted] = {}
_opening = Lock()


def connections(proxy: str | None) -> _Counted:
    """The connections of this process, through one proxy."""
    with _opening:
        if proxy not in _open:
            _open[proxy] = _Counted(proxy)
        return _open[proxy]


def _close() -> None:
    while _open:
        _open.popitem()[1].close()


class AsyncConnections:
    """The connections of one event loop, by proxy."""

    def __init__(self) -> None:
        self._open: dict[str | None, _AsyncCounted] = {}

    def through(self, proxy: str | None) -> _AsyncCounted:
        if proxy not in self._open:
            self._open[proxy] = _AsyncCounted(proxy)
        return self._open[proxy]

    async def until_the_loop_ends(self) -> AsyncGenerator[AsyncConnections, None]:
        """Event loops close the generators that are still open when they end, and so these connections."""
        try:
            yield self
        finally:
            while self._open:
                await self._open.popitem()[1].aclose()


_of_this_loop: RunVar[tuple[AsyncConnections, AsyncGenerator[AsyncConnections, None]]] = RunVar(
    "headway.send"
)


async def async_connections() -> AsyncConnections:
    kept = _of_this_loop.get(None)
    if kept is None:
        opened = AsyncConnections()
        generator = opened.until_the_loop_ends()
        kept = opened, generator
        _of_this_loop.set(kept)
        await anext(generator)
    return kept[0]


def _after_fork() -> None:
    """In the child: the connections are the parent's."""
    global _open, _opening
    _inherited.append(_open)
    _open, _opening = {}, Lock()


_inherited: list[dict[str | None, _Counted]] = []  # never closed: that would end them for the parent too
os.register_at_fork(after_in_child=_after_fork)
atexit.register(_close)
