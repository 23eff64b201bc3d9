"""The limits a plan goes by, and where they are from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headway.assemble import known_limits
from headway.catalog.limits import KnownLimits
from headway.config import Config
from headway.core.bucket import Lesson
from headway.core.call import Unit
from headway.core.limit import Limit
from headway.providers.catalog import Catalog, TierLimits


@dataclass(frozen=True, slots=True)
class Known:
    """Limits of one pool. `source` says in words where they are from; `is_sure`: somebody said so."""

    limits: tuple[Limit, ...]
    source: str
    is_sure: bool


def known_of(
    pool: str,
    config: Config,
    catalog: Catalog,
    told: Mapping[str, KnownLimits],
    lessons: Callable[[str], Mapping[Unit, Lesson]],
) -> Known:
    """As set, else as the API told of the organisation, else as an earlier run was taught, else the lowest published."""
    given = tuple(known_limits(config, catalog)(pool))
    if given:
        return Known(given, f"as set by {_setting(config)}", True)
    if pool in told and told[pool].limits:
        return Known(told[pool].limits, "those of your organisation, as the API told", True)
    taught = lessons(pool)
    if len(taught) > 1:
        return Known(
            tuple(Limit(unit, lesson.amount) for unit, lesson in taught.items()),
            "as an earlier run was taught",
            True,
        )
    least = catalog.least(pool)
    if least is not None:
        return Known(
            tuple(limits_of(least)),
            "the lowest that are published, as none are set (--tier, --limits)",
            False,
        )
    return Known((), "none: no limits are published for this model", False)


def limits_of(found: TierLimits) -> Sequence[Limit]:
    """Published limits as limits."""
    amounts = (
        (Unit.REQUESTS, found.requests),
        (Unit.INPUT_TOKENS, found.input_tokens),
        (Unit.OUTPUT_TOKENS, found.output_tokens),
    )
    return [Limit(unit, amount) for unit, amount in amounts if amount]


def _setting(config: Config) -> str:
    return " and ".join(
        filter(
            None,
            (
                f"tier {config.tier}" if config.tier else "",
                "limits" if config.limits or config.pool_limits else "",
            ),
        )
    )
