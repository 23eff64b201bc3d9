"""The bytes of replies: a message as JSON, the same as a stream of events, an error. Text is filler, tokens are counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import msgspec

from headway.emulator.cache import InputUsage
from headway.emulator.script import Mishap, Script

_EVENT_EVERY_S = 0.2
_FEWEST_DELTAS = 3
_CHARS_PER_TOKEN = 4
_FILLER = (
    "the level of each limit is known before a call leaves and settled once its reply has told what it took so "
    "that no other call has to wait for longer than it must and none is sent that would only be turned away again "
)
_TEXT = _FILLER * (128_000 * _CHARS_PER_TOKEN // len(_FILLER) + 2)
_SIGNATURE = "ZW11bGF0ZWQ="
_DELTA_FIELDS = {"text": "text", "thinking": "thinking", "tool_use": "partial_json"}
_DELTA_TYPES = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}
_ENCODE = msgspec.json.Encoder().encode
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'


@dataclass(frozen=True, slots=True)
class Message:
    """A reply that was decided on. `tool` is the name and the schema of the tool that the request forces."""

    id: str
    model: str
    usage: InputUsage
    script: Script
    thinking: bool = False
    tool: tuple[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    kind: str
    tokens: int
    text: str
    start: dict[str, Any]
    whole: dict[str, Any]


def whole(message: Message) -> bytes:
    """The reply to a call without streaming."""
    content = [block.whole for block in _blocks(message)]
    usage = _start_usage(message, message.script.output_tokens) | _details(message)
    return _ENCODE(_envelope(message, content, usage) | {"stop_reason": _stop_reason(message)})


def events(message: Message) -> Iterator[tuple[float, bytes]]:
    """The reply as a stream: seconds after the first token, and what is sent then. Breaks off where the script does."""
    script = message.script
    start = _envelope(message, [], _start_usage(message, min(1, script.output_tokens)))
    pending, done = _event("message_start", {"message": start}) + _PING, 0.0
    for index, block in enumerate(_blocks(message)):
        pending += _event("content_block_start", {"index": index, "content_block": block.start})
        for tokens, delta in _deltas(block, script.speed):
            yield (
                done / script.speed,
                pending + _event("content_block_delta", {"index": index, "delta": delta}),
            )
            pending, done = b"", done + tokens
        if block.kind == "thinking":
            signed = {"type": "signature_delta", "signature": _SIGNATURE}
            pending += _event("content_block_delta", {"index": index, "delta": signed})
        pending += _event("content_block_stop", {"index": index})
    yield script.produced_s, _ending(message, pending)


def error_values(error_type: str, message: str, *, code: str = "", request_id: str = "") -> dict[str, Any]:
    """The JSON values of an error."""
    error: dict[str, Any] = {"type": error_type, "message": message}
    if code:
        error["details"] = {"error_code": code}
    values: dict[str, Any] = {"type": "error", "error": error}
    return values | {"request_id": request_id} if request_id else values


def _ending(message: Message, pending: bytes) -> bytes:
    match message.script.mishap:
        case Mishap.CUT | Mishap.SHORT:
            return b""
        case Mishap.STREAM_ERROR:
            return _event("error", error_values("overloaded_error", "Overloaded"))
    usage = message.usage
    counts = {
        "input_tokens": usage.fresh,
        "cache_creation_input_tokens": usage.write_5m + usage.write_1h,
        "cache_read_input_tokens": usage.read,
        "output_tokens": message.script.output_tokens,
    }
    delta = {"stop_reason": _stop_reason(message), "stop_sequence": None}
    last = _event("message_delta", {"delta": delta, "usage": counts | _details(message)})
    return pending + last + _event("message_stop", {})


def _envelope(message: Message, content: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": message.id,
        "type": "message",
        "role": "assistant",
        "model": message.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _start_usage(message: Message, output_tokens: int) -> dict[str, Any]:
    usage = message.usage
    return {
        "input_tokens": usage.fresh,
        "cache_creation_input_tokens": usage.write_5m + usage.write_1h,
        "cache_read_input_tokens": usage.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.write_5m,
            "ephemeral_1h_input_tokens": usage.write_1h,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _details(message: Message) -> dict[str, Any]:
    if not message.thinking:
        return {}
    return {"output_tokens_details": {"thinking_tokens": message.script.output_tokens // 2}}


def _stop_reason(message: Message) -> str:
    reason = message.script.stop_reason
    return "tool_use" if message.tool and reason == "end_turn" else reason


def _blocks(message: Message) -> Iterator[_Block]:
    left = message.script.output_tokens
    if message.thinking and left:
        thought = left // 2
        text, left = _TEXT[: thought * _CHARS_PER_TOKEN], left - thought
        values = {"type": "thinking", "thinking": text, "signature": _SIGNATURE}
        yield _Block("thinking", thought, text, values | {"thinking": "", "signature": ""}, values)
    if message.tool and left:
        name, schema = message.tool
        values = {"type": "tool_use", "id": message.id.replace("msg_", "toolu_"), "name": name}
        given = _filled(schema, left)
        yield _Block(
            "tool_use", left, _ENCODE(given).decode(), values | {"input": {}}, values | {"input": given}
        )
    elif left:
        text = _TEXT[: left * _CHARS_PER_TOKEN]
        yield _Block("text", left, text, {"type": "text", "text": ""}, {"type": "text", "text": text})


def _filled(schema: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    """An input for a tool: every property of its schema with a value of the right type, strings as long as they may be."""
    properties = schema.get("properties")
    kinds = {
        name: rule.get("type", "string") if isinstance(rule, Mapping) else "string"
        for name, rule in (properties if isinstance(properties, Mapping) else {}).items()
    }
    text = _TEXT[: tokens * _CHARS_PER_TOKEN // max(1, sum(kind == "string" for kind in kinds.values()))]
    empty = {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}, "null": None}
    return {name: empty.get(kind, text) if isinstance(kind, str) else text for name, kind in kinds.items()}


def _deltas(block: _Block, speed: float) -> Iterator[tuple[float, dict[str, Any]]]:
    """The block in pieces of about a fifth of a second, but a few at least; each with the tokens it stands for."""
    pieces = max(min(_FEWEST_DELTAS, block.tokens), ceil(block.tokens / speed / _EVENT_EVERY_S), 1)
    size = max(1, ceil(len(block.text) / pieces))
    for place in range(pieces):
        part = block.text[place * size : (place + 1) * size]
        values = {"type": _DELTA_TYPES[block.kind], _DELTA_FIELDS[block.kind]: part}
        yield block.tokens / pieces, values


def _event(name: str, values: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _ENCODE({"type": name} | values))
