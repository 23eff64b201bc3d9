"""Where cache breakpoints pay: after tools and system prompt, and at the end of a conversation that goes on.

A breakpoint writes an entry at 1.25 times the price of input; what reads it pays a tenth or less. So one is set only where
the next call will read it: at least the fewest tokens that the model keeps are before it, and nothing before it is about to
change. The caller's breakpoints stay, and count: the API takes four. Those that `fit` sets are written with their `ttl`,
`{"type": "ephemeral", "ttl": "5m"}`; in a conversation that was fitted before they are known by that, and move on.
Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.context.explaining import where
from headway.context.fitted import Mark
from headway.context.turns import blocks_of
from headway.errors import InputError

MOST = 4
OURS = {"type": "ephemeral", "ttl": "5m"}
_LOOKED_BACK = 20  # blocks before a breakpoint in which the API looks for an entry
_UNMARKABLE = ("thinking", "redacted_thinking")


@dataclass(slots=True)
class Parts:
    """The parts of a request that can carry breakpoints, and the tokens up to the end of each: copies, to be marked."""

    tools: list[Any]
    system: list[Any]
    messages: list[dict[str, Any]]
    upto_tools: float
    upto_system: float
    upto: Sequence[float]  # the end of each message


@dataclass(frozen=True, slots=True)
class _Place:
    part: str
    index: int
    block: int
    tokens: float


def unmarked(value: Any) -> Any:
    """Blocks without the breakpoints that `fit` set before; the same object where there are none."""
    if not isinstance(value, list) or not any(_is_ours(block) for block in value):
        return value
    return [_without(block) if _is_ours(block) else block for block in value]


def place(parts: Parts, least: int, *, goes_on: bool) -> tuple[Mark, ...]:
    """Set breakpoints in `parts`, and return all that are there. `least`: the fewest tokens that the model keeps.

    `goes_on` is false where the conversation will be another one next time. Raises InputError for more than four of the
    caller's.
    """
    theirs = list(_theirs(parts))
    if len(theirs) > MOST:
        raise InputError(f"{len(theirs)} cache breakpoints are set, and the API takes {MOST}")
    taken = {(each.part, each.index, each.block) for each, _ in theirs}
    hour = max((_order(each) for each, ttl in theirs if ttl == "1h"), default=None)
    ours: list[_Place] = []
    for wanted in _wanted(parts, goes_on=goes_on):
        is_free = (wanted.part, wanted.index, wanted.block) not in taken
        is_late = hour is None or _order(wanted) > hour  # longer lives have to come before shorter ones
        if is_free and is_late and wanted.tokens >= least and len(theirs) + len(ours) < MOST:
            _mark(parts, wanted)
            ours.append(wanted)
    found = [(each, False) for each, _ in theirs] + [(each, True) for each in ours]
    found.sort(key=lambda each: _order(each[0]))
    return tuple(Mark(_named(each), round(each.tokens), is_ours) for each, is_ours in found)


def _named(each: _Place) -> str:
    return where(each.part, each.index, None if each.part == "tools" else each.block)


def _order(each: _Place) -> tuple[int, int, int]:
    return ("tools", "system", "messages").index(each.part), each.index, each.block


def _wanted(parts: Parts, *, goes_on: bool) -> Iterator[_Place]:
    """The places that pay, the most important first."""
    roles = [message["role"] for message in parts.messages]
    has_history = goes_on and "assistant" in roles
    if has_history and (end := _end(parts, len(roles) - 1)):
        yield end
    if parts.system and (block := _last_markable(parts.system)) is not None:
        yield _Place("system", 0, block, parts.upto_system)
    elif parts.tools and isinstance(parts.tools[-1], dict):
        yield _Place("tools", len(parts.tools) - 1, 0, parts.upto_tools)
    if has_history and "user" in roles[:-1]:
        before = len(roles) - 2 - roles[:-1][::-1].index("user")
        since = sum(len(blocks_of(message)) for message in parts.messages[before + 1 :])
        if since >= _LOOKED_BACK and (earlier := _end(parts, before)):
            yield earlier


def _end(parts: Parts, number: int) -> _Place | None:
    block = _last_markable(blocks_of(parts.messages[number]))
    return None if block is None else _Place("messages", number, block, parts.upto[number])


def _last_markable(blocks: Sequence[Any]) -> int | None:
    """Thinking and empty text cannot carry a breakpoint."""
    for number in range(len(blocks) - 1, -1, -1):
        block = blocks[number]
        if not isinstance(block, dict) or block.get("type") in _UNMARKABLE:
            continue
        if block.get("type") != "text" or str(block.get("text") or "").strip():
            return number
    return None


def _theirs(parts: Parts) -> Iterator[tuple[_Place, str]]:
    """Breakpoints that are set, with how long they live."""
    for index, tool in enumerate(parts.tools):
        if ttl := _ttl(tool):
            yield _Place("tools", index, 0, parts.upto_tools), ttl
    for number, block in enumerate(parts.system):
        if ttl := _ttl(block):
            yield _Place("system", 0, number, parts.upto_system), ttl
    for index, message in enumerate(parts.messages):
        content = message["content"]
        for number, block in enumerate(content if isinstance(content, list) else ()):
            if ttl := _ttl(block):
                yield _Place("messages", index, number, parts.upto[index]), ttl


def _ttl(block: object) -> str:
    control = block.get("cache_control") if isinstance(block, Mapping) else None
    return str(control.get("ttl") or "5m") if isinstance(control, Mapping) else ""


def _mark(parts: Parts, place: _Place) -> None:
    match place.part:
        case "tools":
            parts.tools[place.index] = {**parts.tools[place.index], "cache_control": dict(OURS)}
        case "system":
            parts.system[place.block] = {**parts.system[place.block], "cache_control": dict(OURS)}
        case _:
            message = parts.messages[place.index]
            blocks = list(blocks_of(message))
            blocks[place.block] = {**blocks[place.block], "cache_control": dict(OURS)}
            parts.messages[place.index] = {**message, "content": blocks}


def _is_ours(block: object) -> bool:
    return isinstance(block, Mapping) and block.get("cache_control") == OURS


def _without(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != "cache_control"}
