"""The emulator's own figures: models, their windows, and what each tier allows. Facts only; sources beside them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Units per minute; None: not limited. `count_requests` is the separate limit of count_tokens."""

    requests: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    tokens: float | None = None
    count_requests: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the API lists it. `window` and `max_output` in tokens; `prices` in $ per million (input, output).

    `pool` is what shares one quota. `strict_window` is the rule before the 4.5 models: input + max_tokens beyond the
    window is refused instead of stopping at it. `least_cached` is the shortest beginning of a prompt that is cached.
    """

    id: str
    pool: str
    window: int
    max_output: int
    prices: tuple[float, float]
    aliases: tuple[str, ...] = ()
    strict_window: bool = False
    least_cached: int = 1_024


# Context windows: genai-prices 0.2.3. Output maxima: 32k for Opus 4 from captures, the later ones are assumptions
# (64k for the 4.5 generation, 128k after it). Shortest cached prompts: copy of 2026-10-08 of
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching#cache-limitations. Prices: https://platform.claude.com/docs/en/about-claude/pricing.
MODELS = (
    Model(
        "claude-opus-4-20250514",
        "claude-opus-4",
        200_000,
        32_000,
        (15, 75),
        ("claude-opus-4", "claude-opus-4-0", "claude-4-opus-20250514"),
        strict_window=True,
    ),
    Model(
        "claude-opus-4-1-20250805",
        "claude-opus-4",
        200_000,
        32_000,
        (15, 75),
        ("claude-opus-4-1",),
        strict_window=True,
    ),
    Model(
        "claude-opus-4-5-20251101",
        "claude-opus-4",
        200_000,
        64_000,
        (5, 25),
        ("claude-opus-4-5",),
        least_cached=4_096,
    ),
    Model("claude-opus-4-6", "claude-opus-4", 1_000_000, 128_000, (5, 25), least_cached=4_096),
    Model("claude-opus-4-7", "claude-opus-4", 1_000_000, 128_000, (5, 25), least_cached=2_048),
    Model("claude-opus-4-8", "claude-opus-4", 1_000_000, 128_000, (5, 25)),
    Model(
        "claude-sonnet-4-20250514",
        "claude-sonnet-4",
        200_000,
        64_000,
        (3, 15),
        ("claude-sonnet-4", "claude-sonnet-4-0"),
        strict_window=True,
    ),
    Model("claude-sonnet-4-5-20250929", "claude-sonnet-4", 200_000, 64_000, (3, 15), ("claude-sonnet-4-5",)),
    Model("claude-sonnet-4-6", "claude-sonnet-4", 1_000_000, 64_000, (3, 15)),
    Model(
        "claude-haiku-4-5-20251001",
        "claude-haiku-4-5",
        200_000,
        64_000,
        (1, 5),
        ("claude-haiku-4-5",),
        least_cached=4_096,
    ),
    Model("claude-opus-5", "claude-opus-5", 1_000_000, 128_000, (5, 25), least_cached=512),
    Model("claude-opus-5-5", "claude-opus-5-5", 1_000_000, 128_000, (4, 20), least_cached=512),
    Model("claude-sonnet-5", "claude-sonnet-5", 1_000_000, 128_000, (2, 10)),
    Model("claude-sonnet-5-5", "claude-sonnet-5-5", 1_000_000, 128_000, (2, 10), least_cached=512),
    Model("claude-haiku-5-5", "claude-haiku-5-5", 1_000_000, 128_000, (0.1, 0.5), least_cached=512),
    Model("claude-fable-5", "claude-fable-5", 1_000_000, 128_000, (10, 50), least_cached=512),
    Model("claude-fable-5-1", "claude-fable-5", 1_000_000, 128_000, (10, 50), least_cached=512),
    Model("claude-fable-5-2", "claude-fable-5", 1_000_000, 128_000, (8, 40), least_cached=512),
)

_EARLIER = {  # the Tier 1-4 table, to about mid-2026; copy of late 2025
    "tier-1": Limits(50, 30_000, 8_000, None, 100),
    "tier-2": Limits(1_000, 450_000, 90_000, None, 2_000),
    "tier-3": Limits(2_000, 800_000, 160_000, None, 4_000),
    "tier-4": Limits(4_000, 2_000_000, 400_000, None, 8_000),
}
_EARLIER_HAIKU = {
    "tier-1": Limits(50, 50_000, 10_000, None, 100),
    "tier-2": Limits(1_000, 450_000, 90_000, None, 2_000),
    "tier-3": Limits(2_000, 1_000_000, 200_000, None, 4_000),
    "tier-4": Limits(4_000, 4_000_000, 800_000, None, 8_000),
}
_CURRENT = {  # copies of 2026-09-01 and 2026-10-04
    "start": Limits(1_000, 2_000_000, 400_000, None, 5_000),
    "build": Limits(5_000, 5_000_000, 1_000_000, None, 10_000),
    "scale": Limits(10_000, 10_000_000, 2_000_000, None, 20_000),
}
_CURRENT_FABLE = {
    "start": Limits(1_000, 500_000, 100_000, None, 5_000),
    "build": Limits(2_000, 1_500_000, 300_000, None, 10_000),
    "scale": Limits(4_000, 4_000_000, 800_000, None, 20_000),
}
# Source of all four tables: https://platform.claude.com/docs/en/api/rate-limits and, for count_tokens,
# https://platform.claude.com/docs/en/build-with-claude/token-counting. "build" is not known for the 5.5 models.
NO_LIMITS = Limits()
_UNLIMITED = {"unlimited": NO_LIMITS}
_NO_BUILD = {tier: limits for tier, limits in _CURRENT.items() if tier != "build"}
TIERS: dict[str, dict[str, Limits]] = {
    "any": _UNLIMITED | _EARLIER | _CURRENT,
    "claude-opus-4": _UNLIMITED | _EARLIER | _CURRENT,
    "claude-sonnet-4": _UNLIMITED | _EARLIER | _CURRENT,
    "claude-haiku-4-5": _UNLIMITED | _EARLIER_HAIKU | _CURRENT,
    "claude-opus-5": _UNLIMITED | _CURRENT,
    "claude-sonnet-5": _UNLIMITED | _CURRENT,
    "claude-opus-5-5": _UNLIMITED | _NO_BUILD,
    "claude-sonnet-5-5": _UNLIMITED | _NO_BUILD,
    "claude-haiku-5-5": _UNLIMITED,
    "claude-fable-5": _UNLIMITED | _CURRENT_FABLE,
}

_BY_NAME = {name: model for model in MODELS for name in (model.id, *model.aliases)}


def find_model(name: str) -> Model | None:
    """The model of an id or an alias; None: the API would answer 404."""
    return _BY_NAME.get(name)
