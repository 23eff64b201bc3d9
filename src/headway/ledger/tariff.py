"""Finds the unit prices of one model at one moment: the data of `genai-prices`, our multipliers on top.

Unit prices are exact, in nanodollars per million tokens, so that $0.0025 per Mtok is an int and 0.1 × $0.25 × 1.1 is, too.

Who wins, and why:

- A price that `genai-prices` has for the day wins over any multiplier of ours, the batch and fast variants included: it is
  data with a date. For every Claude model it agrees with our multipliers (a test compares them).
- It has no batch variants before 2026-10-12, and none at all for Opus 4, 4.1 and Sonnet 4: batch is half there, too (ours).
- It ignores `inference_geo: "us"`: 1.1 on every kind of token from Claude 4.6 on (ours). Older models refuse the parameter.
- It gives no cache prices for Claude 2 and no 1-hour write for some Bedrock copies: 1.25 × and 2 × the input price for
  writes, 0.1 × for reads (ours). For Claude 3 Haiku it says 0.30 / 0.50 / 0.03 with 0.25 input: off all three factors, kept.
- It keeps the doubled prices of Sonnet 4.5 above 200k tokens, though such prompts are refused since the beta ended on
  2026-04-30. Since then more than 200k in one reply is the sum of several prompts, each of them short (with what a search
  of the provider had found, say), at standard prices (ours).
- It does not say that priority or flex tiers of Claude cost more: standard prices. For OpenAI and Google it does.
- Only text tokens, web searches and fees per request are priced. A model priced by the second or the character has no price.

Source of our multipliers: https://platform.claude.com/docs/en/about-claude/pricing (copy of 2026-09-01).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the import takes 0.3 s and brings pydantic: only when a price is asked for
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

Exact = int | Fraction

_LAST_NS = 253_370_764_800 * 10**9  # year 9999: a broken clock must not raise
_CLAUDE = re.compile(r"claude-(?:opus|sonnet|haiku|fable|mythos)-(\d+)(?:[-.](\d{1,2}))?(?!\d)")
_HALF = Fraction(1, 2)
_GEO_US = Fraction(11, 10)
_LONG_ENDED = {  # prompts beyond 200k tokens, of a beta: they had prices of their own until then
    "claude-sonnet-4-5": datetime(2026, 4, 30, tzinfo=UTC),
}
_SEARCH_MILLION = 10 * 10**9 * 1000  # $10 per 1,000


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """Nanodollars per million tokens of each class; searches and requests per million, too. None: not known."""

    input: Exact | None
    cache_read: Exact | None
    cache_write_5m: Exact | None
    cache_write_1h: Exact | None
    output: Exact | None
    web_search: Exact | None
    request: Exact = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What beside the model decides a price: as the reply's usage says it."""

    batch: bool = False
    fast: bool = False
    tier: str = ""
    geo: str = ""


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one model under one set of terms. `steps` is (prompt tokens beyond which they hold, variant, prices)."""

    steps: tuple[tuple[int, str, UnitPrices], ...]


def find_tariff(model: str, at_ns: int, terms: Terms) -> Tariff | None:
    """The tariff of `model` at `at_ns` (ns since 1970 UTC). None: nobody knows its prices."""
    found = _find_model(model)
    if found is None:
        return None
    provider, info = found
    when = datetime.fromtimestamp(min(max(at_ns, 0), _LAST_NS) // 10**9, UTC)
    context = _context(terms)
    prices = info.get_prices(when, context)
    claude = "claude" in info.id
    factor = _own_factor(info, when, context, claude) * _geo_factor(info.id, provider.id, terms.geo)
    name = info.id + _period(info, when) + " std" + _suffix(terms, claude, provider.id, info.id)
    steps = _steps(prices, factor, claude, name)
    ended = _LONG_ENDED.get(info.id)
    return Tariff(steps if ended is None or when < ended else steps[-1:])


def _snapshot() -> DataSnapshot:
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def _find_model(model: str) -> tuple[Provider, ModelInfo] | None:
    """Try the id as it is, then as clouds and routers write it. Never guesses a provider: unpriced beats mispriced."""
    snapshot = _snapshot()
    for provider, name in _spellings(model.strip().lower()):
        try:
            return snapshot.find_provider_model(name, None, provider, None)
        except LookupError:
            continue
    return None


def _spellings(model: str) -> list[tuple[str | None, str]]:
    ways: list[tuple[str | None, str]] = []
    if "anthropic." in model:  # Bedrock: its regional copies cost 10 % more from 4.5 on
        ways.append(("aws", model))
    ways.append((None, model))
    if "@" in model:  # Google's copies: claude-opus-4@20250514
        ways.append((None, model.replace("@", "-")))
    head, slash, tail = model.partition("/")
    if slash:  # models/gemini-2.5-pro, anthropic/claude-opus-4
        ways += [(None if head == "models" else head, tail)]
    return ways


def _context(terms: Terms) -> dict[str, str]:
    context = {}
    if terms.batch:
        context["processing"] = "batch"
    if terms.fast:
        context["speed"] = "fast"
    if terms.tier:
        context["service_tier"] = terms.tier
    return context


def _own_factor(info: ModelInfo, when: datetime, context: dict[str, str], claude: bool) -> Fraction:
    """What we multiply by, because the data have no variant for it on that day."""
    named = {
        item
        for variant in info.price_variants or ()
        if variant.constraint is None or variant.constraint.active(when)
        for item in variant.when.items()
    }
    factor = Fraction(1)
    if context.get("processing") == "batch" and ("processing", "batch") not in named:
        factor *= _HALF
    if claude and context.get("speed") == "fast" and ("speed", "fast") not in named:
        factor *= 2
    return factor


def _geo_factor(model: str, provider: str, geo: str) -> Fraction:
    return _GEO_US if _geo_counts(model, provider, geo) else Fraction(1)


def _geo_counts(model: str, provider: str, geo: str) -> bool:
    match = _CLAUDE.match(model)
    if geo != "us" or provider != "anthropic" or match is None:
        return False
    return (int(match[1]), int(match[2] or 0)) >= (4, 6)


def _period(info: ModelInfo, when: datetime) -> str:
    """The day since which the price holds, where the data give it a history."""
    from genai_prices.types import ModelPrice, StartDateConstraint

    if isinstance(info.prices, ModelPrice):
        return ""
    for dated in reversed(info.prices):
        if dated.constraint is None:
            return ""
        if dated.constraint.active(when):
            start = dated.constraint
            return (
                f"@{start.start_date}"
                if isinstance(start, StartDateConstraint)
                else f"@{start.start_time:%H:%M}"
            )
    return ""


def _suffix(terms: Terms, claude: bool, provider: str, model: str) -> str:
    text = "+geo-us" if _geo_counts(model, provider, terms.geo) else ""
    if terms.fast and claude:
        text += "+fast"
    if terms.tier not in ("", "standard", "default", "batch"):
        text += f"+{terms.tier[:20]}"
    return text + "+batch" if terms.batch else text


def _steps(
    prices: ModelPrice, factor: Fraction, claude: bool, name: str
) -> tuple[tuple[int, str, UnitPrices], ...]:
    """One set of prices for each prompt length at which they change; the longest first, as it is looked up."""
    values = prices.__dict__.values()
    starts = {tier.start for value in values for tier in getattr(value, "tiers", ())}
    steps = [(-1, name, _unit_prices(prices, -1, factor, claude))]
    steps += [
        (at, f"{name}>{at // 1000}k", _unit_prices(prices, at, factor, claude)) for at in sorted(starts)
    ]
    return tuple(reversed(steps))


def _unit_prices(prices: ModelPrice, prompt: int, factor: Fraction, claude: bool) -> UnitPrices:
    def token(key: str) -> Fraction | None:
        dollars = _dollars(getattr(prices, key), prompt)
        return None if dollars is None else dollars * 10**9 * factor

    def other(key: str) -> Fraction | None:
        dollars = _dollars(getattr(prices, key), prompt)
        return None if dollars is None else dollars * 10**9 * 1000

    fresh = token("input_mtok")
    read, write, write_1h = token("cache_read_mtok"), token("cache_write_mtok"), token("cache_write_1h_mtok")
    search = other("web_searches_kcount")
    if fresh is not None:
        read = read if read is not None else fresh * (Fraction(1, 10) if claude else 1)
        write = write if write is not None else fresh * (Fraction(5, 4) if claude else 1)
        write_1h = write_1h if write_1h is not None else (fresh * 2 if claude else write)
    return UnitPrices(
        input=_exact(fresh),
        cache_read=_exact(read),
        cache_write_5m=_exact(write),
        cache_write_1h=_exact(write_1h),
        output=_exact(token("output_mtok")),
        web_search=_exact(search) if search is not None or not claude else _SEARCH_MILLION,
        request=_exact(other("requests_kcount")) or 0,
    )


def _dollars(price: Decimal | TieredPrices | None, prompt: int) -> Fraction | None:
    if price is None or isinstance(price, Decimal):
        return None if price is None else Fraction(price)
    reached = [tier.price for tier in price.tiers if tier.start <= prompt]
    return Fraction(reached[-1] if reached else price.base)


def _exact(value: Fraction | None) -> Exact | None:
    """An int where it is one: summing ints is ten times as fast."""
    return value if value is None or value.denominator != 1 else value.numerator
