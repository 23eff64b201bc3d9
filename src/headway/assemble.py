"""Settings to ready objects: the only place where parts are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes

from headway.config import Config
from headway.core.budget import Budget
from headway.core.call import Call, Unit, Usage
from headway.core.engine import Engine
from headway.core.limit import Limit, parse_limits, with_burst
from headway.errors import ConfigError, InputError
from headway.ledger.key import fingerprint_key
from headway.ledger.price import Prices
from headway.ledger.sqlite import NoLedger, SqliteLedger, default_path
from headway.providers.anthropic import Anthropic
from headway.providers.catalog import SURE, Catalog, TierLimits
from headway.stores.memory import MemoryStore
from headway.wire.request import Origin

WORST_INPUT = (
    1.25  # how far a prompt may be above its estimate, for what it may cost at most; or three deviations
)


@dataclass(frozen=True, slots=True)
class Parts:
    """One engine with what it is made of. `budget` is None without a cap."""

    config: Config
    catalog: Catalog
    provider: Anthropic
    prices: Prices
    engine: Engine
    budget: Budget | None


def build(config: Config, wall: Callable[[], int]) -> Parts:
    """Put an engine together. `wall` is nanoseconds since 1970 UTC. Raises ConfigError for settings that contradict."""
    _check_base_url(config.base_url)
    catalog, prices = Catalog.load(), Prices()
    budget = Budget(round(config.max_cost_usd * 1e9)) if config.max_cost_usd is not None else None

    def worst(call: Call, input_tokens: float) -> int:
        estimate = call.estimate
        above = max(WORST_INPUT, 1.0 + SURE * estimate.error)
        prompt = round(input_tokens * above)
        written = min(prompt, round(estimate.cacheable_tokens * above))
        usage = Usage(
            input_tokens=prompt - written,
            cache_write_1h_tokens=written,
            output_tokens=estimate.max_output_tokens,
        )
        most = prices.cost(call.identity.model, usage, wall()).nanousd
        assert budget is not None
        return budget.cap + 1 if most is None else most  # of unknown price: never within a budget

    def expect(call: Call, input_tokens: float, output_tokens: float) -> int | None:
        return prices.estimate(call.identity.model, round(input_tokens), round(output_tokens), wall())

    def cost(usage: Usage, at_ns: int) -> int | None:
        return prices.cost(usage.model, usage, at_ns).nanousd

    engine = Engine(
        MemoryStore(),
        limits=known_limits(config, catalog),
        assumed=lambda pool: _limits(catalog.least(pool)),
        most_in_flight=config.concurrency,
        budget=budget,
        price=worst if budget else None,
        expect=expect,
        cost=cost,
        cache_is_free=catalog.prefix_cache_free,
    )
    return Parts(config, catalog, Anthropic(catalog, salt=token_bytes(16)), prices, engine, budget)


def known_limits(config: Config, catalog: Catalog) -> Callable[[str], Sequence[Limit]]:
    """The limits of a pool, as far as they are set: by number, or by the published figures of a tier."""
    if config.tier:
        with config.blaming("tier"):  # a tier that does not exist is an error now, not at the first call
            catalog.tier("", config.tier)
    for pool in ("", *config.pool_limits):
        _limits_of(config, catalog, pool)
    return lambda pool: _limits_of(config, catalog, pool)


def _limits_of(config: Config, catalog: Catalog, pool: str) -> Sequence[Limit]:
    written = config.limits_of(pool)
    with config.blaming(f"pools.{pool}" if pool in config.pool_limits else "limits"):
        given = parse_limits(written) if written else ()
    known = {limit.unit: limit for limit in (*_published(catalog, pool, config.tier), *given)}
    found = tuple(known.values())
    if not config.burst:
        return found
    with config.blaming("burst"):
        return with_burst(found, config.burst)


def open_ledger(config: Config, prices: Prices) -> SqliteLedger | NoLedger:
    """The ledger that the settings name; "none" keeps none. Raises LedgerError."""
    if config.ledger == "none":
        return NoLedger()
    return SqliteLedger(_path_of(config), prices=prices, keep_s=config.ledger_keep_s)


def fingerprinting(provider: Anthropic, config: Config) -> Anthropic:
    """The provider that marks calls for the ledger of the settings: `provider` itself if it keeps none, is not to have
    fingerprints, or has no key for them. Makes that key, if there is none yet."""
    if config.ledger == "none" or not config.fingerprints:
        return provider
    key = fingerprint_key(_path_of(config))
    return provider if key is None else Anthropic(provider.catalog, salt=key, fingerprints=True)


def _path_of(config: Config) -> Path:
    return Path(config.ledger) if config.ledger else default_path()


def _check_base_url(base_url: str) -> None:
    try:
        Origin(base_url)
    except InputError as error:
        shown = base_url.rpartition("@")[2][:200]  # what stands before an @ may be a password
        raise ConfigError(f"the base URL {shown!r} cannot be used", hint=str(error)) from None


def _published(catalog: Catalog, pool: str, tier: str | None) -> Sequence[Limit]:
    return _limits(catalog.tier(pool, tier) if tier else None)


def _limits(found: TierLimits | None) -> Sequence[Limit]:
    if found is None:
        return ()
    amounts = (
        (Unit.REQUESTS, found.requests),
        (Unit.INPUT_TOKENS, found.input_tokens),
        (Unit.OUTPUT_TOKENS, found.output_tokens),
    )
    return [Limit(unit, amount) for unit, amount in amounts if amount]
