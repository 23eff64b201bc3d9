"""Everything that is known of models, one row each: published, told by the API, measured by your own calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from headway.catalog.measured import Measured
from headway.catalog.organisation import Live
from headway.catalog.prices import Offer, Prices, claude_prices, offers
from headway.errors import InputError
from headway.providers.catalog import Catalog, ModelFacts, TierLimits

CLAUDE = "anthropic"
ALWAYS = (
    "claude-opus-4-0"  # shown among the active models though it has left the API: many still run it elsewhere
)


@dataclass(frozen=True, slots=True)
class Row:
    """One model. None and empty: not known. `prices` are by length of the prompt, shortest first; `tiers` by name.

    `status` is "active", "deprecated", "retired" or empty, on the day asked for. `facts` has what only Claude models have.
    `differs` says where the API tells something else than what is published: (what, published, told).
    """

    provider: str
    model: str
    context_tokens: int | None
    max_output_tokens: int | None
    prices: tuple[Prices, ...]
    pool: str
    status: str
    retires: str
    tiers: Mapping[str, TierLimits] = field(hash=False)
    measured: Measured | None = None
    facts: ModelFacts | None = None
    differs: tuple[tuple[str, str, str], ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether it is worth a line when nobody asks for all."""
        return self.status != "retired" or self.model == ALWAYS


def claude_rows(
    today: str, now_ns: int, measured: Mapping[str, Measured], live: Iterable[Live] = ()
) -> list[Row]:
    """The rows of Claude models, in the order of the catalog, then those that only the API lists.

    `today` is an ISO date: a model whose day has come is retired, whatever was published before. What the API tells (`live`)
    wins over what is published.
    """
    catalog = Catalog.load()
    rows = {facts.id: _claude_row(catalog, facts, today, now_ns, measured) for facts in catalog.models}
    for each in live:
        facts = catalog.model(each.id)
        known = rows.get(facts.id) if facts else rows.get(each.id)
        rows[facts.id if facts else each.id] = _told(known or _unpublished(each, now_ns, measured), each)
    return list(rows.values())


def other_rows(now_ns: int, provider: str = "") -> list[Row]:
    """The rows of other providers, as far as genai-prices has them. Their limits are not published in figures."""
    return [_other_row(offer) for offer in offers(now_ns, provider)]


def name_of(model: str) -> str:
    """The catalog's name of a model in any spelling; one that it does not know keeps its own."""
    facts = Catalog.load().model(model)
    return facts.id if facts else model


def find(model: str, rows: Iterable[Row]) -> Row:
    """The row of a model, by any of its spellings or as `provider/model`. InputError names the nearest ones."""
    wanted, known = name_of(model), list(rows)
    for row in known:
        if wanted == row.model or model.lower() in (row.model.lower(), f"{row.provider}/{row.model}".lower()):
            return row
    names = [row.model for row in known]
    plain = Catalog.load().nearest_model(model)
    near = [name for name in names if len(model) > 2 and model.lower() in name.lower()]
    near = near or [*([plain] if plain else []), *get_close_matches(model.lower(), names, n=3, cutoff=0.6)]
    near = list(dict.fromkeys(near))[:4]
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise InputError(f"unknown model {model[:100]!r}", hint=f"{hint}headway models --all lists them all.")


def _claude_row(
    catalog: Catalog, facts: ModelFacts, today: str, now_ns: int, measured: Mapping[str, Measured]
) -> Row:
    tiers = {name: limits for name in catalog.tiers if (limits := catalog.tier(facts.pool, name)) is not None}
    return Row(
        CLAUDE,
        facts.id,
        facts.context_tokens,
        facts.max_output_tokens,
        claude_prices(facts.id, facts.context_tokens, now_ns),
        facts.pool,
        "retired" if facts.retires and facts.retires <= today else facts.status,
        facts.retires,
        tiers,
        measured.get(facts.id),
        facts,
    )


def _unpublished(live: Live, now_ns: int, measured: Mapping[str, Measured]) -> Row:
    window = live.context_tokens or 10**9
    prices = claude_prices(live.id, window, now_ns)
    return Row(CLAUDE, live.id, None, None, prices, "", "", "", {}, measured.get(live.id))


def _told(row: Row, live: Live) -> Row:
    told = {
        "context_tokens": live.context_tokens,
        "max_output_tokens": live.max_output_tokens,
        "status": live.status or None,
        "retires": live.retires or None,
    }
    news = {name: value for name, value in told.items() if value is not None and value != getattr(row, name)}
    differs = tuple((name, str(getattr(row, name) or "-"), str(value)) for name, value in news.items())
    return replace(
        row,
        context_tokens=live.context_tokens or row.context_tokens,
        max_output_tokens=live.max_output_tokens or row.max_output_tokens,
        status=live.status or row.status,
        retires=live.retires or row.retires,
        differs=differs if row.facts else (),
    )


def _other_row(offer: Offer) -> Row:
    return Row(
        offer.provider,
        offer.model,
        offer.context_tokens,
        None,
        (offer.prices,) if offer.prices else (),
        "",
        "deprecated" if offer.deprecated else "",
        "",
        {},
    )
