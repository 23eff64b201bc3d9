"""Bodies that are sent as they come: how they are framed, who is waited for, and what ends them early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from headway.errors import ConnectionFailed, InputError
from headway.wire import Client, Reply, Timeouts, Upload

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
PIECE = b"x" * 65536
Read = asyncio.StreamReader
Write = asyncio.StreamWriter


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def put(client: Client, upload: Upload) -> Reply:
    return await client.send("POST", "/v1/files", [], upload)


def test_a_body_of_known_length_arrives_as_one(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(OK), Client(peer.url) as client:
            for _ in range(2):
                reply = await put(client, Upload(pieces(b"a", b"", b"bc"), 3))
                assert await reply.read() == b"ok"
            assert peer.bodies == [b"abc", b"abc"]
            assert b"Transfer-Encoding" not in peer.seen[0]
            assert peer.met == 1

    run(main())


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_body_of_unknown_length_goes_in_chunks(run: Any, peer: Any, method: str) -> None:
    async def answer(reader: Read, writer: Write) -> None:
        while True:
            peer.seen.append(await reader.readuntil(b"\r\n\r\n"))
            peer.bodies.append(await reader.readuntil(b"0\r\n\r\n"))
            writer.write(OK)

    async def main() -> None:
        async with peer.serve(answer), Client(peer.url) as client:
            for _ in range(2):
                reply = await client.send(method, "/v1/files", [], Upload(pieces(b"a", b"", b"b" * 17)))
                assert await reply.read() == b"ok"
            assert peer.bodies[1] == b"1\r\na\r\n11\r\n" + b"b" * 17 + b"\r\n0\r\n\r\n"
            assert b"\r\nTransfer-Encoding: chunked\r\n" in peer.seen[1]
            assert b"Content-Length" not in peer.seen[1]
            assert peer.met == 1

    run(main())


@pytest.mark.parametrize("length", [2, 4])
def test_a_body_that_is_not_as_long_as_it_was_said_ends_the_connection(
    run: Any, peer: Any, length: int
) -> None:
    async def main() -> None:
        async with peer.replies(OK), Client(peer.url) as client:
            with pytest.raises(InputError, match="not as long"):
                await put(client, Upload(pieces(b"a", b"bc"), length))
            await peer.until(lambda: client.open_connections == 0)

    run(main())


@pytest.mark.parametrize("length", [None, 10**9])
def test_no_more_is_read_of_it_than_the_peer_takes(run: Any, peer: Any, length: int | None) -> None:
    """The kernel holds some of it, the client one piece and what its transport buffers."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += len(PIECE)
            yield PIECE

    async def deaf(reader: Read, _: Write) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # not a byte more is read
        await asyncio.Event().wait()

    async def main() -> None:
        limits = Timeouts(write=0.3)
        async with peer.serve(deaf), Client(peer.url, limits=limits) as client:
            with pytest.raises(ConnectionFailed, match="the request to be accepted") as caught:
                await put(client, Upload(endless(), length))
            assert caught.value.sent
            assert 0 < read < 32 * 1024 * 1024
            await peer.until(lambda: client.open_connections == 0)

    run(main())


def test_a_reply_before_its_end_stops_it_and_ends_the_connection(run: Any, peer: Any) -> None:
    replied = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await replied.wait()
        while True:
            yield b"x"
            await asyncio.sleep(0)

    async def refuse(reader: Read, writer: Write) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(TOO_LARGE)
        replied.set()
        await asyncio.Event().wait()

    async def main() -> None:
        async with peer.serve(refuse), Client(peer.url) as client:
            reply = await put(client, Upload(endless(), 10**9))
            assert (reply.status, await reply.read()) == (413, b"no")
            await peer.until(lambda: client.open_connections == 0)

    run(main())


def test_a_peer_that_leaves_ends_it(run: Any, peer: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield PIECE
            await asyncio.sleep(0)

    async def leave(reader: Read, writer: Write) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async def main() -> None:
        async with peer.serve(leave), Client(peer.url) as client:
            with pytest.raises(ConnectionFailed) as caught:
                await put(client, Upload(endless()))
            assert caught.value.sent
            assert (peer.met, client.open_connections) == (1, 0)

    run(main())


def test_what_reading_it_raises_ends_the_connection_and_comes_through(run: Any, peer: Any) -> None:
    ended = asyncio.Event()

    async def broken() -> AsyncIterator[bytes]:
        yield PIECE
        raise ZeroDivisionError

    async def listen(reader: Read, _: Write) -> None:
        try:
            while await reader.read(65536):
                continue
        finally:
            ended.set()

    async def main() -> None:
        async with peer.serve(listen), Client(peer.url) as client:
            with pytest.raises(ZeroDivisionError):
                await put(client, Upload(broken(), 10**9))
            await ended.wait()
            await peer.until(lambda: client.open_connections == 0)

    run(main())


def test_cancelling_it_ends_the_connection(run: Any, peer: Any) -> None:
    waits = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield PIECE
        waits.set()
        await asyncio.Event().wait()

    async def main() -> None:
        async with peer.replies(OK), Client(peer.url) as client:
            sending = asyncio.create_task(put(client, Upload(stuck())))
            await waits.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await peer.until(lambda: client.open_connections == 0)

    run(main())
