from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headway.errors import ConnectionFailed
from headway.wire import Client, Reply
from headway.wire.exchange import HIGH_WATER

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ONE_READ = 256 * 1024  # the most an event loop hands over at a time
SIZE = 20_000_000


def flood(peer: Any) -> Any:
    """A handler that answers with SIZE bytes as fast as they are taken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await peer.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + bytes(SIZE))

    return answer


async def ask(client: Client) -> Reply:
    return await client.send("POST", "/", [], b"")


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_a_slow_reader_holds_is_bounded(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.serve(flood(peer)), Client(peer.url) as client:
            reply = await ask(client)
            held = reply._exchange
            await peer.until(lambda: held.held > HIGH_WATER)
            await turns(300)
            assert held.held <= HIGH_WATER + ONE_READ
            total = 0
            async for chunk in reply:
                total += len(chunk)
                await turns(5)
                assert held.held <= HIGH_WATER + ONE_READ
            assert total == SIZE
            assert client.idle_connections == 1

    run(main())


def test_a_reply_left_half_read_can_be_read_to_its_end(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.serve(flood(peer)), Client(peer.url) as client:
            reply = await ask(client)
            first = await anext(reply)
            await turns(300)  # reading is paused by now
            assert len(first) + len(await reply.read()) == SIZE
            assert await reply.read() == b""
            assert client.idle_connections == 1
            assert len(await (await ask(client)).read()) == SIZE
            assert peer.met == 1

    run(main())


@pytest.mark.parametrize("limit", [0, 1, 100_000, SIZE - 1])
def test_a_body_beyond_the_limit_is_refused(run: Any, peer: Any, limit: int) -> None:
    async def main() -> None:
        async with peer.serve(flood(peer)), Client(peer.url) as client:
            reply = await ask(client)
            with pytest.raises(ConnectionFailed, match=f"larger than {limit} bytes"):
                await reply.read(limit)
            await peer.until(lambda: client.open_connections == client.idle_connections)

    run(main())


def test_a_body_at_the_limit_is_given(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.serve(flood(peer)), Client(peer.url) as client:
            assert len(await (await ask(client)).read(SIZE)) == SIZE

    run(main())


def test_chunks_are_given_as_they_came(run: Any, peer: Any) -> None:
    events = [b"event: ping\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    frames = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)

    async def main() -> None:
        async with peer.replies(CHUNKED + frames + b"0\r\n\r\n"), Client(peer.url) as client:
            reply = await ask(client)
            assert [chunk async for chunk in reply] == events

    run(main())


def test_a_chunk_is_given_before_the_next_one_exists(run: Any, peer: Any) -> None:
    go = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.write(CHUNKED + b"3\r\nabc\r\n")
        await go.wait()
        writer.write(b"3\r\ndef\r\n0\r\n\r\n")
        await asyncio.Event().wait()

    async def main() -> None:
        async with peer.serve(answer), Client(peer.url) as client:
            reply = await ask(client)
            assert await anext(reply) == b"abc"
            go.set()
            assert [chunk async for chunk in reply] == [b"def"]

    run(main())


def test_closing_an_unfinished_reply_drops_its_connection(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.serve(flood(peer)), Client(peer.url, max_connections=1) as client:
            for _ in range(3):
                reply = await ask(client)
                await anext(reply)
                await reply.close()
                await reply.close()
                await peer.until(lambda: client.open_connections == 0)
            assert peer.met == 3

    run(main())


def test_closing_a_finished_reply_leaves_the_connection_to_its_next_call(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(OK), Client(peer.url, max_connections=1) as client:
            first = await ask(client)
            second = await ask(client)  # the body of the first has come, read or not
            await first.close()
            assert await second.read() == b"ok"
            assert await first.read() == b"ok"
            assert peer.met == 1

    run(main())


def test_pieces_come_singly_after_a_whole_read_was_given_up(run: Any, peer: Any) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await go.wait()
        writer.write(b"def")
        await asyncio.Event().wait()

    go = asyncio.Event()

    async def main() -> None:
        async with peer.serve(answer), Client(peer.url) as client:
            reply = await ask(client)
            reading = asyncio.ensure_future(reply.read())
            await turns(2)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert await anext(reply) == b"abc"
            following = asyncio.ensure_future(anext(reply))
            await turns(2)
            go.set()
            assert await following == b"def"
            await reply.close()

    run(main())


@pytest.mark.parametrize("whole", [True, False])
def test_a_read_that_was_cancelled_loses_nothing(run: Any, peer: Any, whole: bool) -> None:
    go = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        await go.wait()
        writer.write(b"def")
        await asyncio.Event().wait()

    async def main() -> None:
        async with peer.serve(answer), Client(peer.url) as client:
            reply = await ask(client)
            await peer.until(lambda: reply._exchange.held == 3)
            got = b"" if whole else await anext(reply)
            reading = asyncio.ensure_future(reply.read() if whole else anext(reply))
            await turns(2)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            go.set()
            assert got + await reply.read() == b"abcdef"
            assert client.idle_connections == 1

    run(main())
