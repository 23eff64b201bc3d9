"""Where the tokens of a request go: what the API adds, each tool, the system prompt, each block of each message.

Asks `sizing.size` about one piece at a time, so the pieces are counted by the same fit that sizes whole requests. They add
up to its total but for rounding, as long as the text is short enough to be counted whole (128 KiB); beyond that `size`
samples the text and the pieces are the finer count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any, NamedTuple

from headway.providers.catalog import ModelFacts
from headway.providers.sizing import size

_TOOL_USE = {"type": "tool_use", "id": "", "name": "", "input": {}}
_FORMAT = ("output_format", "output_config")
_HOSTED = ("container", "mcp_servers")


class Weight(NamedTuple):
    """Tokens of a piece, and the variance of what is more doubtful in it than plain text (images, files, server tools)."""

    tokens: float
    variance: float = 0.0

    def doubt(self, error: float) -> float:
        """Standard deviation in tokens, where `error` is the relative one of plain text."""
        return sqrt((error * self.tokens) ** 2 + self.variance)


@dataclass(frozen=True, slots=True)
class Share:
    """One piece of a request. `part` is "hidden", "tools", "system" or "messages", `index` and `block` its place there.

    `kind` is what it is: the `type` of a block, "tool", "server tool", or for hidden ones what they are for. `name` is that
    of a tool, `role` that of a message. `marked`: a cache breakpoint is on it; `hour`: one whose entry lives an hour.
    """

    part: str
    index: int
    block: int
    kind: str
    name: str
    role: str
    weight: Weight
    marked: bool
    hour: bool = False


class Scale:
    """Weighs pieces of requests to one model. `error` is the relative standard deviation on plain text."""

    def __init__(self, facts: ModelFacts | None) -> None:
        self._facts = facts
        bare = size({}, facts)
        self.frame, self.error = bare.input_tokens, bare.error
        self._seam = self._weigh({"system": ["", ""]}).tokens - self._weigh({"system": [""]}).tokens
        self._turn = self._weigh({"messages": [{"role": "user", "content": ""}]}).tokens

    @property
    def base(self) -> float:
        """The frame, less the seam that the first piece has before it: a piece comes with its own."""
        return self.frame - self._seam

    @staticmethod
    @lru_cache(maxsize=64)
    def of(facts: ModelFacts | None) -> Scale:
        """The scale of a model."""
        return Scale(facts)

    def message(self, message: object) -> Weight:
        """All of one message."""
        content = message.get("content") if isinstance(message, Mapping) else None
        seams = len(content) if isinstance(content, list) else 1
        weight = self._weigh({"messages": [message]})
        return Weight(weight.tokens + self._seam * seams, weight.variance)

    def system(self, system: object) -> Weight:
        """A system prompt, text or blocks."""
        if not system:
            return Weight(0.0)
        seams = len(system) if isinstance(system, list) else 1
        weight = self._weigh({"system": system})
        return Weight(weight.tokens + self._seam * seams, weight.variance)

    def text(self, text: str) -> float:
        """Tokens of a text as such."""
        return self._weigh({"system": text}).tokens

    def block(self, block: object, role: str, *, in_tool_turn: bool, is_first: bool) -> Weight:
        """One block of a message; the first one carries what the message itself takes."""
        content = (
            [block, _TOOL_USE] if in_tool_turn else [block]
        )  # thinking counts only beside the use of a tool
        weight = self._weigh({"messages": [{"role": role, "content": content}]})
        beside = self._beside(role) if in_tool_turn else self._turn
        return Weight(
            weight.tokens - beside + self._seam + (self._turn if is_first else 0.0), weight.variance
        )

    def _beside(self, role: str) -> float:
        return self._weigh({"messages": [{"role": role, "content": [_TOOL_USE]}]}).tokens + self._seam

    def tool(self, tool: object) -> Weight:
        """One tool, without the instructions that come with the first."""
        once, twice = self._weigh({"tools": [tool]}), self._weigh({"tools": [tool, tool]})
        return Weight(twice.tokens - once.tokens, once.variance)

    def hidden(self, request: Mapping[str, Any]) -> Iterator[tuple[str, Weight]]:
        """What the API adds, by what it is for."""
        yield "frame", Weight(self.base)
        if request.get("thinking"):
            yield "thinking", self._weigh({"thinking": request["thinking"]})
        if any(request.get(key) for key in _FORMAT):
            yield "output format", self._weigh({key: request[key] for key in _FORMAT if key in request})
        if any(request.get(key) for key in _HOSTED):
            yield (
                "container and MCP servers",
                self._weigh({key: request[key] for key in _HOSTED if key in request}),
            )
        if first := _listed(request.get("tools"))[:1]:
            choice = {"tool_choice": request["tool_choice"]} if request.get("tool_choice") else {}
            brought = self._weigh({"tools": first, **choice}).tokens - self.tool(first[0]).tokens
            yield "instructions for tools", Weight(max(0.0, brought))

    def _weigh(self, request: Mapping[str, Any]) -> Weight:
        """Tokens of a part of a request beyond the frame."""
        estimate = size(request, self._facts)
        total = estimate.input_tokens
        variance = (estimate.error * total) ** 2 - (self.error * total) ** 2
        return Weight(total - self.frame, max(0.0, variance) if variance > 1e-6 * total else 0.0)


def shares(request: Mapping[str, Any], facts: ModelFacts | None) -> tuple[Share, ...]:
    """The pieces of a request in the order in which the API reads them. Never raises on odd input."""
    scale = Scale.of(facts)
    found = [
        Share("hidden", number, 0, kind, "", "", weight, False)
        for number, (kind, weight) in enumerate(scale.hidden(request))
        if weight.tokens > 0
    ]
    for index, tool in enumerate(_listed(request.get("tools"))):
        found.append(_tool_share(index, tool, scale.tool(tool)))
    for number, block in enumerate(_listed(request.get("system"))):
        found.append(
            Share(
                "system",
                0,
                number,
                _kind(block),
                "",
                "",
                scale.system([block]),
                _is_marked(block),
                lives_an_hour(block),
            )
        )
    for index, message in enumerate(_listed(request.get("messages"))):
        found.extend(_message_shares(index, message, scale))
    return tuple(found)


def total(weights: Sequence[Weight]) -> Weight:
    """All of them together."""
    return Weight(sum(each.tokens for each in weights), sum(each.variance for each in weights))


def _tool_share(index: int, tool: object, weight: Weight) -> Share:
    known = tool if isinstance(tool, Mapping) else {}
    kind = str(known.get("type") or "custom")
    name = str(known.get("name") or known.get("mcp_server_name") or kind)
    is_ours = kind == "custom"
    return Share(
        "tools",
        index,
        0,
        "tool" if is_ours else "server tool",
        name,
        "",
        weight,
        _is_marked(tool),
        lives_an_hour(tool),
    )


def _message_shares(index: int, message: object, scale: Scale) -> Iterator[Share]:
    known = message if isinstance(message, Mapping) else {"content": message}
    role = str(known.get("role") or "")
    content = known.get("content")
    blocks = content if isinstance(content, list) else [content] if content is not None else []
    in_tool_turn = any(_kind(block).endswith("tool_use") for block in blocks)
    for number, block in enumerate(blocks):
        weight = scale.block(block, role, in_tool_turn=in_tool_turn, is_first=number == 0)
        name = str(block.get("name") or "") if isinstance(block, Mapping) else ""
        yield Share(
            "messages",
            index,
            number,
            _kind(block),
            name,
            role,
            weight,
            _is_marked(block),
            lives_an_hour(block),
        )


def _kind(block: object) -> str:
    return str(block.get("type") or "other") if isinstance(block, Mapping) else "text"


def _is_marked(block: object) -> bool:
    return isinstance(block, Mapping) and bool(block.get("cache_control"))


def lives_an_hour(block: object) -> bool:
    """Whether the breakpoint on a block (or on a request, for automatic caching) is one of `"ttl": "1h"`."""
    control = block.get("cache_control") if isinstance(block, Mapping) else None
    return isinstance(control, Mapping) and control.get("ttl") == "1h"


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
