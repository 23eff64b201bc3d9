"""Puts the events of one streamed message together into the JSON that a plain reply would have been.

Events: https://platform.claude.com/docs/en/build-with-claude/streaming. Blocks and deltas not known here are kept.
"""

from __future__ import annotations

from typing import Any

from headway.core.call import Problem
from headway.providers.faults import problem_of_event
from headway.providers.parsed import parse, parse_object, whole
from headway.providers.usage import merge_usage, stop_reason_of

# delta type -> the field of the delta, and the field of the block that it prolongs
_GROWING = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
    "compaction_delta": ("content", "content"),
}
_OF_EVENTS = ("type", "delta", "usage", "index")


class MessageBuilder:
    """Built per stream and fed its events in order. Never raises: what makes no sense is left out.

    `produced_chars` is the visible output so far, to follow production. `complete` is whether `message_stop` came,
    `error` the problem if an `error` event did.
    """

    __slots__ = ("_blocks", "_message", "_pieces", "complete", "error", "produced_chars")

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, dict[str, list[str]]] = {}  # block -> field -> parts, joined once
        self.produced_chars = 0
        self.complete = False
        self.error: Problem | None = None

    @property
    def started(self) -> bool:
        """Whether `message_start` came."""
        return bool(self._message)

    def feed(self, event_name: str, data: bytes) -> None:
        """Take one event in."""
        event = parse_object(data)
        if event is None:
            return
        kind = event.get("type") or event_name
        if kind == "content_block_delta":
            self._grow(event)
        elif kind == "content_block_start":
            self._begin(event)
        elif kind == "message_start":
            self._start(event)
        elif kind == "message_delta":
            self._change(event)
        elif kind == "message_stop":
            self.complete = True
        elif kind == "error":
            self.error = self.error or problem_of_event(event)

    def message(self) -> dict[str, Any]:
        """The message as far as it has come. Tool inputs that are not yet whole JSON stay text."""
        content = [self._whole_block(index) for index in sorted(self._blocks)]
        return {**self._message, "content": content}

    @property
    def stop_reason(self) -> str:
        """Why it ended; empty until that came."""
        return stop_reason_of(self._message)

    @property
    def usage(self) -> dict[str, Any]:
        """The usage object so far, merged per field."""
        usage = self._message.get("usage")
        return usage if isinstance(usage, dict) else {}

    def _start(self, event: dict[str, Any]) -> None:
        message = event.get("message")
        if isinstance(message, dict) and not self._message:
            self._message = message
            content = message.get("content")
            for index, block in enumerate(content if isinstance(content, list) else []):
                if isinstance(block, dict):
                    self._blocks[index] = block

    def _begin(self, event: dict[str, Any]) -> None:
        block = event.get("content_block")
        if isinstance(block, dict):
            index = whole(event.get("index"))
            self._blocks[index] = block
            self._pieces.pop(index, None)
            self.produced_chars += len(block["text"]) if isinstance(block.get("text"), str) else 0

    def _grow(self, event: dict[str, Any]) -> None:
        delta, index = event.get("delta"), whole(event.get("index"))
        if not isinstance(delta, dict):
            return
        kind = delta.get("type")
        block = self._blocks.setdefault(index, {})
        part, field = _GROWING.get(kind, ("", "")) if isinstance(kind, str) else ("", "")
        if isinstance(piece := delta.get(part), str):
            self._pieces.setdefault(index, {}).setdefault(field, []).append(piece)
            self.produced_chars += len(piece)
        elif kind == "citations_delta":
            if not isinstance(block.get("citations"), list):
                block["citations"] = []
            block["citations"].append(delta.get("citation"))
        else:  # signature_delta, and whatever comes: its fields become the block's
            block.update((key, value) for key, value in delta.items() if key != "type")

    def _change(self, event: dict[str, Any]) -> None:
        delta, usage = event.get("delta"), event.get("usage")
        if isinstance(delta, dict):
            self._message.update(delta)
        self._message.update((key, value) for key, value in event.items() if key not in _OF_EVENTS)
        if isinstance(usage, dict):
            if not isinstance(self._message.get("usage"), dict):
                self._message["usage"] = {}
            merge_usage(self._message["usage"], usage)

    def _whole_block(self, index: int) -> dict[str, Any]:
        block = dict(self._blocks[index])
        for field, pieces in self._pieces.get(index, {}).items():
            text = "".join(pieces)
            if field == "input":
                value = parse(text) if text.strip() else {}
                block[field] = text if value is None else value
            else:
                before = block.get(field)
                block[field] = (before if isinstance(before, str) else "") + text
        return block
