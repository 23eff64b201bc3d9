"""How long texts and requests are, by the fit that paces calls: no network, within about 10 %."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway.core.call import Estimate
from headway.providers.anthropic import Anthropic
from headway.providers.catalog import Catalog, ModelFacts

_UNKNOWN_LEAST = 1_024  # tokens from which on most models cache
_DEFAULT = "claude-opus-4-8"


class Measure:
    """`model` is for texts whose request names none."""

    def __init__(self, model: str | None = None) -> None:
        self.catalog = Catalog.load()
        self._provider = Anthropic(self.catalog, salt=b"lint")
        self._model = model or _DEFAULT
        self._frame = self._size("")

    def tokens(self, text: str) -> int:
        """Tokens of a text by itself."""
        return max(0, round(self._size(text) - self._frame))

    def _size(self, text: str) -> float:
        return self.estimate(
            {"model": self._model, "messages": [{"role": "user", "content": text}]}
        ).input_tokens

    def estimate(self, request: Mapping[str, Any]) -> Estimate:
        """What a request takes."""
        return self._provider.estimate(request)

    def facts(self, model: str) -> ModelFacts | None:
        """What is known of a model; None: nothing."""
        return self.catalog.model(model)

    def least(self, model: str) -> int:
        """Tokens from which on the model caches a prefix."""
        facts = self.facts(model or self._model)
        return facts.min_cacheable_tokens if facts else _UNKNOWN_LEAST

    def cacheable(self, request: Mapping[str, Any]) -> int:
        """Tokens before the last breakpoint that stands on a block."""
        return round(self.estimate(_up_to_breakpoint(request)).input_tokens)

    def entries(self, request: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        """The cache entries that a request writes and those that it could read, by name, and the tokens of the longest."""
        found = self.estimate(request)
        return (
            found.written,
            tuple(name for name, _ in found.readable),
            round(max((size for _, size in found.readable), default=0)),
        )


def _up_to_breakpoint(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request without what stands behind its last breakpoint."""
    if request.get("cache_control"):
        return dict(request)
    messages = request.get("messages")
    kept: list[Any] = list(messages) if isinstance(messages, list) else []
    while kept:
        content = kept[-1].get("content") if isinstance(kept[-1], dict) else None
        blocks = content if isinstance(content, list) else []
        last = max((place for place, block in enumerate(blocks) if _is_marked(block)), default=-1)
        if last >= 0:
            return {**request, "messages": [*kept[:-1], {**kept[-1], "content": blocks[: last + 1]}]}
        kept.pop()
    system = request.get("system")
    blocks = system if isinstance(system, list) else []
    last = max((place for place, block in enumerate(blocks) if _is_marked(block)), default=-1)
    return {**request, "messages": [], "system": blocks[: last + 1]}


def _is_marked(block: object) -> bool:
    return isinstance(block, dict) and bool(block.get("cache_control"))
