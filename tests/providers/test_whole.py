"""One pass over a reply says the same as two: whatever the reply, whatever is broken in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.providers.faults import classify
from headway.providers.usage import read_usage
from headway.providers.whole import read_reply

USAGE = {
    "input_tokens": 9,
    "cache_creation_input_tokens": 5,
    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
    "output_tokens": 4,
    "service_tier": "standard",
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "model": "claude-opus-4-20250514",
    "content": [{"type": "text", "text": "é\n😀"}],
    "stop_reason": "end_turn",
    "usage": USAGE,
}
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
PIECES = [
    b"\\ud800",
    b"\x00",
    b"\xff",
    b'"',
    b"NaN",
    b"1e999",
    b"[[",
    b'"usage":null,',
    b'"type":"error",',
    b"\n",
    b"",
]
REPLIES = st.sampled_from(
    [
        json.dumps(MESSAGE).encode(),
        json.dumps(MESSAGE, ensure_ascii=False).encode(),
        json.dumps({**MESSAGE, "model": None}).encode(),
        json.dumps({**MESSAGE, "type": "error"}).encode(),
        json.dumps({**MESSAGE, "usage": {**USAGE, "iterations": [{"type": "compaction"}]}}).encode(),
        json.dumps(ERROR).encode(),
        b'{"input_tokens":12}',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        b"",
    ]
)
KINDS = ["application/json", "Application/JSON", "text/event-stream", "application/x-jsonl", "text/html"]
HEADERS = st.sampled_from([{}, *({"content-type": kind, "request-id": "req_1"} for kind in KINDS)])


def both(status: int, headers: dict[str, str], body: bytes) -> tuple[Any, Any]:
    return classify(status, headers, body), read_usage(body)


def test_a_message_is_read() -> None:
    problem, usage, reason = read_reply(
        200, {"content-type": "application/json"}, json.dumps(MESSAGE).encode()
    )
    assert (problem, reason) == (None, "end_turn")
    assert usage is not None
    assert (usage.input_tokens, usage.cache_write_1h_tokens, usage.output_tokens) == (9, 3, 4)
    assert usage.model == MESSAGE["model"]
    assert usage.raw == USAGE


@given(
    body=REPLIES,
    at=st.integers(0, 400),
    cut=st.integers(0, 6),
    piece=st.sampled_from(PIECES),
    headers=HEADERS,
    status=st.sampled_from([200, 200, 204, 400, 429, 500]),
)
def test_broken_replies_are_read_as_by_the_long_way(
    body: bytes, at: int, cut: int, piece: bytes, headers: dict[str, str], status: int
) -> None:
    broken = body[:at] + piece + body[at + cut :]
    problem, usage, reason = read_reply(status, headers, broken)
    assert (problem, usage) == both(status, headers, broken)
    assert reason == "" or problem is None


STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"max_tokens"}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON;odd=1", "text/plain"])
@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("tool_use", "tool_use"),
        (None, ""),
        (7, ""),
        ("", ""),
        ("new_reason", "new_reason"),
        ("a\x1b[31mb" + "c" * 99, None),
    ],
)
def test_why_a_reply_ended_is_read_whatever_its_form(kind: str, told: object, reason: str | None) -> None:
    body = json.dumps({**MESSAGE, "stop_reason": told}).encode()
    problem, usage, read = read_reply(200, {"content-type": kind}, body)
    assert problem is None
    assert usage is not None
    assert read == reason or (reason is None and read.isprintable() and len(read) <= 64)


def test_a_stream_that_was_not_announced_says_why_it_ended() -> None:
    assert read_reply(200, {"content-type": "text/plain"}, STREAM)[2] == "max_tokens"


def test_text_that_is_no_utf_8_is_no_message() -> None:
    body = json.dumps(MESSAGE).encode().replace(b"\\n", b"\xff")
    problem, usage, _ = read_reply(200, {}, body)
    assert problem is not None
    assert usage is None
