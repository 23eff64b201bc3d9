"""Every fact has a source that can be looked at and a day, and the past does not age."""

from __future__ import annotations

from datetime import date

import pytest

from headway.catalog.facts import Fact, all_facts, claude_facts, other_facts, price_fact, tier_terms
from headway.providers.catalog import Catalog

TODAY = "2026-11-24"


@pytest.mark.parametrize("fact", all_facts(TODAY), ids=lambda fact: f"{fact.about}-{fact.says[:20]}")
def test_every_fact_has_a_source_and_a_day(fact: Fact) -> None:
    assert fact.url.startswith("https://")
    assert fact.says
    assert date.fromisoformat(fact.as_of) <= date.fromisoformat(fact.read) <= date.fromisoformat(TODAY)


def test_every_kind_of_published_fact_has_a_source() -> None:
    kinds = {fact.about for fact in claude_facts()}
    assert {"context_tokens", "max_output_tokens", "min_cacheable_tokens", "pool", "tokenizer"} <= kinds
    assert {"cache_reads_free", "overflow", "status", "multipliers"} <= kinds


def test_facts_about_single_models_name_models_that_there_are() -> None:
    known = {facts.id for facts in Catalog.load().models}
    assert {model for fact in claude_facts() for model in fact.models} <= known


def test_the_tiers_of_2025_have_their_caps_and_queues_and_are_past() -> None:
    terms = [tier_terms()[f"tier-{number}"] for number in (1, 2, 3, 4)]
    assert [each.spend_cap_usd for each in terms] == [100, 500, 1_000, 5_000]
    assert [each.credit_usd for each in terms] == [5, 40, 200, 400]
    assert [each.batch_queue for each in terms] == [100_000, 200_000, 300_000, 500_000]
    assert [each.batch_requests for each in terms] == [50, 1_000, 2_000, 4_000]
    assert [each.count_requests for each in terms] == [100, 2_000, 4_000, 8_000]
    assert all(each.ended and each.fact.past for each in terms)
    assert "200,000" in terms[3].note


def test_the_tiers_of_today_have_theirs_and_age() -> None:
    terms = [tier_terms()[name] for name in ("start", "build", "scale")]
    assert [each.spend_cap_usd for each in terms] == [500, 1_000, 200_000]
    assert [each.batch_queue for each in terms] == [200_000, 300_000, 500_000]
    assert [each.batch_requests for each in terms] == [1_000, 2_000, 4_000]
    assert not any(each.ended or each.fact.past for each in terms)
    assert set(tier_terms()) == set(Catalog.load().tiers)


def test_age_is_counted_from_the_day_for_which_a_fact_is_known() -> None:
    fact = Fact("x", "y", "https://z", "2026-09-01", "2026-11-24")
    assert fact.age_days(date(2026, 11, 24)) == 84


def test_prices_are_as_old_as_their_newest_change_that_has_happened() -> None:
    newest = price_fact(TODAY).as_of
    assert "2026-10-01" <= newest <= TODAY
    assert price_fact("2026-03-20").as_of <= "2026-03-20"


def test_what_is_known_of_others_is_of_providers_with_a_name() -> None:
    assert {"openai", "google", "groq", "mistral", "deepseek"} <= {fact.about for fact in other_facts()}
