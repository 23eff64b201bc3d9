"""Which limits a plan should go by: yours by number, else those of your organisation, else those of the tier you name.

for pool, known in known_limits(config, default_path(), time.time_ns()).items():
    known.limits, known.source
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headway.catalog.organisation import Group, recall
from headway.config import Config
from headway.core.call import Unit
from headway.core.limit import Limit, parse_limits
from headway.providers.catalog import Catalog, TierLimits

BELIEVED_NS = 30 * 86400 * 10**9
SETTINGS, ORGANISATION = "settings", "organisation"
_UNITS = {
    "requests_per_minute": Unit.REQUESTS,
    "input_tokens_per_minute": Unit.INPUT_TOKENS,
    "input_tokens_per_minute_cache_aware": Unit.INPUT_TOKENS,  # where both are told, the one of models that count so
    "output_tokens_per_minute": Unit.OUTPUT_TOKENS,
}
_SENSELESS = 10**15
_POOLS = {"batch": "anthropic/batches", "token_count": "anthropic/count_tokens"}


@dataclass(frozen=True, slots=True)
class KnownLimits:
    """The limits of one pool. `source` is "organisation", the name of a tier, or "settings" if all are given by number.

    `at_ns` is when the organisation's were told (None: they are published). `queue` is how many batch requests may wait.
    """

    pool: str
    limits: tuple[Limit, ...]
    source: str
    at_ns: int | None = None
    queue: int | None = None

    def amount(self, unit: Unit) -> float | None:
        """What there is of a unit in a minute. None: not limited, or not known."""
        return next(
            (limit.amount * 60.0 / limit.period_s for limit in self.limits if limit.unit is unit), None
        )


def known_limits(config: Config, ledger: Path | None, now_ns: int) -> dict[str, KnownLimits]:
    """The limits of each pool of which something is known. `ledger` is where the organisation's are kept; None: nowhere.

    What was told more than 30 days before `now_ns` is not believed. Raises ConfigError for a tier that does not exist and
    for limits that cannot be read. Never asks the network.
    """
    catalog = Catalog.load()
    found = _published(catalog, config) | _told(catalog, config, ledger, now_ns)
    pools = {facts.pool for facts in catalog.models} if config.limits else set(config.pool_limits)
    for pool in {*found, *pools, *config.pool_limits}:
        if written := config.limits_of(pool):
            found[pool] = _overlaid(pool, found.get(pool), parse_limits(written))
    return found


def by_pool(groups: tuple[Group, ...], catalog: Catalog, at_ns: int) -> dict[str, KnownLimits]:
    """The organisation's groups as pools. A group of models that the catalog does not know keeps its own name."""
    found: dict[str, KnownLimits] = {}
    for group in groups:
        pool = pool_of(group, catalog)
        limits = _limits(group.limits)
        queue = group.limits.get("enqueued_batch_requests")
        if limits or queue is not None:
            found[pool] = KnownLimits(pool, limits, ORGANISATION, at_ns, queue)
    return found


def pool_of(group: Group, catalog: Catalog) -> str:
    """The pool that a group is, by what most of its models belong to."""
    pools = Counter(facts.pool for model in group.models if (facts := catalog.model(model)) is not None)
    if pools:
        return pools.most_common(1)[0][0]
    return _POOLS.get(group.kind, f"{group.kind}/{group.name}")


def _limits(told: Mapping[str, int]) -> tuple[Limit, ...]:
    known = {
        unit: Limit(unit, float(told[kind]))
        for kind, unit in _UNITS.items()
        if 0 < told.get(kind, 0) < _SENSELESS
    }
    return tuple(known.values())


def _told(catalog: Catalog, config: Config, ledger: Path | None, now_ns: int) -> dict[str, KnownLimits]:
    kept = recall(ledger, config.base_url) if ledger is not None else None
    if kept is None or now_ns - kept.at_ns > BELIEVED_NS:
        return {}
    return by_pool(kept.groups, catalog, kept.at_ns)


def _published(catalog: Catalog, config: Config) -> dict[str, KnownLimits]:
    if not config.tier:
        return {}
    pools = {facts.pool for facts in catalog.models} | set(_POOLS.values())
    with config.blaming("tier"):
        name = catalog.tier_name(config.tier)
    tiers = {pool: catalog.tier(pool, name) for pool in sorted(pools)}
    return {
        pool: KnownLimits(pool, _of_tier(limits), name)
        for pool, limits in tiers.items()
        if limits is not None
    }


def _of_tier(tier: TierLimits) -> tuple[Limit, ...]:
    amounts = (
        (Unit.REQUESTS, tier.requests),
        (Unit.INPUT_TOKENS, tier.input_tokens),
        (Unit.OUTPUT_TOKENS, tier.output_tokens),
    )
    return tuple(Limit(unit, float(amount)) for unit, amount in amounts if amount)


def _overlaid(pool: str, known: KnownLimits | None, given: tuple[Limit, ...]) -> KnownLimits:
    if known is None:
        return KnownLimits(pool, given, SETTINGS)
    units = {limit.unit: limit for limit in (*known.limits, *given)}
    source = SETTINGS if all(limit.given for limit in units.values()) else known.source
    return KnownLimits(pool, tuple(units.values()), source, known.at_ns, known.queue)
