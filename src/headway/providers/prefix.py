"""Which part of a request can share an entry of the prompt cache with other requests, and a name for that part."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from headway.providers.prompt import Prompt, Section, encoded

_BYTES = 16


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


def prefix_name(request: Mapping[str, Any], last: Section, salt: bytes) -> str:
    """A keyed hash (hex) of model, tools, system and messages up to the breakpoint that ends `last`."""
    part, index, block = last.at
    tools, system, messages = request.get("tools"), request.get("system"), request.get("messages")
    seen: list[object] = [request.get("model")]
    if part == "tools":
        seen.append(_head(tools, index))
    elif part == "system":
        seen += [tools, _head(system, block)]
    elif isinstance(messages, list):
        seen += [tools, system, messages[:index], _cut(messages[index], block)]
    return blake2b(b"\0".join(map(encoded, seen)), key=salt[:64], digest_size=_BYTES).hexdigest()


def _head(value: object, index: int) -> object:
    return value[: index + 1] if isinstance(value, list) else value


def _cut(message: object, block: int) -> object:
    if not isinstance(message, Mapping):
        return message
    return [message.get("role"), _head(message.get("content"), block)]
