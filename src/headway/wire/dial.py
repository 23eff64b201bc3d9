"""From a host name to a connected socket, without waiting long for an address that leads nowhere.

The event loops' own way is not used: uvloop tries one address after the other, so that an IPv6 route into the void costs
the whole timeout, and asyncio's `happy_eyeballs_delay` loses a socket when it is cancelled as it wins (seen on 3.11.7).
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import deque
from typing import Any

HEAD_START_S = 0.25  # what each address gets before the next is tried beside it (RFC 8305, section 5)


async def dial(host: str, port: int) -> socket.socket:
    """A connected socket. OSError: no address answered, or the name has none; UnicodeError: it is no name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await race(in_turn([(family, address) for family, _, _, _, address in found]))


async def race(addresses: list[tuple[int, Any]]) -> socket.socket:
    """The socket that connected first; the others are closed. OSError: the last failure, if all failed."""
    loop = asyncio.get_running_loop()
    untried = deque(addresses)
    trying: set[asyncio.Task[socket.socket]] = set()
    failed: BaseException | None = None
    try:
        while untried or trying:
            if untried:
                trying.add(loop.create_task(_connect(loop, *untried.popleft())))
            done, _ = await asyncio.wait(
                trying, timeout=HEAD_START_S if untried else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                failed = attempt.exception()
                if failed is None:
                    trying.discard(attempt)
                    return attempt.result()
            trying -= done
    finally:
        for attempt in trying:
            attempt.cancel()
            attempt.add_done_callback(_discard)
    raise failed or OSError("the name has no address")


def in_turn(addresses: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """The resolver's order, with the families taking turns, so that the second one tried is of the other family."""
    first = [each for each in addresses if each[0] == addresses[0][0]]
    other = [each for each in addresses if each[0] != addresses[0][0]]
    pairs = itertools.chain.from_iterable(itertools.zip_longest(first, other))
    return [each for each in pairs if each is not None]


async def _connect(loop: asyncio.AbstractEventLoop, family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _discard(attempt: asyncio.Task[socket.socket]) -> None:
    """Nobody wants it any more: it lost the race, or the call was cancelled."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
