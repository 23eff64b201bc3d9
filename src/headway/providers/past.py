"""Knows a conversation again that has grown, so that only what is new in it has to be read, counted and hashed.

A client sends all of a conversation each time, with a turn more. Parsing it cannot be helped; the rest can: if the bytes up
to the end of a message are those of an earlier request, and those after its last message too, then what was made of them
holds. Bytes are compared by length and Python's hash, which is keyed anew in every process: no prompt is kept in memory.
What does not match, or is not written as compactly as SDKs write it, is read as if it were new: it only costs more. So does
remembering, once for each conversation: that is done when one with the same start comes that has more messages.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headway.providers.blocks import json_bytes
from headway.providers.chain import Chain
from headway.providers.parsed import parse_object
from headway.providers.prompt import Read, Section

LONG = 16_384  # bytes of a request from which on it pays to remember
_START = 1_024  # bytes by which candidates are found
_PROBE = 64  # bytes before the end of what is known, which tell most candidates apart
_ALIKE = 16  # conversations with the same start that are remembered
_STARTS = 256  # starts that are remembered: with some 5 KB for each conversation
_LENGTHS = 4_096  # and of which it is known how many messages came
_MOVING = 20  # messages at the end whose breakpoints may move on with the next turn
_FIELD = b'"messages":['
_SEARCHED = 1 << 18  # bytes in which the messages must begin


@dataclass(frozen=True, slots=True)
class Known:
    """What was made of the messages `read` and all before them, which end at byte `end`. `tail` bytes come after the last
    message of all."""

    read: Read
    chain: Chain
    end: int
    tail: int
    end_hash: int
    tail_hash: int
    probe: int


class Past:
    """Belongs to one provider. Safe to share between threads: at worst two of them read the same."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, list[Known]] = OrderedDict()
        self._lengths: OrderedDict[int, int] = OrderedDict()  # messages that came last, by start

    def find(self, body: bytes, request: Mapping[str, Any]) -> Known | None:
        """The longest beginning of this request that is known. `body` is the request as it came."""
        messages = request.get("messages")
        if len(body) < LONG or not isinstance(messages, list):
            return None
        alike = self._known.get(hash(body[:_START]))
        for known in reversed(alike or ()):
            if known.read.messages <= _unmoved(request, messages) and _begins(body, messages, known):
                return known
        return None

    def settled(self, body: bytes, request: Mapping[str, Any], known: Known | None) -> int:
        """How many messages are to be kept, for they will come again as they are; 0: none, or no more than are known.

        Breakpoints at the end move on, and what they mark is written without them next time.
        """
        messages = request.get("messages")
        if len(body) < LONG or not isinstance(messages, list):
            return 0
        first = known.read.messages if known else 0
        if len(messages) == first or not (known or self._grows(body, len(messages))):
            return 0
        upto = _unmoved(request, messages)
        upto = next((at for at in range(max(first, upto - _MOVING), upto) if _is_marked(messages[at])), upto)
        return upto if upto > first else 0

    def _grows(self, body: bytes, count: int) -> bool:
        """Whether one with the same start came before, and had fewer messages."""
        start = hash(body[:_START])
        before = self._lengths.pop(start, count)
        self._lengths[start] = count
        if len(self._lengths) > _LENGTHS:
            self._lengths.popitem(last=False)
        return before < count

    def keep(
        self,
        body: bytes,
        messages: list[Any],
        upto: int,
        sections: list[Section],
        chain: Chain,
        known: Known | None,
    ) -> None:
        """Remember what was made of the first `upto` messages and all before them, in place of what was `known`."""
        found = _bounds(body, messages, upto, known)
        if found is None or found[0] < _START:
            return
        end, tail = found
        view = memoryview(body)
        made = Known(
            Read(upto, sections),
            chain,
            end,
            tail,
            hash(view[:end]),
            hash(view[len(body) - tail :]),
            hash(view[max(0, end - _PROBE) : end]),
        )
        start = hash(body[:_START])
        alike = [each for each in self._known.pop(start, ()) if each is not known]
        self._known[start] = [*alike[1 - _ALIKE :], made]
        while len(self._known) > _STARTS:
            self._known.popitem(last=False)


def _is_marked(message: object) -> bool:
    content = message.get("content") if isinstance(message, dict) else None
    return isinstance(content, list) and any(
        isinstance(block, dict) and "cache_control" in block for block in content
    )


def _unmoved(request: Mapping[str, Any], messages: list[Any]) -> int:
    """How many messages there are but the last one, if automatic caching marks that."""
    return len(messages) - bool(request.get("cache_control"))


def _begins(body: bytes, messages: list[Any], known: Known) -> bool:
    """Whether this request begins and ends with what is known, and has nothing between but the messages that are new."""
    end, after = known.end, len(body) - known.tail
    if after < end:
        return False
    view = memoryview(body)
    if hash(view[max(0, end - _PROBE) : end]) != known.probe or hash(view[after:]) != known.tail_hash:
        return False
    return (
        body[end:after] == _following(messages[known.read.messages :]) and hash(view[:end]) == known.end_hash
    )


def _following(messages: list[Any]) -> bytes:
    """As messages are written that follow others."""
    return b"," + json_bytes(messages)[1:-1] if messages else b""


def _bounds(body: bytes, messages: list[Any], upto: int, known: Known | None) -> tuple[int, int] | None:
    """Where message `upto` ends, and how many bytes follow the last message. None: it is not written as is expected."""
    if known is not None:
        return known.end + len(_following(messages[known.read.messages : upto])), known.tail
    start = body.find(_FIELD, 0, _SEARCHED) + len(_FIELD)
    if start < len(_FIELD) or not body.startswith(json_bytes(messages[0]), start):
        return None
    if (parse_object(body[:start] + b"]}") or {}).get("messages") != []:
        return None  # messages of something else, deeper within
    inner = json_bytes(messages)[1:-1]
    after = start + len(inner)
    if body[after : after + 1] != b"]" or not body.startswith(inner, start):
        return None
    return after - len(_following(messages[upto:])), len(body) - after
