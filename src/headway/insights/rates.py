"""Unit prices of attempts in whole nanodollars per million tokens, by model, day and the terms they were priced by."""

from __future__ import annotations

from dataclasses import dataclass

from headway.ledger.tariff import Tariff, Terms, UnitPrices, find_tariff

_DAY_NS = 86400 * 10**9
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """Nanodollars per million tokens of each class. `step` is the prompt length beyond which the price holds (-1: any)."""

    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    step: int = -1


class Rates:
    """The prices of all models on all days. A model without a price has None."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, str], Rate | None] = {}

    def of(self, model: str, at_ns: int, variant: str) -> Rate | None:
        """The unit prices that the row's `price_variant` names; the standard ones where it names none of ours."""
        key = (model, at_ns // _DAY_NS, variant)
        try:
            return self._kept[key]
        except KeyError:
            if len(self._kept) > 50_000:
                self._kept.clear()
            found = self._kept[key] = _rate(find_tariff(model, at_ns, _terms(variant)), variant)
            return found

    def batch(self, model: str, at_ns: int, variant: str) -> Rate | None:
        """The same through the Batch API. None: no price is known."""
        cut = variant.find(">")
        at = len(variant) if cut < 0 else cut
        return self.of(model, at_ns, f"{variant[:at]}+batch{variant[at:]}")

    def below(self, model: str, at_ns: int, variant: str) -> Rate | None:
        """The same for a prompt that stays below the length at which the price steps up."""
        return self.of(model, at_ns, variant.partition(">")[0])


def _terms(variant: str) -> Terms:
    return Terms(batch="+batch" in variant, fast="+fast" in variant, geo="us" if "+geo-us" in variant else "")


def _rate(tariff: Tariff | None, variant: str) -> Rate | None:
    if tariff is None:
        return None
    step, _, prices = next((found for found in tariff.steps if found[1] == variant), tariff.steps[-1])
    return _whole(prices, step)


def _whole(prices: UnitPrices, step: int) -> Rate | None:
    if prices.input is None or prices.output is None:
        return None
    fresh = prices.input
    return Rate(
        round(fresh),
        round(fresh if prices.cache_read is None else prices.cache_read),
        round(fresh if prices.cache_write_5m is None else prices.cache_write_5m),
        round(fresh if prices.cache_write_1h is None else prices.cache_write_1h),
        round(prices.output),
        step,
    )
