"""The blocks of a request in the order in which the API reads them, each as bytes that stand for it and for nothing else.

Two requests are equal up to the end of a block exactly if these bytes are. Text is short for a list of one block of text,
and stands for the same; `cache_control` does not count, nor the order of the two keys of a block of text. What
parsing evens out (blanks, escapes, `1.0` and `1.00`) is equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

At = tuple[str, int, int]  # part, index, block

_encode = msgspec.json.Encoder().encode
_TOOL, _SYSTEM = b"\0T", b"\0S"
_ROLES = {"user": b'\0M"user"', "assistant": b'\0M"assistant"'}


def blocks_of(
    request: Mapping[str, Any], first: int = 0, end: int | None = None
) -> tuple[list[At], list[bytes]]:
    """Where each block is, and the bytes that stand for it: of all, or only from message `first` on, or before `end`."""
    places: list[At] = []
    pieces: list[bytes] = []
    tools, system, messages = request.get("tools"), request.get("system"), request.get("messages")
    if first:
        tools = system = None
    if tools:
        for index, tool in enumerate(tools if isinstance(tools, list) else [tools]):
            places.append(("tools", index, 0))
            pieces.append(_piece(_TOOL, tool))
    if system:
        _read(system, _SYSTEM, "system", 0, places, pieces)
    if isinstance(messages, list):
        for index, message in enumerate(messages[first:end] if first or end else messages, first):
            if isinstance(message, dict):
                role = message.get("role")
                head = _ROLES.get(role) if isinstance(role, str) else None
                head = head or b"\0M" + json_bytes(role)
                _read(message.get("content"), head, "messages", index, places, pieces)
            else:
                _read(message, b"\0M", "messages", index, places, pieces)
    return places, pieces


def _read(content: object, head: bytes, part: str, index: int, places: list[At], pieces: list[bytes]) -> None:
    if isinstance(content, str):
        places.append((part, index, 0))
        pieces.append(_text(head, content))
    elif isinstance(content, list):
        for number, block in enumerate(content):
            places.append((part, index, number))
            pieces.append(_piece(head, block))
    elif content:
        places.append((part, index, 0))
        pieces.append(_piece(head, content))


def _text(head: bytes, text: str) -> bytes:
    """Length and text: half as dear as JSON."""
    data = text.encode("utf-8", "surrogatepass")
    return b"%b%d:%b" % (head, len(data), data)


def _piece(head: bytes, block: object) -> bytes:
    if isinstance(block, dict):
        marked = "cache_control" in block
        if len(block) == 2 + marked and block.get("type") == "text" and isinstance(block.get("text"), str):
            return _text(head, block["text"])
        if marked:
            block = {key: value for key, value in block.items() if key != "cache_control"}
    return b"%b=%b" % (head, json_bytes(block))


def json_bytes(value: object) -> bytes:
    """Compact JSON of a value that was parsed. Lone surrogates, which are no UTF-8, take the long way."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        pass
    try:
        return json.dumps(value, separators=(",", ":"), default=repr).encode()
    except (TypeError, ValueError, RecursionError):
        return repr(type(value)).encode()
