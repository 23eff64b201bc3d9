"""A request taken apart in the order in which the API reads it: tools, system, messages, cut at cache breakpoints.

Reading can begin at a message, where what stands before it is known from an earlier request (`providers.past`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from headway.providers.characters import Characters, count, count_text, joined
from headway.providers.images import UNKNOWN_TOKENS, image_tokens

_encode = msgspec.json.Encoder().encode
_PDF_TOKENS_PER_CHAR = 0.09  # of base64
_PDF_LEAST, _PDF_MOST = 1_550.0, 200_000.0
_TEXT_DOCUMENT = 32.0  # the frame of a document of text
_SEALED_TOKENS_PER_CHAR = 0.12  # of base64: encrypted search results and thinking
# Of recorded thinking blocks of Claude Sonnet 4 to 4.6 the signature has some 230 characters, and 1.37 for each of the text.
_SIGNATURE_FRAME, _SIGNATURE_TOKENS_PER_CHAR = 230, 0.18
_DEPTH = 12  # of blocks within blocks; what is nested deeper is not counted


class Section:
    """A run of the prompt up to a cache breakpoint (`closed`) or up to its end."""

    __slots__ = (
        "_text",
        "_tools_text",
        "at",
        "closed",
        "fixed",
        "messages",
        "texts",
        "tool_blocks",
        "tools",
        "tools_json",
    )

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.fixed = 0.0  # tokens known otherwise: images, documents, sealed content
        self.tools = 0
        self.tools_json: list[bytes] = []
        self.messages = 0
        self.tool_blocks = 0
        self.closed = False
        self.at: tuple[str, int, int] = ("", 0, 0)  # where the breakpoint is: part, index, block
        self._text: Characters | None = None  # what was counted and is not here any more
        self._tools_text: Characters | None = None

    def is_empty(self) -> bool:
        return not (self.texts or self.fixed or self.tools or self._text)

    def text(self) -> Characters:
        """What its texts are made of."""
        if self.texts or self._text is None:
            counted = count_text("\n".join(self.texts))
            return counted if self._text is None else joined(self._text, counted)
        return self._text

    def tools_text(self) -> Characters:
        """What the JSON of its tools is made of."""
        return count(b"\n".join(self.tools_json)) if self._tools_text is None else self._tools_text

    def counted(self) -> Section:
        """A copy without a word of it, to be gone on with."""
        copy = Section()
        copy.fixed, copy.tools, copy.messages = self.fixed, self.tools, self.messages
        copy.tool_blocks, copy.closed, copy.at = self.tool_blocks, self.closed, self.at
        copy._text = self.text() if self.texts or self._text else None
        copy._tools_text = self.tools_text() if self.tools else None
        return copy


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of an earlier request: its first `messages`, and all before them, as counted `sections`."""

    messages: int
    sections: list[Section]


class Prompt:
    """The sections of one request. Never raises on odd input: what is no text and no block counts as its JSON.

    `keeps_thinking`: thinking of earlier turns counts; else only that of messages that use tools. What is `known` of an
    earlier request is not read again. `kept` are the counted sections of all before message `keep`, if that is not 0.
    """

    __slots__ = ("_fine", "_in_tool_turn", "_keeps_thinking", "_last", "kept", "sections")

    def __init__(
        self,
        request: Mapping[str, Any],
        *,
        fine: bool,
        keeps_thinking: bool = True,
        known: Read | None = None,
        keep: int = 0,
    ) -> None:
        self._fine = fine
        self._keeps_thinking = keeps_thinking
        self._in_tool_turn = False
        self.kept: list[Section] = []
        self.sections = [Section()] if known is None else [each.counted() for each in known.sections]
        self._last = self.sections[-1]
        tools, system, messages = request.get("tools"), request.get("system"), request.get("messages")
        if known is None:
            if tools:
                self._read_tools(tools)
            if system:
                self._read_blocks(system, "system", 0)
        if isinstance(messages, list):
            first = 0 if known is None else known.messages
            if keep:
                self._read_messages(messages[first:keep], first)
                self._keep()
                first = keep
            self._read_messages(messages[first:] if first else messages, first)
        if request.get("cache_control"):
            self._cut_at_end(messages, system, tools)

    def _read_messages(self, messages: list[Any], first: int) -> None:
        for index, message in enumerate(messages, first):
            self._last.messages += 1
            content = message.get("content") if isinstance(message, dict) else message
            self._in_tool_turn = _uses_tools(content)
            self._read_blocks(content, "messages", index)

    def _keep(self) -> None:
        """What is counted here need not be counted again."""
        self.kept = [section.counted() for section in self.sections]
        self.sections = [section.counted() for section in self.kept]
        self._last = self.sections[-1]

    @property
    def is_cut(self) -> bool:
        """Whether there is a breakpoint anywhere."""
        return self.sections[0].closed

    def whole(self) -> int:
        """How many sections make up the whole request: those after a breakpoint on the last block are empty."""
        number = len(self.sections)
        while number > 1 and self.sections[number - 1].is_empty():
            number -= 1
        return number

    def _read_tools(self, tools: object) -> None:
        for index, tool in enumerate(tools if isinstance(tools, list) else [tools]):
            self._last.tools += 1
            self._last.tools_json.append(encoded(tool))
            self._cut(tool, "tools", index, 0)

    def _read_blocks(self, content: object, part: str, index: int) -> None:
        if isinstance(content, str):
            self._last.texts.append(content)
        elif isinstance(content, list):
            for number, block in enumerate(content):
                self._read_block(block, _DEPTH)
                self._cut(block, part, index, number)
        elif content is not None:
            self._read_block(content, _DEPTH)

    def _cut(self, block: object, part: str, index: int, number: int) -> None:
        if isinstance(block, dict) and block.get("cache_control"):
            self._close(part, index, number)

    def _cut_at_end(self, messages: object, system: object, tools: object) -> None:
        """Automatic caching: a breakpoint on the last block of the request."""
        if isinstance(messages, list) and messages:
            content = messages[-1].get("content") if isinstance(messages[-1], dict) else None
            number = len(content) - 1 if isinstance(content, list) else 0
            self._close("messages", len(messages) - 1, max(0, number))
        elif system:
            self._close("system", 0, len(system) - 1 if isinstance(system, list) else 0)
        elif isinstance(tools, list) and tools:
            self._close("tools", len(tools) - 1, 0)

    def _close(self, part: str, index: int, number: int) -> None:
        self._last.closed, self._last.at = True, (part, index, number)
        self._last = Section()
        self.sections.append(self._last)

    def _read_block(self, block: object, depth: int) -> None:
        if isinstance(block, str):
            self._last.texts.append(block)
        elif isinstance(block, list):
            for each in block if depth else ():
                self._read_block(each, depth - 1)
        elif not isinstance(block, dict) or depth == 0:
            self._last.texts.append(encoded(block).decode("utf-8", "replace"))
        else:
            self._read_typed(block, str(block.get("type")), depth - 1)

    def _read_typed(self, block: Mapping[str, Any], kind: str, depth: int) -> None:
        last = self._last
        if kind == "text":
            self._read_block(block.get("text") or "", depth)
        elif kind.endswith("tool_use"):
            last.tool_blocks += 1
            last.texts.append(f"{block.get('name')}{encoded(block.get('input')).decode('utf-8', 'replace')}")
        elif kind.endswith("tool_result"):
            last.tool_blocks += 1
            self._read_block(block.get("content") or "", depth)
        elif kind in ("image", "document"):
            self._read_source(block, kind, depth)
        elif kind.endswith("thinking") and not (self._in_tool_turn or self._keeps_thinking):
            pass  # dropped by the API
        elif kind == "thinking":
            self._read_thinking(block, depth)
        elif isinstance(sealed := block.get("data") or block.get("encrypted_content"), str):
            last.fixed += len(sealed) * _SEALED_TOKENS_PER_CHAR
            self._read_block([block.get("title") or "", block.get("url") or ""], depth)
        else:
            self._read_rest(block, depth)

    def _read_thinking(self, block: Mapping[str, Any], depth: int) -> None:
        """What is not shown of it is sealed in its signature."""
        signature = block.get("signature")
        if block.get("thinking") or not isinstance(signature, str):
            self._read_block(block.get("thinking") or "", depth)
        else:
            beyond = max(0, len(signature) - _SIGNATURE_FRAME)
            self._last.fixed += beyond * _SIGNATURE_TOKENS_PER_CHAR

    def _read_rest(self, block: Mapping[str, Any], depth: int) -> None:
        """search_result, compaction, results of server tools, and whatever comes: all text in it."""
        for key, value in block.items():
            if key not in ("type", "cache_control", "citations", "tool_use_id", "id", "signature") and value:
                self._read_block(value, depth)

    def _read_source(self, block: Mapping[str, Any], kind: str, depth: int) -> None:
        source = block.get("source")
        source = source if isinstance(source, dict) else {}
        data = source.get("data")
        if kind == "image":
            self._last.fixed += image_tokens(data, fine=self._fine)
        elif source.get("type") == "base64" and isinstance(data, str):
            self._last.fixed += min(_PDF_MOST, max(_PDF_LEAST, len(data) * _PDF_TOKENS_PER_CHAR))
        elif source.get("type") in ("text", "content"):
            self._last.fixed += _TEXT_DOCUMENT
            self._read_block(data or source.get("content") or "", depth)
        else:
            self._last.fixed += UNKNOWN_TOKENS * 2
        self._read_block([block.get("title") or "", block.get("context") or ""], depth)


def _uses_tools(content: object) -> bool:
    return isinstance(content, list) and any(
        isinstance(block, dict) and str(block.get("type")).endswith("tool_use") for block in content
    )


def encoded(value: object) -> bytes:
    """Compact JSON, or the Python form of what is not JSON."""
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return repr(type(value)).encode()
