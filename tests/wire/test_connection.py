from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from headway.errors import ConnectionFailed
from headway.wire import Client

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def fetch(client: Client, body: bytes = b"{}") -> bytes:
    reply = await client.send("POST", "/v1/messages", [(b"x-api-key", b"k")], body)
    return await reply.read()


def test_nagle_is_off_and_keepalive_on(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(OK), Client(peer.url) as client:
            await fetch(client)
            (connection,) = client._pool.idle
            sock = connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", id="it says close"
        ),
        pytest.param(OK + b"garbage", id="bytes after it"),
        pytest.param(OK + OK, id="a second reply nobody asked for"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", id="HTTP/1.0"),
    ],
)
def test_a_connection_is_not_used_again_after(run: Any, peer: Any, answer: bytes) -> None:
    async def main() -> None:
        async with peer.replies(answer), Client(peer.url) as client:
            for times in (1, 2, 3):
                assert await fetch(client) == b"ok"
                assert client.idle_connections == 0
                assert peer.met == times
            await peer.until(lambda: client.open_connections == client.idle_connections)
            assert client.open_connections == 0

    run(main())


def test_bytes_that_come_while_a_connection_rests_close_it(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(OK), Client(peer.url) as client:
            await fetch(client)
            peer.writers[0].write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            await peer.until(lambda: not client.open_connections)
            assert await fetch(client) == b"ok"
            assert peer.met == 2

    run(main())


def test_a_large_request_arrives_whole_and_the_connection_is_kept(run: Any, peer: Any) -> None:
    body = bytes(range(256)) * 40_000

    async def main() -> None:
        async with peer.replies(OK), Client(peer.url) as client:
            assert await fetch(client, body) == b"ok"
            assert await fetch(client, body[: 64 * 1024]) == b"ok"
            assert [len(one) for one in peer.bodies] == [len(body), 64 * 1024]
            assert peer.bodies[0] == body
            assert peer.met == 1

    run(main())


def test_a_reply_before_the_request_is_through_is_given_and_ends_the_connection(run: Any, peer: Any) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.Event().wait()  # and reads no further

    async def main() -> None:
        async with peer.serve(refuse), Client(peer.url) as client:
            reply = await client.send("POST", "/", [], b"x" * 30_000_000)
            assert reply.status == 413
            assert await reply.read() == b"no"
            await peer.until(lambda: client.open_connections == client.idle_connections)
            assert client.open_connections == 0

    run(main())


def test_a_connection_closed_while_it_rested_is_replaced_unnoticed(run: Any, peer: Any) -> None:
    async def main() -> None:
        async with peer.replies(OK), Client(peer.url) as client:
            await fetch(client)
            peer.writers[0].close()
            await peer.until(lambda: not client.open_connections)
            assert client.idle_connections == 0
            assert await fetch(client) == b"ok"
            assert (peer.met, len(peer.seen)) == (2, 2)

    run(main())


def test_a_close_the_event_loop_has_not_seen_yet_is_found_before_writing(run: Any) -> None:
    """The peer lives in a thread and closes while the loop is held up, so no callback can have told us."""
    heads: list[bytes] = []
    read, closed = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        for number in range(2):
            conversation, _ = listener.accept()
            heads.append(conversation.recv(65536))
            conversation.sendall(OK)
            if number == 0:
                read.wait(10)
            conversation.close()
            closed.set()

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(10)
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            async with Client(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
                assert await fetch(client) == b"ok"
                read.set()
                closed.wait(10)
                assert client.idle_connections == 1
                assert await fetch(client) == b"ok"
            thread.join()
            assert len(heads) == 2

    run(main())


def test_a_request_that_may_have_been_read_is_not_sent_twice(run: Any, peer: Any) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.write(OK)
        await peer.request(reader)

    async def main() -> None:
        async with peer.serve(once), Client(peer.url) as client:
            await fetch(client)
            with pytest.raises(ConnectionFailed) as caught:
                await fetch(client)
            assert caught.value.sent
            assert (peer.met, len(peer.seen)) == (1, 2)

    run(main())
