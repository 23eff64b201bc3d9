"""What the API sends, as bytes of HTTP, written by hand after its documentation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from transport.provider import End, Request

MODEL = "claude-opus-4-5"
USAGE = {"input_tokens": 12, "output_tokens": 7}


def http(
    body: bytes | dict[str, Any], status: int = 200, *, kind: str = "application/json", **headers: str
) -> bytes:
    """A whole reply; underscores in names of headers are hyphens."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return _head(status, kind, {"content_length": str(len(data)), **headers}) + data


def _head(status: int, kind: str, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", f"content-type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def message(text: str = "Hello there", **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
    } | more


def error(kind: str, status: int, text: str = "No", **headers: str) -> bytes:
    body = {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_e"}
    return http(body, status, request_id="req_e", **headers)


def event(kind: str, **values: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **values})}\n\n".encode()


def stream_head(**headers: str) -> bytes:
    more = {"transfer_encoding": "chunked", "request_id": "req_s", **headers}
    return _head(200, "text/event-stream; charset=utf-8", more)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def started() -> bytes:
    opening = message() | {"content": [], "stop_reason": None, "usage": USAGE | {"output_tokens": 1}}
    return event("message_start", message=opening)


def block(index: int, start: dict[str, Any], deltas: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    yield event("content_block_start", index=index, content_block=start)
    for delta in deltas:
        yield event("content_block_delta", index=index, delta=delta)
    yield event("content_block_stop", index=index)


def ended(reason: str = "end_turn") -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return event("message_delta", delta=delta, usage={"output_tokens": 7}) + event("message_stop")


def text_events(words: Iterable[str] = ("Hello", " there")) -> list[bytes]:
    texts = ({"type": "text_delta", "text": word} for word in words)
    return [started(), event("ping"), *block(0, {"type": "text", "text": ""}, texts), ended()]


def tool_events() -> list[bytes]:
    pieces = ('{"city"', ': "Ber', 'lin", "days": ', "[1, 2]}")
    texts = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    tool = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    return [
        started(),
        *block(0, {"type": "text", "text": ""}, [{"type": "text_delta", "text": "I look."}]),
        *block(1, tool, texts),
        ended("tool_use"),
    ]


def stream(events: Iterable[bytes], **headers: str) -> Iterator[bytes]:
    """A streamed reply, whole, one chunk an event."""
    yield stream_head(**headers)
    for each in events:
        yield chunk(each)
    yield LAST_CHUNK


BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "ended",
    "request_counts": {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0},
    "ended_at": "2026-11-01T00:00:00Z",
    "created_at": "2026-11-01T00:00:00Z",
    "expires_at": "2026-11-02T00:00:00Z",
    "archived_at": None,
    "cancel_initiated_at": None,
}
FILE = {
    "id": "file_1",
    "type": "file",
    "filename": "notes.txt",
    "mime_type": "text/plain",
    "size_bytes": 5,
    "created_at": "2026-11-01T00:00:00Z",
    "downloadable": True,
}
MODEL_FACTS = {
    "id": MODEL,
    "type": "model",
    "display_name": "Claude Opus 4.5",
    "created_at": "2025-11-01T00:00:00Z",
}
BYTES_OF_A_FILE = bytes(range(256)) * 1000


def as_the_api(request: Request) -> Iterable[bytes | End]:
    """Every call succeeds, and the same request has the same reply."""
    path, _, query = request.path.partition("?")
    match request.method, path.removeprefix("/v1"):
        case "POST", "/messages" if request.json.get("stream"):
            return stream(tool_events() if request.json.get("tools") else text_events())
        case "POST", "/messages":
            return [http(message(), request_id="req_1")]
        case "POST", "/messages/count_tokens":
            return [http({"input_tokens": 12})]
        case "POST", "/messages/batches":
            return [http(BATCH)]
        case "GET", "/messages/batches/msgbatch_1":
            results = f"http://{request.headers['host']}/v1/messages/batches/msgbatch_1/results"
            return [http(BATCH | {"results_url": results})]
        case "GET", "/messages/batches/msgbatch_1/results":
            lines = [_result("a"), _result("b")]
            return [http(b"\n".join(lines) + b"\n", kind="application/x-jsonl")]
        case "GET", "/models":
            first = "after_id" not in query
            page = [MODEL_FACTS | {"id": "first" if first else "second"}]
            return [http({"data": page, "has_more": first, "first_id": "first", "last_id": "first"})]
        case "GET", "/models/claude-opus-4-5":
            return [http(MODEL_FACTS)]
        case "POST", "/files":
            return [http(FILE)]
        case "GET", "/files/file_1/content":
            return [http(BYTES_OF_A_FILE, kind="application/octet-stream")]
        case _:
            return [error("not_found_error", 404)]


def _result(name: str) -> bytes:
    return json.dumps(
        {"custom_id": name, "result": {"type": "succeeded", "message": message(f"To {name}")}}
    ).encode()
