"""Gateways for the tests, on real sockets, and how to talk to them byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from headway.core.retry import Again, GiveUp, Retry
from headway.gateway.app import Gateway
from headway.gateway.bounds import Bounds
from headway.gateway.keys import Keys
from headway.gateway.protocol import Connection, Crowd
from headway.gateway.server import listen, new_loop, serve
from headway.gateway.wiring import App
from headway.runtime import Engine
from headway.wire import Client, Timeouts
from transport.provider import PATIENCE_S, wait_until

BODY = json.dumps(
    {"model": "claude-opus-4-8", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]}
).encode()
STREAM = BODY[:-1] + b', "stream": true}'


class Soon(Retry):
    """Decides as it should about trying again, but has no patience: whatever is tried again is tried at once."""

    def decide(self, *said: Any) -> Again | GiveUp:
        decided = super().decide(*said)
        return Again(0.0) if isinstance(decided, Again) else decided


class Serving:
    """A gateway that runs in a thread of its own."""

    def __init__(
        self,
        upstream: str,
        ledger: Path,
        *,
        keys: Path | None = None,
        is_open: bool = True,
        bounds: Bounds | None = None,
        timeouts: Timeouts | None = None,
        options: dict[str, Any] | None = None,
        around: Callable[[App], App] = lambda app: app,
        **settings: Any,
    ) -> None:
        self.ledger = ledger
        self.engine = Engine(base_url=upstream, api_key="sk-upstream", ledger=str(ledger), **settings)
        self.engine.retry = Soon(retries=1, refusals=1)
        self.keys = Keys(keys)
        self._bounds = bounds or Bounds(drain_s=5.0)
        self._timeouts = timeouts or Timeouts()
        self._is_open = is_open
        self._options = options or {}
        self._around = around
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.loop = new_loop()
        self.stopped = asyncio.Event()
        self.crowd = Crowd()
        self.upstream = upstream
        self.gateway: Gateway
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(PATIENCE_S)

    def _run(self, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        async with Client(self.upstream, limits=self._timeouts) as client:
            self.client = client
            self.gateway = Gateway(
                self.engine,
                self.keys,
                upstream=client,
                is_open=self._is_open,
                bounds=self._bounds,
                **self._options,
            )
            ready.set()
            app = self._around(self.gateway)
            await serve(self.gateway, self._listener, self.stopped, tick_s=0.02, crowd=self.crowd, app=app)

    def stop(self) -> None:
        """As on SIGTERM."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.stopped.set)

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def connections(self) -> list[Connection]:
        """Those of clients that are open."""
        return list(self.crowd.connections)

    def rows(self) -> list[dict[str, Any]]:
        """What the ledger has, in the order of sending. Each attempt that was opened must be closed, once."""
        wait_until(lambda: self.engine.core.in_flight == 0)
        self.engine.flush()
        with closing(sqlite3.connect(self.ledger)) as db:
            db.row_factory = sqlite3.Row
            assert db.execute("SELECT count(*) FROM open_attempts").fetchone()[0] == 0
            return [dict(row) for row in db.execute("SELECT * FROM attempts ORDER BY at_ns, id")]

    def is_clean(self) -> None:
        """No ticket, no place in line, no call, no attempt on file that has not ended."""
        wait_until(lambda: not self.gateway.state().calls)
        self.rows()
        for pool in self.engine.core.pools.values():
            assert len(pool.line) == 0
        assert not self.engine.turnstile._slots
        assert self.gateway._held == 0

    def close(self) -> None:
        self.stop()
        self.join()
        self.is_clean()
        self.engine.close()


def post(body: bytes = BODY, path: str = "/v1/messages", *headers: str, connection: str = "close") -> bytes:
    """A request as it goes over the wire; the connection ends with its reply."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Connection: {connection}", *headers]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def talk(port: int, *parts: bytes) -> bytes:
    """Send bytes on a connection of their own; all that comes back until it ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        for part in parts:
            connection.sendall(part)
        return drain(connection)


def drain(connection: socket.socket) -> bytes:
    """All that comes, until the end or a reset."""
    got = []
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            break
        if not part:
            break
        got.append(part)
    return b"".join(got)


def status(reply: bytes) -> int:
    """The status of the first reply; 0: none came."""
    return int(reply.split(b" ", 2)[1]) if reply.startswith(b"HTTP/1.1 ") else 0


def header(reply: bytes, name: str) -> str | None:
    """The value of a header of the first reply."""
    for line in reply.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name.encode():
            return value.strip().decode()
    return None


def body(reply: bytes) -> bytes:
    """The body of a reply that is not chunked."""
    return reply.partition(b"\r\n\r\n")[2]


def error_of(reply: bytes) -> dict[str, Any]:
    """The body of an error."""
    found: dict[str, Any] = json.loads(body(reply))
    return found
