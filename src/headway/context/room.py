"""How much room a conversation has: in the window of its model, or in a budget, beside system prompt and tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headway.context.counting import NINE_IN_TEN, facts_of
from headway.context.explaining import UNKNOWN_LEAST
from headway.errors import InputError, RequestTooLarge
from headway.providers.catalog import Catalog, ModelFacts
from headway.providers.shares import Scale, Weight, total

NOTCH = 0.25  # of the room for messages: what is cut is rounded up to whole notches


@dataclass(frozen=True, slots=True)
class Room:
    """What stands around the messages. Tokens: `base` is everything else, `limit` the most by estimate for all.

    `window` is what the high end may take (None: not known), `hard` what the API refuses to go beyond.
    """

    facts: ModelFacts | None
    scale: Scale
    system: Any
    tools: Any
    hidden: Weight
    tools_weight: Weight
    system_weight: Weight
    limit: float
    window: int | None
    hard: float

    @staticmethod
    def of(model: str, max_tokens: int, budget: int | None, system: Any, tools: Any) -> Room:
        facts = facts_of(model)
        if facts is None and budget is None:
            near = Catalog.load().nearest_model(model)
            hint = f"Did you mean {near}? " if near else ""
            raise InputError(
                f"unknown model {model!r}, so its window is not known", hint=f"{hint}Or give budget=."
            )
        if facts is not None and max_tokens > facts.max_output_tokens:
            most = facts.max_output_tokens
            raise RequestTooLarge(
                f"max_tokens {max_tokens:,} is {max_tokens - most:,} over the {most:,} that {facts.id} can put out",
                what="max_tokens",
                tokens=max_tokens,
                most=most,
            )
        scale = Scale.of(facts)
        window = facts.context_tokens - max_tokens if facts else None
        by_window = float("inf") if window is None else window / (1.0 + NINE_IN_TEN * scale.error)
        by_budget = float("inf") if budget is None else float(budget)
        whole = facts.context_tokens if facts and facts.overflow else window
        return Room(
            facts=facts,
            scale=scale,
            system=system,
            tools=tools,
            hidden=total([weight for _, weight in scale.hidden({"tools": tools} if tools else {})]),
            tools_weight=total([scale.tool(tool) for tool in tools or ()]),
            system_weight=scale.system(system),
            limit=min(by_window, by_budget),
            window=window,
            hard=min(by_budget, float("inf") if whole is None else whole),
        )

    @property
    def base(self) -> Weight:
        return total([self.hidden, self.tools_weight, self.system_weight])

    @property
    def for_messages(self) -> float:
        """Tokens for the messages."""
        return max(0.0, self.limit - self.base.tokens)

    @property
    def notch(self) -> float:
        """Tokens that are cut at once."""
        return max(1.0, NOTCH * self.for_messages)

    @property
    def least(self) -> int:
        """The fewest tokens that the prompt cache keeps."""
        return self.facts.min_cacheable_tokens if self.facts else UNKNOWN_LEAST

    @property
    def binds_thinking(self) -> bool:
        """Whether thinking is refused once something before it has changed. A model that is not known may do so."""
        return self.facts is None or self.facts.thinking == "bound"

    def bears(self, weight: Weight) -> bool:
        """Whether the API may take so much, and the budget does."""
        return weight.tokens <= self.hard

    def allows(self, weight: Weight) -> bool:
        """Whether all input may weigh so much."""
        high = weight.tokens + NINE_IN_TEN * weight.doubt(self.scale.error)
        return weight.tokens <= self.limit and (self.window is None or high <= self.window)
