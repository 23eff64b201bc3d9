"""The limits a plan goes by, and where they are from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headway.catalog.believed import Believed, Word
from headway.core.call import Unit
from headway.core.limit import Limit
from headway.providers.catalog import Catalog, TierLimits


@dataclass(frozen=True, slots=True)
class Known:
    """Limits of one pool. `source` says in words where they are from; `is_sure`: somebody said so."""

    limits: tuple[Limit, ...]
    source: str
    is_sure: bool


_WORDS = {
    Word.COMMAND: "as given with the command",
    Word.SETTINGS: "as set",
    Word.ORGANISATION: "those of your organisation, as the API told",
    Word.HEADERS: "as the headers of your last calls showed them",
    Word.REFUSALS: "as an earlier run was taught",
    Word.TIER: "as published for the tier in your settings",
}


def known_of(pool: str, catalog: Catalog, believed: Believed) -> Known:
    """What is believed of a pool, else the lowest published."""
    belief = believed.of(pool)
    if belief.limits:
        return Known(belief.limits, _WORDS[belief.word], True)
    least = catalog.least(pool)
    if least is not None:
        lowest = "the lowest that are published, as none are set (--tier, --limits)"
        return Known(tuple(limits_of(least)), lowest, False)
    return Known((), "none: no limits are published for this model", False)


def limits_of(found: TierLimits) -> Sequence[Limit]:
    """Published limits as limits."""
    amounts = (
        (Unit.REQUESTS, found.requests),
        (Unit.INPUT_TOKENS, found.input_tokens),
        (Unit.OUTPUT_TOKENS, found.output_tokens),
    )
    return [Limit(unit, amount) for unit, amount in amounts if amount]
