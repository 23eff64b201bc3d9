"""Which parts of a request can be read from the prompt cache, or shared with other requests, and names for those parts.

A breakpoint writes an entry. A later request reads the longest entry that its own beginning equals, up to 20 blocks before
one of its breakpoints: https://platform.claude.com/docs/en/build-with-claude/prompt-caching. So a conversation whose
breakpoint moves on with each turn reads what the turn before wrote, and names must not depend on where breakpoints are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from headway.providers.prompt import Prompt, Section, encoded

_BYTES = 16
_LOOKED_BACK = 20  # messages before the last breakpoint whose ends may be where an entry ends

At = tuple[str, int, int]  # part, index, block


class Cut(NamedTuple):
    """A place where an entry may end: a keyed hash (hex) of all before it, and how many bytes that was."""

    name: str
    size: int


def shared_sections(prompt: Prompt) -> list[Section]:
    """The sections up to the last breakpoint that other requests can share; empty where there is none.

    A breakpoint on the very last block marks all of the request, which only a copy of it would share; so an earlier one
    counts if there is one. The same holds for automatic caching, which puts its breakpoint there.
    """
    closed = [number for number, section in enumerate(prompt.sections, 1) if section.closed]
    if not closed:
        return []
    whole = prompt.whole()
    inner = [number for number in closed if number < whole]
    return prompt.sections[: (inner or closed)[-1]]


def cuts(request: Mapping[str, Any], breakpoints: list[At], salt: bytes) -> dict[At, Cut]:
    """The places up to the last of `breakpoints` where an entry may end: the breakpoints, and the ends of messages shortly
    before them. Model, tools, system and messages count, in this order; `cache_control` does not."""
    hashed = blake2b(key=salt[:64], digest_size=_BYTES)
    hashed.update(encoded(request.get("model")))
    wanted, last = set(breakpoints), breakpoints[-1]
    first_end = last[1] - _LOOKED_BACK if last[0] == "messages" else 0
    found: dict[At, Cut] = {}
    size = 0
    for at, ends_message, piece in _pieces(request):
        hashed.update(b"\0")
        hashed.update(piece)
        size += len(piece)
        if at in wanted or (ends_message and at[1] >= first_end):
            found[at] = Cut(hashed.copy().hexdigest(), size)
        if at == last:
            break
    return found


def _pieces(request: Mapping[str, Any]) -> Iterator[tuple[At, bool, bytes]]:
    """Each block of the request in the order in which the API reads it: where it is, and whether it ends a message."""
    tools, system, messages = request.get("tools"), request.get("system"), request.get("messages")
    for index, tool in enumerate(tools if isinstance(tools, list) else [tools] if tools else []):
        yield ("tools", index, 0), False, encoded(_bare(tool))
    for number, block in enumerate(_blocks(system)):
        yield ("system", 0, number), False, encoded(_bare(block))
    for index, message in enumerate(messages if isinstance(messages, list) else []):
        is_object = isinstance(message, dict)
        role = encoded(message.get("role")) if is_object else b""
        blocks = _blocks(message.get("content") if is_object else message)
        for number, block in enumerate(blocks):
            yield ("messages", index, number), number == len(blocks) - 1, role + encoded(_bare(block))


def _blocks(content: object) -> list[object]:
    """Text is short for a list of one block of text, and means the same entry."""
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) else [content] if content else []


def _bare(block: object) -> object:
    if isinstance(block, dict) and "cache_control" in block:
        return {key: value for key, value in block.items() if key != "cache_control"}
    return block
