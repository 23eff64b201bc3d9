"""The blocks of a request in the order in which the API reads them, each as bytes that stand for it and for nothing else.

Of a long text a hash stands for it: such texts come again, call after call, and need not be hashed each time.
Two requests are equal up to the end of a block exactly if these bytes are. Text is short for a list of one block of text,
and stands for the same; `cache_control` does not count, nor the order of the two keys of a block of text. What
parsing evens out (blanks, escapes, `1.0` and `1.00`) is equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

At = tuple[str, int, int]  # part, index, block

_encode = msgspec.json.Encoder().encode
_LONG = 4_096  # characters from which on it pays to remember the hash of a text
_MOST_KNOWN = 1_024
_FRAME = len('{"type":"text","text":""}')
_TOOL, _SYSTEM = b"\0T", b"\0S"
_ROLES = {"user": b'\0M"user"', "assistant": b'\0M"assistant"'}


class Blocks:
    """`places` says where each is, `pieces` what stands for it, `sizes` how many bytes it has."""

    __slots__ = ("pieces", "places", "sizes")

    def __init__(self) -> None:
        self.places: list[At] = []
        self.pieces: list[bytes] = []
        self.sizes: list[int] = []

    def read(self, content: object, head: bytes, part: str, index: int) -> None:
        """Take in the blocks of the system prompt, or of a message."""
        if isinstance(content, str):
            self.text((part, index, 0), head, content)
        elif isinstance(content, list):
            for number, block in enumerate(content):
                self.block((part, index, number), head, block)
        elif content:
            self.block((part, index, 0), head, content)

    def text(self, at: At, head: bytes, text: str) -> None:
        """A block of text."""
        piece, size = _text(head, text)
        self.places.append(at)
        self.pieces.append(piece)
        self.sizes.append(size)

    def block(self, at: At, head: bytes, block: object) -> None:
        """Any block."""
        if isinstance(block, dict):
            marked = "cache_control" in block
            if len(block) == 2 + marked and block.get("type") == "text":
                text = block.get("text")
                if isinstance(text, str):
                    self.text(at, head, text)
                    return
            if marked:
                block = {key: value for key, value in block.items() if key != "cache_control"}
        data = json_bytes(block)
        self.places.append(at)
        self.pieces.append(b"%b=%b" % (head, data))
        self.sizes.append(len(data))


def blocks_of(request: Mapping[str, Any], first: int = 0, end: int | None = None) -> Blocks:
    """The blocks of all of a request, or only from message `first` on, or before `end`."""
    blocks = Blocks()
    tools, system, messages = request.get("tools"), request.get("system"), request.get("messages")
    if first:
        tools = system = None
    if tools:
        for index, tool in enumerate(tools if isinstance(tools, list) else [tools]):
            blocks.block(("tools", index, 0), _TOOL, tool)
    if system:
        blocks.read(system, _SYSTEM, "system", 0)
    if isinstance(messages, list):
        for index, message in enumerate(messages[first:end] if first or end else messages, first):
            if isinstance(message, dict):
                role = message.get("role")
                head = _ROLES.get(role) if isinstance(role, str) else None
                head = head or b"\0M" + json_bytes(role)
                blocks.read(message.get("content"), head, "messages", index)
            else:
                blocks.read(message, b"\0M", "messages", index)
    return blocks


def question_of(request: Mapping[str, Any]) -> tuple[bytes, int] | None:
    """What stands for a request that is one question and nothing else, and its size; None: it is more than that."""
    messages = request.get("messages")
    if not isinstance(messages, list) or len(messages) != 1 or request.get("system") or request.get("tools"):
        return None
    message = messages[0]
    if not isinstance(message, dict) or message.get("role") != "user":
        return None
    content = message.get("content")
    return _text(_ROLES["user"], content) if isinstance(content, str) else None


def _text(head: bytes, text: str) -> tuple[bytes, int]:
    """Length and text, which are half as dear as JSON; of a long one length and hash."""
    if len(text) < _LONG:
        data = text.encode("utf-8", "surrogatepass")
        size = len(data)
        return b"%b%d:%b" % (head, size, data), size + _FRAME
    name = len(text), hash(text)
    size, hashed = _KNOWN.get(name) or _remembered(name, text)
    return b"%b%d#%b" % (head, size, hashed), size + _FRAME


def _remembered(name: tuple[int, int], text: str) -> tuple[int, bytes]:
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    data = text.encode("utf-8", "surrogatepass")
    found = _KNOWN[name] = len(data), sha256(data).digest()
    return found


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


# By length and hash, which is keyed anew in every process: of texts their bytes and SHA-256.
_KNOWN: dict[tuple[int, int], tuple[int, bytes]] = {}
