"""Watches a streamed message go by: what it took, how much it has put out, whether it came to its end.

Another party reads the same bytes and makes a message of them; here only the few events that say what a call takes are
parsed, and output is counted by the length of its frames. `message` puts a whole message together instead.
Events: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

import re
from typing import Any

from headway.core.call import Problem, Usage
from headway.providers.faults import problem_of_event
from headway.providers.parsed import parse_object
from headway.providers.sse import parse_block
from headway.providers.usage import merge_usage, stop_reason_of, usage_of

_BOM = b"\xef\xbb\xbf"
_END = b"\n\n"
_MOST = (
    1 << 20
)  # bytes of one event that are kept, and bytes of usage that are merged: real ones have a few hundred
_HEAD = 512  # bytes at the start of an event within which its kind and its text begin
_NO_FRAME = _END  # begins no event
# The text of a delta, wherever its keys stand. Signatures and citations are no visible output.
_PIECE = re.compile(
    rb'"delta"\s*:\s*\{\s*(?:"type"\s*:\s*"\w+"\s*,\s*)?"(?:text|thinking|partial_json|content)"\s*:\s*"'
)
_TEXT = re.compile(rb'"content_block"\s*:\s*\{\s*(?:"type"\s*:\s*"text"\s*,\s*)?"text"\s*:\s*"')
_REST = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)  # of a JSON string, up to its quote
_PAIR = re.compile(rb"\\u[dD][89abAB]")  # the first of two numbers that are one character
_KIND = re.compile(rb'"type"\s*:\s*"((?:message|content_block)_\w+|ping|error)"')


class StreamWatch:
    """Built per stream and fed its bytes, in any chunks. Never raises; costs linear time and about 2 MB at most.

    `started`: `message_start` came. `has_content`: the caller may have seen content. `complete`: `message_stop` came.
    `error`: what the first `error` event means. `produced_chars`: visible output so far, within some per cent.
    `stop_reason`: empty until it came.
    """

    __slots__ = (
        "_after_cr",
        "_buffer",
        "_frame",
        "_frame_rest",
        "_fresh",
        "_merged",
        "_model",
        "_request_id",
        "_skipping",
        "_usage",
        "complete",
        "error",
        "has_content",
        "produced_chars",
        "started",
        "stop_reason",
    )

    def __init__(self, request_id: str | None = None) -> None:
        self._request_id = request_id
        self._buffer = bytearray()
        self._frame = _NO_FRAME  # of the delta before this one, up to its text: the next one has the same, nearly always
        self._frame_rest = 0  # bytes from the end of its text to its last quote
        self._after_cr = False
        self._fresh = True
        self._skipping = False
        self._merged = 0
        self._model = ""
        self._usage: dict[str, Any] = {}
        self.started = False
        self.has_content = False
        self.complete = False
        self.error: Problem | None = None
        self.produced_chars = 0
        self.stop_reason = ""

    def feed(self, chunk: bytes) -> None:
        """Take bytes in. One delta in a chunk of its own, like the delta before it, is the case that has to be fast."""
        if (
            chunk.startswith(self._frame)
            and not self._buffer
            and chunk.find(_END) == len(chunk) - 2
            and b"\r" not in chunk
        ):
            self._count(chunk)
        else:
            self._feed(chunk)

    def finish(self) -> None:
        """Take in the event left over when a stream ends without a blank line."""
        self._feed(b"\n\n")

    def usage(self, model: str) -> Usage | None:
        """What the stream says it took, so far. `model` is that of the request, where the stream names none."""
        return usage_of(self._usage, self._model or model) if self._usage else None

    def _feed(self, chunk: bytes) -> None:
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        buffer = self._buffer
        if not buffer and chunk.endswith(_END):
            for block in chunk[:-2].split(_END):
                self._take(block)
            return
        searched = len(buffer)
        buffer += chunk
        end = buffer.rfind(_END, max(searched - 1, 0))
        if end >= 0:
            blocks = bytes(buffer[:end]).split(_END)
            del buffer[: end + 2]
            if self._skipping:
                self._skipping = False
                del blocks[0]
            for block in blocks:
                self._take(block)
        if self._skipping:
            del buffer[:-1]
        elif len(buffer) > _MOST:
            self._take(bytes(buffer))
            self._skipping = True
            del buffer[:-1]

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Turn CR LF and CR into LF, also where a CR LF lies across two chunks."""
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take(self, block: bytes) -> None:
        """Take one event in, without its blank line."""
        if block.startswith(self._frame):
            self._count(block)
            return
        if self._fresh:
            self._fresh = False
            block = block.removeprefix(_BOM)
        event = parse_block(block)
        if event is None:
            return
        name, data = event
        if name == "message":
            name = _kind(data)
        if name == "content_block_delta":
            self.has_content = True
            self._learn(block)
        elif name == "message_start":
            self._start(data)
        elif name == "error":
            self.error = self.error or problem_of_event(_parsed(data), self._request_id)
        elif name and name != "ping":
            self.has_content = True
            self._change(name, data)

    def _change(self, name: str, data: bytes) -> None:
        if name == "message_delta":
            event = _parsed(data)
            delta = event.get("delta")
            if isinstance(delta, dict):
                self.stop_reason = stop_reason_of(delta) or self.stop_reason
            self._merge(event.get("usage"), len(data))
        elif name == "message_stop":
            self.complete = True
        elif name == "content_block_start" and (match := _TEXT.search(data, 0, _HEAD)):
            self.produced_chars += _characters(_string(data, match.end()))

    def _start(self, data: bytes) -> None:
        self.started = True
        message = _parsed(data).get("message")
        if isinstance(message, dict):
            model = message.get("model")
            self._model = model if isinstance(model, str) else ""
            self._merge(message.get("usage"), len(data))

    def _merge(self, usage: object, size: int) -> None:
        if not isinstance(usage, dict):
            return
        self._merged += size
        if self._merged > _MOST:  # nobody's usage is that long: from here on nothing new comes in
            usage = {
                key: value for key, value in usage.items() if key in self._usage and isinstance(value, int)
            }
        merge_usage(self._usage, usage)

    def _learn(self, block: bytes) -> None:
        """Count a delta whose frame is not that of the one before, and remember its frame."""
        match = _PIECE.search(block, 0, _HEAD)
        if match is None:
            return
        start = match.end()
        text = _string(block, start)
        self.produced_chars += _characters(text)
        self._frame, self._frame_rest = block[:start], block.rfind(b'"') - start - len(text)

    def _count(self, block: bytes) -> None:
        """Count a delta by its length: what stands between its frame and its last quote."""
        size = block.rfind(b'"') - len(self._frame) - self._frame_rest
        if b"\\" in block or not block.isascii():
            start = len(self._frame)
            size = _characters(block[start : start + size])
        if size > 0:
            self.produced_chars += size


def _parsed(data: bytes) -> dict[str, Any]:
    return (parse_object(data) if len(data) <= _MOST else None) or {}


def _kind(data: bytes) -> str:
    """The type of an event without a name. In a text the quotes would be escaped, so it need not stand first."""
    match = _KIND.search(data)
    return match[1].decode() if match else ""


def _string(data: bytes, start: int) -> bytes:
    """The JSON string that starts here, after its quote, escapes and all."""
    match = _REST.match(data, start)
    return match[0] if match else b""


def _characters(text: bytes) -> int:
    """Characters of a JSON string: an escape is one, a letter of many bytes too."""
    escaped = text.count(b"\\")
    if escaped:
        escaped -= text.count(b"\\\\") if escaped > 1 else 0
        if b"\\u" in text:
            escaped += 4 * text.count(b"\\u") + len(_PAIR.findall(text))
    return max(0, len(text if text.isascii() else text.decode("utf-8", "replace")) - escaped)
