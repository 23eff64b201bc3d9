"""A fast API behind the gateway: a bare asyncio protocol without limits, so that the proxy in front is what is measured.

Whole replies come at once, or after `--delay`. A request with `"stream":true` gets `--events` events, one each
`--every` seconds, from one timer for all streams. Each delta begins with the moment it was written, `@` and twenty digits
of CLOCK_MONOTONIC nanoseconds, which a client on the same machine compares with its own.

    python benchmarks/gateway_origin.py [--events 1] [--every 0.02] [--delay 0]

Prints its port, and serves until standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
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
    """Has the streams, by when their next event is due."""

    def __init__(self, events: int, every_s: float, delay_s: float) -> None:
        self.reply = whole()
        self.events, self.every_s, self.delay_s = events, every_s, delay_s
        self.due: list[tuple[float, int, Api]] = []
        self.serial = 0

    def begin(self, api: Api) -> None:
        api.transport.write(OPENING + chunk(START) + DELTA % time.monotonic_ns())
        api.left = self.events - 1
        self._next(api, time.monotonic() + self.every_s)

    def tick(self) -> None:
        """Write what is due."""
        now, due = time.monotonic(), self.due
        while due and due[0][0] <= now:
            at, _, api = heapq.heappop(due)
            if api.transport.is_closing():
                continue
            if api.left <= 0:
                api.transport.write(END)
                continue
            api.transport.write(DELTA % time.monotonic_ns())
            api.left -= 1
            self._next(api, at + self.every_s)

    def _next(self, api: Api, at: float) -> None:
        self.serial += 1
        heapq.heappush(self.due, (at, self.serial, api))


async def serve(server: Server) -> None:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Api(server), "127.0.0.1", 0, backlog=4096)
    print(listener.sockets[0].getsockname()[1], flush=True)
    gone = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), gone.set)
    while not gone.is_set():
        await asyncio.sleep(TICK_S if server.due else 0.005)
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
