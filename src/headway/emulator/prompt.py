"""What a request holds, as the provider counts it: blocks in cache order, each with its own token count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

_BYTES_PER_TOKEN = 3.9
_SPREAD = 0.08
_FRAME_TOKENS = 7
_TOOLS_TOKENS = 346
_FORCED_TOOL_TOKENS = 71
_BINARY_TOKENS = 1_500
_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of the prompt. `digest` is of its text alone; `ttl_s` is set where a cache breakpoint follows it."""

    tokens: int
    digest: bytes
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """The whole prompt. `hidden_tokens` are those the provider adds: frame, tool instructions."""

    blocks: tuple[Block, ...]
    hidden_tokens: int
    breakpoints: int

    @property
    def tokens(self) -> int:
        """All input tokens, before the cache is looked at."""
        return self.hidden_tokens + sum(block.tokens for block in self.blocks)


def read_prompt(request: Mapping[str, Any], seed: int) -> Prompt:
    """Count a request. Never raises on odd input: what it does not know, it counts as JSON."""
    key = b"%d" % seed
    blocks = [_block(text, binary, ttl, key) for text, binary, ttl in _pieces(request)]
    if request.get("cache_control") is not None and blocks:
        last = blocks[-1]
        blocks[-1] = Block(last.tokens, last.digest, _ttl(request) or last.ttl_s)
    marked = sum(block.ttl_s is not None for block in blocks)
    return Prompt(tuple(blocks), _hidden(request), marked)


def _hidden(request: Mapping[str, Any]) -> int:
    if not request.get("tools"):
        return _FRAME_TOKENS
    choice = request.get("tool_choice")
    forced = isinstance(choice, Mapping) and choice.get("type") in ("any", "tool")
    return _FRAME_TOKENS + _TOOLS_TOKENS + (_FORCED_TOOL_TOKENS if forced else 0)


def _pieces(request: Mapping[str, Any]) -> Iterator[tuple[bytes, int, float | None]]:
    """Text, count of binary parts, and TTL of the breakpoint, in the order the cache sees them: tools, system, messages."""
    for tool in _listed(request.get("tools")):
        yield _ENCODE(_unmarked(tool)), 0, _ttl(tool)
    yield from _content(request.get("system"))
    for message in _listed(request.get("messages")):
        if isinstance(message, Mapping):
            yield from _content(message.get("content"))


def _content(content: Any) -> Iterator[tuple[bytes, int, float | None]]:
    if isinstance(content, str):
        if content:
            yield content.encode(errors="surrogatepass"), 0, None
        return
    for part in _listed(content):
        text, binary = _part(part)
        yield text, binary, _ttl(part)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _part(part: Any) -> tuple[bytes, int]:
    if not isinstance(part, Mapping):
        return _ENCODE(part), 0
    match part.get("type"):
        case "text" if isinstance(part.get("text"), str):
            return part["text"].encode(errors="surrogatepass"), 0
        case "image" | "document" if isinstance(part.get("source"), Mapping):
            return _ENCODE(part["source"]), 1
        case "tool_result" if isinstance(part.get("content"), list):
            inner = [_part(piece) for piece in part["content"]]
            return b"".join(text for text, binary in inner if not binary), sum(binary for _, binary in inner)
        case "tool_result":
            return str(part.get("content") or "").encode(errors="surrogatepass"), 0
        case _:
            return _ENCODE(_unmarked(part)), 0


def _unmarked(part: Any) -> Any:
    """Without its breakpoint, so that a breakpoint that moves on does not change what came before it."""
    if not isinstance(part, Mapping):
        return part
    return {name: value for name, value in part.items() if name != "cache_control"}


def _block(text: bytes, binary: int, ttl_s: float | None, key: bytes) -> Block:
    digest = blake2b(text, digest_size=16, key=key).digest()
    if binary:
        return Block(binary * _BINARY_TOKENS, digest, ttl_s)
    factor = 1.0 + _SPREAD * (int.from_bytes(digest[:4], "big") / 2**31 - 1.0)
    return Block(max(1, round(len(text) / _BYTES_PER_TOKEN * factor)), digest, ttl_s)


def _ttl(part: Any) -> float | None:
    control = part.get("cache_control") if isinstance(part, Mapping) else None
    if not isinstance(control, Mapping):
        return None
    return 3600.0 if control.get("ttl") == "1h" else 300.0
