"""A fast API behind the gateway: a bare asyncio protocol without limits, so that the proxy in front is what is measured.

Whole replies come at once, or after `--delay`. A request with `"stream":true` gets `--events` events, one each
`--every` seconds, from one timer for all streams, whose tick is a millisecond. Each delta begins with the moment it was
written, `@` and twenty digits of CLOCK_MONOTONIC nanoseconds, which a client on the same machine compares with its own.

    python benchmarks/gateway_origin.py [--events 1] [--every 0.02] [--delay 0]

Prints its port, and serves until standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
TICK_S = 0.001
STAMP = 21  # bytes: @ and twenty digits
UNITS = ("requests", "input-tokens", "output-tokens", "tokens")
LIMITS = "".join(
    f"anthropic-ratelimit-{unit}-{what}\r\n"
    for unit in UNITS
    for what in ("limit: 400000000", "remaining: 399999000", "reset: 2026-11-24T12:00:00Z")
)
HEAD = (
    f"request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\nanthropic-organization-id: none\r\n{LIMITS}via: 1.1 x\r\n"
)
TEXT = "the river runs slow under the old bridge and nobody counts the boats " * 8
MESSAGE = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-20250514",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 420,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 130,
        "service_tier": "standard",
    },
}


def whole() -> bytes:
    body = json.dumps(MESSAGE, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{HEAD}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def event(name: str, **fields: object) -> bytes:
    data = json.dumps({"type": name, **fields}, separators=(",", ":"))
    return f"event: {name}\ndata: {data}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


OPENING = (
    f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n{HEAD}"
    "transfer-encoding: chunked\r\n\r\n"
).encode()
START = event("message_start", message=MESSAGE | {"content": [], "stop_reason": None}) + event(
    "content_block_start", index=0, content_block={"type": "text", "text": ""}
)
_DELTA = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "@%020d the river runs"})
_END = (
    event("content_block_stop", index=0)
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 130})
    + event("message_stop")
)
DELTA = b"%x\r\n%b\r\n" % (len(_DELTA % 0), _DELTA)  # still with the place for the moment
END = chunk(_END) + b"0\r\n\r\n"


class Api(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.data = b""
        self.left = 0  # events to come
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.data = data = self.data + data if self.data else data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(data, 0, head + 2)
        end = head + 4 + (int(length[1]) if length else 0)
        if len(data) < end:
            return
        self.data = data[end:]
        if data.find(b'"stream":true', head, head + 200) > 0:
            self.server.begin(self)
        elif self.server.delay_s:
            asyncio.get_running_loop().call_later(self.server.delay_s, self.answer)
        else:
            self.transport.write(self.server.reply)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.server.reply)


class Server:
    """Has the streams, in one list for each tick of the time from one event of a stream to the next."""

    def __init__(self, events: int, every_s: float, delay_s: float) -> None:
        self.reply = whole()
        self.events, self.delay_s = events, delay_s
        self.wheel: list[list[Api]] = [[] for _ in range(max(1, round(every_s / TICK_S)))]
        self.at = time.monotonic()
        self.ticks = 0

    def begin(self, api: Api) -> None:
        api.transport.write(OPENING + chunk(START) + DELTA % time.monotonic_ns())
        api.left = self.events - 1
        self.wheel[(self.ticks - 1) % len(self.wheel)].append(api)

    def tick(self) -> None:
        """Write what is due."""
        while self.at <= time.monotonic():
            slot = self.ticks % len(self.wheel)
            self.wheel[slot] = [api for api in self.wheel[slot] if self._write(api)]
            self.at += TICK_S
            self.ticks += 1

    def _write(self, api: Api) -> bool:
        """One event. False: it was the last, or the client is gone."""
        if api.transport.is_closing():
            return False
        if api.left <= 0:
            api.transport.write(END)
            return False
        api.transport.write(DELTA % time.monotonic_ns())
        api.left -= 1
        return True


async def serve(server: Server) -> None:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Api(server), "127.0.0.1", 0, backlog=4096)
    print(listener.sockets[0].getsockname()[1], flush=True)
    gone = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), gone.set)
    while not gone.is_set():
        await asyncio.sleep(TICK_S)
        server.tick()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1)
    parser.add_argument("--every", type=float, default=0.02, help="seconds from one event to the next")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds until a whole reply")
    given = parser.parse_args()
    uvloop.run(serve(Server(given.events, given.every, given.delay)))


if __name__ == "__main__":
    main()
