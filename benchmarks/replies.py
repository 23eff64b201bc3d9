"""What the benchmarks' API server writes: whole messages, and the events of a stream in the provider's order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from quota import Run

CHARACTERS_A_TOKEN = 4.4
TEXT = "the river runs slow under the old bridge and nobody counts the boats that pass before noon " * 400


class Api(Protocol):
    """A connection that replies go out on."""

    key: int

    def write(self, data: bytes) -> None:
        """Send, unless the client is gone."""

    def abort(self) -> None:
        """Reset the connection."""


@dataclass(slots=True, eq=False)
class Stream:
    """A reply under way. `cut_at` is the output at which it breaks off."""

    api: Api
    key: int
    run: Run
    head: str
    model: str
    is_sse: bool
    cut_at: float
    began: bool = False
    told: int = 0
    cached: bool = False
    next_at: float = 0.0


def message(stream: Stream) -> dict[str, Any]:
    """The whole reply."""
    return {
        "id": f"msg_{stream.key:08d}",
        "type": "message",
        "role": "assistant",
        "model": stream.model,
        "content": [{"type": "text", "text": _text(0, int(stream.run.output * CHARACTERS_A_TOKEN))}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": _read(stream.run) | {"output_tokens": stream.run.output},
    }


def _read(run: Run) -> dict[str, int]:
    """The input side of a usage object."""
    if run.share is None:
        return {"input_tokens": run.input}
    return {
        "input_tokens": run.share.fresh,
        "cache_creation_input_tokens": run.share.written,
        "cache_read_input_tokens": run.share.read,
    }


def opening(stream: Stream) -> bytes:
    """The head of a streamed reply."""
    kind = "content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
    return f"HTTP/1.1 200 OK\r\n{kind}{stream.head}\r\n".encode()


def whole(status: int, body: bytes, headers: str = "") -> bytes:
    """A reply with a JSON body, head and all."""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def next_events(stream: Stream, *, done: bool) -> bytes:
    """What has been produced since last time, as one chunk; the closing events too if it is `done`."""
    events = b""
    if not stream.told:
        start = message(stream) | {"content": [], "stop_reason": None}
        start["usage"] = _read(stream.run) | {"output_tokens": 1}
        block = {"type": "text", "text": ""}
        events = _event("message_start", message=start)
        events += _event("content_block_start", index=0, content_block=block)
    end = int(stream.run.produced * CHARACTERS_A_TOKEN) + 1
    text = _text(stream.told, end)
    stream.told = end
    events += _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    if done:
        usage = {"output_tokens": stream.run.output}
        events += _event("content_block_stop", index=0)
        events += _event(
            "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=usage
        )
        events += _event("message_stop")
    last = b"0\r\n\r\n" if done else b""
    return b"%x\r\n%b\r\n%b" % (len(events), events, last)


def _text(start: int, end: int) -> str:
    return TEXT[start % 18_000 : start % 18_000 + end - start]


def _event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()
