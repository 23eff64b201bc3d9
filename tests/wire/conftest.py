"""Tiny origins that behave as a test tells them, and both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Runner = Callable[[Coroutine[Any, Any, None]], None]


class Peer:
    """An origin on a free loopback port. `seen` holds the request heads, `met` counts the connections."""

    def __init__(self) -> None:
        self.port = 0
        self.met = 0
        self.seen: list[bytes] = []
        self.bodies: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until it is so; the time limit of the test says when it never will be."""
        while not condition():  # noqa: ASYNC110 -- the condition belongs to the code under test: no event to await
            await asyncio.sleep(0)

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Read one request whole; IncompleteReadError when the client has gone."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.seen.append(head)
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length: "):
                self.bodies.append(await reader.readexactly(int(line[16:])))
        return head

    @contextlib.asynccontextmanager
    async def serve(self, handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
        tasks: set[asyncio.Task[None]] = set()

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.met += 1
            self.writers.append(writer)
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                with contextlib.suppress(
                    asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError
                ):
                    await handler(reader, writer)
            finally:
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for writer in self.writers:
                writer.transport.abort()

    @contextlib.asynccontextmanager
    async def replies(self, *pieces: bytes, close: bool = False) -> AsyncIterator[Peer]:
        """Answer every request with `pieces`, one write each."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await self.request(reader)
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                if close:
                    return

        async with self.serve(answer):
            yield self


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    return asyncio.run if request.param == "asyncio" else uvloop.run
