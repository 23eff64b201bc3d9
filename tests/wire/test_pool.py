from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import ConnectionFailed
from headway.wire import Client, Timeouts
from headway.wire.pool import Pool

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def fetch(client: Client, body: bytes = b"{}") -> bytes:
    reply = await client.send("POST", "/", [], body)
    try:
        return await reply.read()
    finally:
        await reply.close()


def test_calls_beyond_the_maximum_wait_first_come_first_served(run: Any, peer: Any) -> None:
    go = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await peer.request(reader)
            await go.wait()
            writer.write(OK)

    async def main() -> None:
        async with peer.serve(answer), Client(peer.url, max_connections=2) as client:
            calls = [asyncio.ensure_future(fetch(client, b"%d" % number)) for number in range(12)]
            await peer.until(lambda: len(peer.seen) == 2)
            calls[3].cancel()
            calls[11].cancel()
            go.set()
            await asyncio.gather(*calls, return_exceptions=True)
            assert peer.met == 2
            asked = [int(body) for body in peer.bodies]
            due = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
            assert sorted(asked) == due
            assert all(
                abs(due.index(number) - place) <= 1 for place, number in enumerate(asked)
            )  # two at a time
            assert client._pool._busy == 0

    run(main())


def test_a_connection_rests_no_longer_than_it_may(run: Any, peer: Any) -> None:
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await peer.request(reader)
                writer.write(OK)
        ended.set()

    async def main() -> None:
        async with peer.serve(answer), Client(peer.url) as client:
            client._pool._keep_s = 0.05
            client._pool._tick_s = 0.01
            assert await fetch(client) == b"ok"
            assert client.idle_connections == 1
            await ended.wait()
            assert (client.open_connections, client.idle_connections) == (0, 0)

    run(main())


def test_calls_cancelled_while_they_wait_leave_nothing_behind(run: Any) -> None:
    async def main() -> None:
        pool = Pool("http://test", 1, 1.0)
        await pool.turn()
        waiting = [asyncio.ensure_future(pool.turn()) for _ in range(100)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert not pool._waiting

    run(main())


class Turns:
    """A shadow of the pool's turns: who holds one, who waits, in order."""

    def __init__(self, size: int) -> None:
        self.pool = Pool("http://test", size, 1.0)
        self.size = size
        self.tasks: list[asyncio.Task[None]] = []
        self.holding: list[int] = []
        self.order: list[int] = []

    async def take(self, number: int) -> None:
        await self.pool.turn()
        self.holding.append(number)
        self.order.append(number)


@settings(deadline=None)
@given(
    size=st.integers(1, 3),
    acts=st.lists(st.sampled_from(["come", "come", "leave", "cancel", "look"]), max_size=40),
    choices=st.randoms(use_true_random=False),
)
def test_turns_are_never_lost_nor_doubled_nor_out_of_order(
    size: int, acts: list[str], choices: random.Random
) -> None:
    async def main() -> None:
        turns = Turns(size)
        for act in acts:
            match act:
                case "come":
                    turns.tasks.append(asyncio.ensure_future(turns.take(len(turns.tasks))))
                case "leave" if turns.holding:
                    turns.holding.remove(choices.choice(turns.holding))
                    turns.pool.leave()
                case "cancel" if turns.tasks:
                    choices.choice(turns.tasks).cancel()
                case _:
                    await asyncio.sleep(0)
            assert len(turns.holding) <= size
        for _ in range(len(turns.tasks) + 3):
            for _ in range(3):
                await asyncio.sleep(0)
            waiting = [number for number, task in enumerate(turns.tasks) if not task.done()]
            if waiting:
                assert len(turns.holding) == size
                assert max(turns.order) < min(waiting)
            if turns.holding:
                turns.holding.pop()
                turns.pool.leave()
        assert all(task.done() for task in turns.tasks)
        assert (turns.pool._busy, len(turns.pool._waiting)) == (0, 0)

    asyncio.run(main())


class Moody:
    """An origin that keeps to HTTP only some of the time; `calm` makes it behave."""

    def __init__(self, peer: Any, seed: int) -> None:
        self.peer = peer
        self.random = random.Random(seed)
        self.calm = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self.peer.request(reader)
            if self.calm:
                writer.write(OK)
                continue
            match self.random.randrange(11):
                case 0:  # slowly
                    for at in range(len(OK)):
                        writer.write(OK[at : at + 1])
                        await asyncio.sleep(0)
                case 1:  # never
                    await asyncio.Event().wait()
                case 2:
                    return
                case 3:
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
                    return
                case 4:
                    writer.write(b"\x16\x03\x01garbage")
                case 5:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
                    return
                case 6:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
                    await asyncio.Event().wait()
                case 7:
                    writer.write(OK + b"and more")
                case 8:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + bytes(900_000))
                case _:
                    writer.write(OK)


async def cancelled_somewhere(client: Client, chance: random.Random) -> BaseException | None:
    """One call, cancelled after some turns of the loop, or not; closes its reply as a caller would."""
    body = b"x" * chance.choice([0, 10, 3_000_000])
    call = asyncio.ensure_future(fetch(client, body))
    if chance.random() < 0.6:
        for _ in range(chance.choice([0, 1, 2, 3, 4, 5, 6, 8, 12, 20, 40])):
            await asyncio.sleep(0)
        call.cancel()
    (result,) = await asyncio.gather(call, return_exceptions=True)
    return result if isinstance(result, BaseException) else None


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nothing_leaks_in_a_storm_of_cancels_timeouts_and_bad_replies(
    run: Any, peer: Any, seed: int, host: str
) -> None:
    async def main() -> None:
        moody, chance = Moody(peer, seed), random.Random(seed)
        limits = Timeouts(head=0.05, idle=0.05, write=0.05)
        async with peer.serve(moody.answer):
            async with Client(f"http://{host}:{peer.port}", limits=limits, max_connections=7) as client:
                errors = await asyncio.gather(*(cancelled_somewhere(client, chance) for _ in range(150)))
                kinds = {type(error) for error in errors}
                assert kinds == {type(None), asyncio.CancelledError, ConnectionFailed}
                await peer.until(lambda: client.open_connections == client.idle_connections)
                assert client._pool._busy == 0
                assert not client._pool._waiting
                assert client.open_connections <= 7
                moody.calm = True
                assert await asyncio.gather(*(fetch(client) for _ in range(20))) == [b"ok"] * 20
            assert client.open_connections == 0

    run(main())
