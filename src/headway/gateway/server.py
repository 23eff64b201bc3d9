"""Listens, tends the connections, and ends without dropping a call."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from headway.errors import ConnectionFailed
from headway.gateway.app import Gateway
from headway.gateway.protocol import Connection, Crowd
from headway.gateway.wiring import App
from headway.wire import Timeouts

UPSTREAM = Timeouts(connect=10.0, head=600.0, idle=120.0, write=60.0)
_BACKLOG = 4096
_TICK_S = 1.0
_END_S = 5.0  # in which what was cancelled ends


async def serve(
    gateway: Gateway,
    listener: socket.socket,
    stopped: asyncio.Event,
    *,
    tick_s: float = _TICK_S,
    crowd: Crowd | None = None,
    app: App | None = None,
) -> None:
    """Serve until `stopped` is set; then take no new connection, let calls end for a while, and break off the rest.

    Connections are looked at every `tick_s` seconds; `crowd` has them, for those who want to see them. `app`
    is what is around the gateway, if anything is.
    """
    crowd = crowd or Crowd()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(app or gateway, gateway.bounds, crowd), sock=listener, backlog=_BACKLOG
    )
    tending = loop.create_task(_tend(crowd, tick_s))
    try:
        await stopped.wait()
        gateway.is_draining = True
        server.close()
        for connection in tuple(crowd.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(gateway.bounds.drain_s):
                await crowd.emptied()
    finally:
        server.close()
        tending.cancel()
        await _break_off(crowd)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ConnectionFailed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as wrong:
        raise ConnectionFailed(
            f"Cannot listen on {host}:{port}: {wrong.strerror or wrong}.",
            sent=False,
            hint="Try --port 0 for any free port.",
        ) from wrong


def url_of(listener: socket.socket) -> str:
    """Where it can be reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _tend(crowd: Crowd, tick_s: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(tick_s)
        now = loop.time()
        for connection in tuple(crowd.connections):
            connection.tend(now)


async def _break_off(crowd: Crowd) -> None:
    for connection in tuple(crowd.connections):
        connection.abort()
    await crowd.emptied()
    if crowd.tasks:
        await asyncio.wait(tuple(crowd.tasks), timeout=_END_S)
