"""An API that answers from memory: whole, or as a stream in which each event comes in a chunk of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2

EVENTS = (10, 100, 1_000)
MODEL = "claude-sonnet-4-5"
PROMPT = "The river runs slow under the old bridge and nobody counts the boats that pass before noon. " * 3


def _limit_headers() -> list[tuple[str, str]]:
    names = [("request-id", "req_1"), ("anthropic-organization-id", "0")]
    for unit, amount in (("requests", 10**9), ("input-tokens", 9 * 10**11), ("output-tokens", 9 * 10**11)):
        names += [(f"anthropic-ratelimit-{unit}-{what}", str(amount)) for what in ("limit", "remaining")] + [
            (f"anthropic-ratelimit-{unit}-reset", "2026-11-24T12:00:00Z")
        ]
    return names


USAGE = {
    "input_tokens": 70,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 200,
    "service_tier": "standard",
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": PROMPT * 3}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}
WHOLE = json.dumps(MESSAGE).encode()


def _events(count: int) -> list[bytes]:
    """A stream in which `count` events carry text."""

    def event(name: str, **fields: Any) -> bytes:
        return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()

    start = MESSAGE | {"content": [], "stop_reason": None, "usage": USAGE | {"output_tokens": 1}}
    delta = {"type": "text_delta", "text": " a few words"}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        event("message_start", message=start),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *[event("content_block_delta", index=0, delta=delta)] * count,
        event("content_block_stop", index=0),
        event("message_delta", delta=ended, usage={"output_tokens": 4 * count}),
        event("message_stop"),
    ]


class _Chunks(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


class Memory(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers at once: whole, or with so many events."""

    def __init__(self) -> None:
        self.events = 0
        self._streams = {count: _events(count) for count in EVENTS}
        self._limits = _limit_headers()

    def handle_request(self, _request: httpx2.Request) -> httpx2.Response:
        return self._answer()

    async def handle_async_request(self, _request: httpx2.Request) -> httpx2.Response:
        return self._answer()

    def _answer(self) -> httpx2.Response:
        if not self.events:
            length = ("content-length", str(len(WHOLE)))
            headers = [("content-type", "application/json"), length, *self._limits]
            return httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(WHOLE))
        headers = [("content-type", "text/event-stream; charset=utf-8"), *self._limits]
        return httpx2.Response(200, headers=headers, stream=_Chunks(self._streams[self.events]))
