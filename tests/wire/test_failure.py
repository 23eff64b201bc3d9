from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from headway.errors import ConnectionFailed
from headway.wire import Client, Reply, Timeouts

FIRST = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"


async def fetch(client: Client, body: bytes = b"{}") -> bytes:
    reply = await client.send("POST", "/v1/messages", [(b"x-api-key", b"k")], body)
    return await reply.read()


async def collect(reply: Reply) -> list[bytes]:
    return [chunk async for chunk in reply]


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side gets RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_a_refused_connection_was_not_sent(run: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> None:
        for host in ("127.0.0.1", "localhost"):
            client = Client(f"http://{host}:{port}")
            with pytest.raises(ConnectionFailed) as caught:
                await fetch(client)
            assert not caught.value.sent
            assert caught.value.hint
            assert client.open_connections == 0

    run(main())


def test_a_name_that_cannot_be_looked_up_was_not_sent(run: Any) -> None:
    async def main() -> None:
        client = Client(f"http://{'a' * 64}.invalid")
        with pytest.raises(ConnectionFailed, match="resolved") as caught:
            await fetch(client)
        assert not caught.value.sent

    run(main())


def test_a_connect_that_nobody_answers_ends_in_time(run: Any) -> None:
    async def main() -> None:
        with socket.socket() as deaf, socket.socket() as first:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            first.connect(deaf.getsockname())  # fills the queue: the kernel drops the next SYN
            client = Client(f"http://127.0.0.1:{deaf.getsockname()[1]}", limits=Timeouts(connect=0.05))
            with pytest.raises(ConnectionFailed, match=r"longer than 0\.05 s") as caught:
                await fetch(client)
            assert not caught.value.sent
            assert client.open_connections == 0

    run(main())


Behave = Callable[[asyncio.StreamWriter], None]


@pytest.mark.parametrize(
    ("behave", "says"),
    [
        pytest.param(reset, "before a reply", id="reset before the head"),
        pytest.param(lambda writer: writer.close(), "before a reply", id="closed before the head"),
        pytest.param(lambda writer: writer.write_eof(), "before a reply", id="half-closed before the head"),
        pytest.param(lambda writer: writer.write(b"SSH-2.0-x\r\n"), "malformed", id="another protocol"),
        pytest.param(lambda writer: writer.write(b"HTTP/1.1 200 OK\n\n"), "malformed", id="line feeds alone"),
        pytest.param(
            lambda writer: writer.write(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000), "65536", id="huge head"
        ),
    ],
)
def test_no_reply_after_sending_says_sent(run: Any, peer: Any, behave: Behave, says: str) -> None:
    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        behave(writer)
        await asyncio.Event().wait()

    async def main() -> None:
        async with peer.serve(misbehave), Client(peer.url) as client:
            with pytest.raises(ConnectionFailed, match=says) as caught:
                await fetch(client)
            assert caught.value.sent
            assert len(peer.seen) == 1
            await peer.until(lambda: client.open_connections == client.idle_connections)
            assert client.open_connections == 0

    run(main())


@pytest.mark.parametrize(
    ("first", "then", "says"),
    [
        pytest.param(FIRST, reset, "middle of the reply", id="reset"),
        pytest.param(FIRST, lambda writer: writer.close(), "3 of 9", id="closed early"),
        pytest.param(FIRST, lambda writer: writer.write_eof(), "3 of 9", id="half-closed early"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            lambda writer: writer.close(),
            "last chunk",
            id="closed before the last chunk",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            lambda writer: writer.write(b"nonsense\r\n"),
            "malformed",
            id="malformed chunk",
        ),
    ],
)
def test_a_body_cut_off_gives_what_came_and_then_the_error(
    run: Any, peer: Any, first: bytes, then: Behave, says: str
) -> None:
    go = asyncio.Event()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.write(first)
        await go.wait()
        then(writer)
        await asyncio.Event().wait()

    async def main() -> None:
        async with peer.serve(cut), Client(peer.url) as client:
            reply = await client.send("POST", "/", [], b"")
            assert await anext(reply) == b"abc"
            go.set()
            with pytest.raises(ConnectionFailed, match=says) as caught:
                await anext(reply)
            assert caught.value.sent
            with pytest.raises(ConnectionFailed, match=says):
                await reply.read()
            await reply.close()
            await peer.until(lambda: client.open_connections == client.idle_connections)
            assert client.open_connections == 0

    run(main())


def test_a_reply_that_never_starts_ends_after_the_head_timeout(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(), Client(peer.url, limits=Timeouts(head=0.05)) as client:
            with pytest.raises(ConnectionFailed, match=r"0\.05 s for the head of a reply") as caught:
                await fetch(client)
            assert caught.value.sent
            await peer.until(lambda: client.open_connections == client.idle_connections)
            assert client.open_connections == 0

    run(main())


@pytest.mark.parametrize("whole", [True, False])
def test_a_body_that_stops_coming_ends_after_the_idle_timeout(run: Any, peer: Any, whole: bool) -> None:
    async def main() -> None:
        async with peer.replies(FIRST), Client(peer.url, limits=Timeouts(idle=0.05)) as client:
            reply = await client.send("POST", "/", [], b"")
            with pytest.raises(ConnectionFailed, match=r"0\.05 s for more of the reply"):
                await (reply.read() if whole else collect(reply))
            await peer.until(lambda: client.open_connections == client.idle_connections)
            assert client.open_connections == 0

    run(main())


def test_a_request_that_is_not_taken_ends_after_the_write_timeout(run: Any, peer: Any) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with peer.serve(deaf), Client(peer.url, limits=Timeouts(write=0.05)) as client:
            with pytest.raises(ConnectionFailed, match=r"0\.05 s for the request to be accepted") as caught:
                await fetch(client, b"x" * 30_000_000)
            assert caught.value.sent
            await peer.until(lambda: client.open_connections == client.idle_connections)
            assert client.open_connections == 0

    run(main())
