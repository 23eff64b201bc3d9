"""What a million tokens of each class cost, for eyes and for machines: whole nanodollars, None where nobody says.

Claude's prices are those the ledger goes by (`ledger.tariff`: genai-prices and our multipliers). Of other providers only
what genai-prices has is said, without multipliers of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from headway.ledger.tariff import Exact, Terms, UnitPrices, find_tariff

if TYPE_CHECKING:  # brings pydantic
    from genai_prices.types import ModelInfo, ModelPrice


@dataclass(frozen=True, slots=True)
class Prices:
    """Nanodollars per million tokens, for prompts of more than `beyond` tokens (-1: of any length)."""

    beyond: int
    input: int | None
    cache_write_5m: int | None
    cache_write_1h: int | None
    cache_read: int | None
    output: int | None
    batch_input: int | None
    batch_output: int | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A model of another provider as genai-prices has it. `deprecated` None: it does not say."""

    provider: str
    model: str
    context_tokens: int | None
    prices: Prices | None
    deprecated: bool | None


def claude_prices(model: str, window: int, at_ns: int) -> tuple[Prices, ...]:
    """The prices of a Claude model, shortest prompts first. Empty: not known. Steps beyond its window are left out."""
    standard = find_tariff(model, at_ns, Terms())
    batch = find_tariff(model, at_ns, Terms(batch=True))
    if standard is None:
        return ()
    halves = {beyond: prices for beyond, _, prices in batch.steps} if batch else {}
    return tuple(
        _prices(beyond, prices, halves.get(beyond))
        for beyond, _, prices in reversed(standard.steps)
        if beyond < window
    )


def offers(at_ns: int, provider: str = "") -> Iterator[Offer]:
    """What genai-prices has of `provider` (empty: of all), but Anthropic itself."""
    from genai_prices.data_snapshot import get_snapshot

    when = datetime.fromtimestamp(at_ns // 10**9, UTC)
    for each in get_snapshot().providers:
        if each.id != "anthropic" and provider in ("", each.id):
            for info in each.models:
                yield Offer(each.id, info.id, info.context_window, _offered(info, when), info.deprecated)


def providers() -> tuple[str, ...]:
    """The names of all providers that genai-prices knows."""
    from genai_prices.data_snapshot import get_snapshot

    return tuple(each.id for each in get_snapshot().providers)


def _prices(beyond: int, standard: UnitPrices, batch: UnitPrices | None) -> Prices:
    return Prices(
        beyond,
        _whole(standard.input),
        _whole(standard.cache_write_5m),
        _whole(standard.cache_write_1h),
        _whole(standard.cache_read),
        _whole(standard.output),
        _whole(batch.input) if batch else None,
        _whole(batch.output) if batch else None,
    )


def _whole(price: Exact | None) -> int | None:
    return None if price is None else round(price)


def _offered(info: ModelInfo, when: datetime) -> Prices | None:
    prices = info.get_prices(when, {})
    variants = [each for each in info.price_variants or () if ("processing", "batch") in each.when.items()]
    known = any(each.constraint is None or each.constraint.active(when) for each in variants)
    batch = info.get_prices(when, {"processing": "batch"}) if known else None
    found = Prices(
        -1,
        _of(prices, "input_mtok"),
        _of(prices, "cache_write_mtok"),
        _of(prices, "cache_write_1h_mtok"),
        _of(prices, "cache_read_mtok"),
        _of(prices, "output_mtok"),
        _of(batch, "input_mtok"),
        _of(batch, "output_mtok"),
    )
    return None if found.input is None and found.output is None else found


def _of(prices: ModelPrice | None, key: str) -> int | None:
    """One price; where it depends on the length of the prompt, that of the shortest."""
    price = None if prices is None else getattr(prices, key, None)
    base = getattr(price, "base", price)
    return round(base * 10**9) if isinstance(base, Decimal) else None
