"""Where each published fact is from, how old it is, and what tiers say beside their limits. The data: `providers/data`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import metadata, resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Fact:
    """What is said, where, and for which day it is known (`as_of`, ISO). `about` is a provider, a kind of fact or a tier.

    `past`: it tells how something was that has ended, so it does not age. `models`: of these only; empty: of all.
    """

    about: str
    says: str
    url: str
    as_of: str
    read: str
    past: bool = False
    models: tuple[str, ...] = ()

    def age_days(self, today: date) -> int:
        """Days since the day for which it is known."""
        return (today - date.fromisoformat(self.as_of)).days


@dataclass(frozen=True, slots=True)
class Terms:
    """What a tier says beside the limits of models. None: not known. Requests are a minute, all models together.

    `batch_queue` is how many batch requests may wait. `ended`: since when it is no longer given (a month, or empty).
    """

    tier: str
    spend_cap_usd: int | None
    credit_usd: int | None
    batch_requests: int | None
    batch_queue: int | None
    count_requests: int | None
    ended: str
    note: str
    fact: Fact


@cache
def claude_facts() -> tuple[Fact, ...]:
    """Where the facts about Claude models are from, one kind of fact after the other."""
    entries = _read("anthropic")["sources"]
    return tuple(
        Fact(
            entry["fact"],
            entry["says"],
            entry["url"],
            entry["as_of"],
            entry["read"],
            models=tuple(entry.get("models", ())),
        )
        for entry in entries
    )


@cache
def tier_terms() -> dict[str, Terms]:
    """The tiers of Claude by name, those that were given earlier first."""
    found = {}
    for entry in _read("anthropic")["tiers"]:
        name, ended = str(entry["name"]), str(entry.get("ended", ""))
        fact = Fact(
            name, f"limits of {name}", entry["source"], entry["as_of"], entry["read"], past=bool(ended)
        )
        found[name] = Terms(
            name,
            entry.get("spend_cap_usd"),
            entry.get("credit_usd"),
            entry["pools"].get("anthropic/batches", (None,))[0],
            entry.get("batch_queue"),
            entry["pools"].get("anthropic/count_tokens", (None,))[0],
            ended,
            entry.get("note", ""),
            fact,
        )
    return found


@cache
def other_facts() -> tuple[Fact, ...]:
    """How other providers count and limit, as far as it is known."""
    return tuple(
        Fact(entry["provider"], entry["says"], entry["url"], entry["as_of"], entry["read"])
        for entry in _read("others")["facts"]
    )


def all_facts(today: str) -> tuple[Fact, ...]:
    """Every source there is, prices included."""
    tiers = (terms.fact for terms in tier_terms().values())
    return (*claude_facts(), *tiers, price_fact(today), *other_facts())


@cache
def price_fact(today: str) -> Fact:
    """Where prices are from. The data have no date of their own: the newest change of a price in them stands for it.

    `today` is an ISO date: changes that are still to come do not count.
    """
    from genai_prices.data_snapshot import get_snapshot

    version = metadata.version("genai-prices")
    days = {
        str(day)[:10]
        for provider in get_snapshot().providers
        for model in provider.models
        for price in (
            *(model.prices if isinstance(model.prices, list) else ()),
            *(model.price_variants or ()),
        )
        if (day := getattr(price.constraint, "start_date", None)) is not None
    }
    newest = max((day for day in days if day <= today), default="2026-11-24")
    says = f"prices as in genai-prices {version}, the newest change in them"
    return Fact("prices", says, "https://pypi.org/project/genai-prices/", newest, newest)


def _read(name: str) -> dict[str, Any]:
    text = resources.files("headway.providers").joinpath(f"data/{name}.toml").read_text("utf-8")
    return tomllib.loads(text)
