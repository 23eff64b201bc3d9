"""Prices are those the ledger goes by, in whole nanodollars; of other providers nothing is made up."""

from __future__ import annotations

from headway.catalog.prices import claude_prices, offers, providers
from headway.core.call import Usage
from headway.ledger.price import Prices as Ledger
from headway.providers.catalog import Catalog

NOW = 1_795_500_000 * 10**9  # 2026-11-24


def test_claude_opus_4_costs_15_and_75_dollars() -> None:
    (prices,) = claude_prices("claude-opus-4-0", 200_000, NOW)
    assert (prices.input, prices.output) == (15 * 10**9, 75 * 10**9)
    assert (prices.cache_write_5m, prices.cache_write_1h) == (18_750_000_000, 30 * 10**9)
    assert prices.cache_read == 1_500_000_000
    assert (prices.batch_input, prices.batch_output) == (7_500_000_000, 37_500_000_000)


def test_every_price_is_what_the_ledger_would_charge() -> None:
    ledger = Ledger()
    for facts in Catalog.load().models:
        for step in claude_prices(facts.id, facts.context_tokens, NOW):
            tokens = max(step.beyond + 1, 1_000)
            cost = ledger.cost(facts.id, Usage(input_tokens=tokens), NOW).nanousd
            assert step.input is not None
            assert cost == round(tokens * step.input / 1_000_000), facts.id
            halved = ledger.cost(facts.id, Usage(input_tokens=tokens), NOW, batch=True).nanousd
            assert step.batch_input is not None
            assert halved == round(tokens * step.batch_input / 1_000_000), facts.id


def test_a_model_that_is_dearer_for_long_prompts_has_both_prices() -> None:
    short, long = claude_prices("claude-haiku-5-5", 1_000_000, NOW)
    assert (short.beyond, long.beyond) == (-1, 100_000)
    assert (short.input, long.input) == (100_000_000, 500_000_000)


def test_prices_of_prompts_beyond_the_window_are_left_out() -> None:
    assert len(claude_prices("claude-sonnet-4-5", 200_000, NOW)) == 1


def test_a_model_without_a_price_has_none() -> None:
    assert claude_prices("claude-of-tomorrow-9", 200_000, NOW) == ()


def test_prices_are_those_of_the_day() -> None:
    march_1 = 1_772_323_200 * 10**9
    assert claude_prices("claude-opus-4-6", 1_000_000, march_1) != claude_prices(
        "claude-opus-4-6", 1_000_000, NOW
    )


def test_other_providers_have_what_is_published_and_nothing_of_ours() -> None:
    found = {offer.model: offer for offer in offers(NOW, "openai")}
    prices = found["gpt-5"].prices
    assert prices is not None
    assert (prices.input, prices.cache_read, prices.output) == (1_250_000_000, 125_000_000, 10_000_000_000)
    assert prices.cache_write_5m is prices.cache_write_1h is None
    assert prices.batch_input == 625_000_000
    assert found["gpt-5"].context_tokens == 400_000
    unbatched = found["gpt-5-image"].prices
    assert unbatched is not None
    assert unbatched.batch_input is None


def test_all_providers_but_anthropic_are_offered() -> None:
    assert {offer.provider for offer in offers(NOW)} == set(providers()) - {"anthropic"}
