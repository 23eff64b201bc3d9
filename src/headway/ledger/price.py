"""Says what an attempt cost: exact rational arithmetic, rounded once (half to even) to a whole nanodollar.

Unit prices come from `tariff` and are kept for a quarter of an hour of wall time: no price in the data changes off a
quarter of an hour (a test checks it), most change at midnight UTC. A model without a price costs None: never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.core.call import Usage
from headway.ledger.tariff import Exact, Tariff, Terms, UnitPrices, find_tariff

_QUARTER_NS = 900 * 10**9
_KEPT = 4096  # tariffs; model names come from outside, so the memory for them has a bound
_STANDARD = Terms()


@dataclass(frozen=True, slots=True)
class Cost:
    """`nanousd` in billionths of a dollar, None: not known. `variant` says which prices were used, for people to check."""

    nanousd: int | None
    variant: str


class Prices:
    """The prices of all models at all times. Safe to share between threads. Never raises for odd input."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, bool, str, str, str], Tariff | None] = {}
        find_tariff(
            "claude-opus-4", 0, _STANDARD
        )  # loads the price data now (0.3 s), not inside the first call

    def cost(self, model: str, usage: Usage, at_ns: int, *, batch: bool = False) -> Cost:
        """The cost of one attempt at `at_ns` (ns since 1970 UTC), its iterations each at their own model's price.

        `model` is the one asked for; the one that the reply names is priced, where its price is known.
        """
        total, variant = self._total(usage.model or model, usage, at_ns, batch)
        if total is None and usage.model not in ("", model):
            total, variant = self._total(model, usage, at_ns, batch)
        for part in usage.parts:
            more, name = self._total(part.model or usage.model or model, part, at_ns, batch)
            total = None if total is None or more is None else total + more
            variant = f"{variant}; {name}"
        return Cost(None if total is None else _round(total), variant)

    def estimate(self, model: str, input_tokens: int, output_tokens: int, at_ns: int) -> int | None:
        """Nanodollars of a call before it is sent, at standard prices without cache. None: not known."""
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return self.cost(model, usage, at_ns).nanousd

    def unit(self, model: str, at_ns: int) -> UnitPrices | None:
        """Standard unit prices (of short prompts, where the length of the prompt matters). None: not known."""
        tariff = self._tariff(model, at_ns, False, "", "", "")
        return None if tariff is None else tariff.steps[-1][2]

    def _total(self, model: str, usage: Usage, at_ns: int, batch: bool) -> tuple[Exact | None, str]:
        """Millionths of a nanodollar, not yet rounded, and the name of the prices."""
        tariff = self._tariff(model, at_ns, batch, usage.service_tier, usage.speed, usage.geo)
        prompt = (
            usage.input_tokens
            + usage.cache_read_tokens
            + usage.cache_write_5m_tokens
            + usage.cache_write_1h_tokens
        )
        if tariff is None:
            took = prompt or usage.output_tokens or usage.web_searches
            return (
                None if took else 0,
                f"no price for {model[:100]}",
            )  # nothing costs nothing, whoever gave it
        for beyond, variant, prices in tariff.steps:
            if prompt > beyond:
                return _sum(usage, prices), variant
        return _sum(usage, prices), variant  # a negative count: the shortest prompt's prices

    def _tariff(self, model: str, at_ns: int, batch: bool, tier: str, speed: str, geo: str) -> Tariff | None:
        key = (model, at_ns // _QUARTER_NS, batch, tier, speed, geo)
        try:
            return self._kept[key]
        except KeyError:
            terms = Terms(batch=batch or tier == "batch", fast=speed == "fast", tier=tier, geo=geo)
            tariff = find_tariff(model, at_ns, terms)
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[key] = tariff
        return tariff


def _sum(usage: Usage, prices: UnitPrices) -> Exact | None:
    total: Exact = prices.request
    for count, price in (
        (usage.input_tokens, prices.input),
        (usage.output_tokens, prices.output),
        (usage.cache_read_tokens, prices.cache_read),
        (usage.cache_write_5m_tokens, prices.cache_write_5m),
        (usage.cache_write_1h_tokens, prices.cache_write_1h),
        (usage.web_searches, prices.web_search),
    ):
        if count:
            if price is None:
                return None
            total += count * price
    return total


def _round(millionths: Exact) -> int:
    """Half to even, whatever the size: no float comes near money."""
    if isinstance(millionths, int):
        whole, rest = divmod(millionths, 1_000_000)
        return whole + (rest > 500_000 or (rest == 500_000 and whole & 1))
    return round(millionths / 1_000_000)
