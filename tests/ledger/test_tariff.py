"""Which unit prices hold when, and that the price data agree with the published table."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from genai_prices.data import providers
from genai_prices.types import ModelPrice, StartDateConstraint, TimeOfDateConstraint

from headway.ledger.tariff import Terms, UnitPrices, find_tariff


def ns(year: int, month: int, day: int, hour: int = 12) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 10**9


NOW = ns(2026, 11, 24)

# Dollars per million tokens by hand: input, 5-minute write, 1-hour write, cache read, output.
TABLE = {
    "claude-opus-4": (15, 18.75, 30, 1.50, 75),
    "claude-opus-4-20250514": (15, 18.75, 30, 1.50, 75),
    "claude-opus-4-1": (15, 18.75, 30, 1.50, 75),
    "claude-opus-4-5": (5, 6.25, 10, 0.50, 25),
    "claude-opus-4-6": (5, 6.25, 10, 0.50, 25),
    "claude-opus-4-7": (5, 6.25, 10, 0.50, 25),
    "claude-opus-4-8": (5, 6.25, 10, 0.50, 25),
    "claude-opus-5": (5, 6.25, 10, 0.50, 25),
    "claude-opus-5-5": (4, 5, 8, 0.20, 20),
    "claude-fable-5": (10, 12.50, 20, 1, 50),
    "claude-fable-5-1": (10, 12.50, 20, 0.25, 50),
    "claude-fable-5-2": (8, 10, 16, 0.20, 40),
    "claude-sonnet-4-5": (3, 3.75, 6, 0.30, 15),
    "claude-sonnet-4-6": (3, 3.75, 6, 0.30, 15),
    "claude-sonnet-5": (2, 2.50, 4, 0.20, 10),
    "claude-sonnet-5-5": (2, 2.50, 4, 0.10, 10),
    "claude-haiku-4-5": (1, 1.25, 2, 0.10, 5),
    "claude-haiku-5-5": (0.10, 0.125, 0.20, 0.01, 0.50),
}

BEFORE_4_6 = (
    *("claude-opus-4", "claude-opus-4-20250514", "claude-opus-4-1"),
    *("claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"),
)


def per_mtok(prices: UnitPrices) -> tuple[float, ...]:
    classes = (prices.input, prices.cache_write_5m, prices.cache_write_1h, prices.cache_read, prices.output)
    return tuple(float(Fraction(price or 0) / 10**9) for price in classes)


def short(model: str, at_ns: int = NOW, terms: Terms = Terms()) -> UnitPrices:  # noqa: B008  # frozen, so safe to share
    tariff = find_tariff(model, at_ns, terms)
    assert tariff is not None
    return tariff.steps[-1][2]


def named(model: str, at_ns: int = NOW, terms: Terms = Terms()) -> str:  # noqa: B008  # frozen, so safe to share
    tariff = find_tariff(model, at_ns, terms)
    assert tariff is not None
    return tariff.steps[-1][1]


@pytest.mark.parametrize("model", TABLE)
def test_every_claude_price_is_the_published_one(model: str) -> None:
    assert per_mtok(short(model)) == TABLE[model]


@pytest.mark.parametrize("model", TABLE)
def test_batch_halves_every_kind_of_token_but_not_searches(model: str) -> None:
    half = short(model, terms=Terms(batch=True))
    assert per_mtok(half) == pytest.approx([price / 2 for price in TABLE[model]], rel=1e-12)
    assert half.web_search == short(model).web_search == 10 * 10**9 * 1000


def test_batch_was_half_before_the_data_had_it() -> None:
    assert per_mtok(short("claude-opus-4-5", ns(2026, 3, 1), Terms(batch=True))) == (
        2.5,
        3.125,
        5,
        0.25,
        12.5,
    )


@pytest.mark.parametrize("model", [model for model in TABLE if model not in BEFORE_4_6])
def test_us_inference_costs_a_tenth_more_from_4_6_on(model: str) -> None:
    us = short(model, terms=Terms(geo="us"))
    assert per_mtok(us) == pytest.approx([price * 1.1 for price in TABLE[model]], rel=1e-12)


def test_us_inference_changes_nothing_for_older_models_and_other_makers() -> None:
    for model in (*BEFORE_4_6, "claude-sonnet-4-20250514", "gpt-5"):
        assert short(model, terms=Terms(geo="us")) == short(model)
        assert "geo" not in named(model, terms=Terms(geo="us"))


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("claude-opus-5-5", (8, 40)),
        ("claude-fable-5-2", (16, 80)),
        ("claude-opus-5", (10, 50)),
        ("claude-opus-4-8", (10, 50)),
    ],
)
def test_fast_mode_doubles(model: str, dollars: tuple[float, float]) -> None:
    fast = per_mtok(short(model, terms=Terms(fast=True)))
    assert (fast[0], fast[4]) == dollars
    assert fast == tuple(2 * price for price in TABLE[model])


def test_fast_and_us_multiply() -> None:
    both = per_mtok(short("claude-opus-5-5", terms=Terms(fast=True, geo="us")))
    assert both == pytest.approx((8.8, 11, 17.6, 0.44, 44))


def test_a_priority_tier_of_claude_is_standard_but_one_of_openai_is_not() -> None:
    assert short("claude-opus-4", terms=Terms(tier="priority")) == short("claude-opus-4")
    assert short("gpt-5", terms=Terms(tier="priority")) != short("gpt-5")


def test_haiku_5_5_costs_five_times_as_much_beyond_100k() -> None:
    tariff = find_tariff("claude-haiku-5-5", NOW, Terms())
    assert tariff is not None
    (beyond, name, dear), (_, _, cheap) = tariff.steps
    assert beyond == 100_000
    assert name.endswith(">100k")
    assert per_mtok(dear) == pytest.approx([5 * price for price in per_mtok(cheap)])


def test_prices_have_a_history() -> None:
    old, new = (
        find_tariff("claude-opus-4-6", ns(2026, 3, 12), Terms()),
        find_tariff("claude-opus-4-6", ns(2026, 3, 13), Terms()),
    )
    assert old is not None
    assert new is not None
    assert [beyond for beyond, *_ in old.steps] == [200_000, -1]
    assert [beyond for beyond, *_ in new.steps] == [-1]
    assert new.steps[0][1] == "claude-opus-4-6@2026-03-13 std"


def test_the_end_of_a_beta_ends_its_prices() -> None:
    old, new = (
        find_tariff("claude-sonnet-4-5", ns(2026, 4, 29), Terms()),
        find_tariff("claude-sonnet-4-5", ns(2026, 4, 30), Terms()),
    )
    assert old is not None
    assert new is not None
    assert [beyond for beyond, *_ in old.steps] == [200_000, -1]
    assert new.steps == old.steps[1:]


def test_the_variant_names_what_was_applied() -> None:
    assert named("claude-opus-4") == "claude-opus-4-0 std"
    assert named("claude-opus-5", terms=Terms(batch=True, geo="us")) == "claude-opus-5 std+geo-us+batch"
    assert (
        named("claude-opus-5", terms=Terms(fast=True, tier="priority")) == "claude-opus-5 std+fast+priority"
    )


@pytest.mark.parametrize(
    "spelling",
    [
        "CLAUDE-OPUS-4",
        "claude-opus-4@20250514",
        "anthropic/claude-opus-4",
        "us.anthropic.claude-opus-4-20250514-v1:0",
    ],
)
def test_clouds_and_routers_spell_it_their_way(spelling: str) -> None:
    assert per_mtok(short(spelling)) == TABLE["claude-opus-4"]


def test_a_regional_bedrock_copy_costs_a_tenth_more() -> None:
    assert per_mtok(short("us.anthropic.claude-opus-4-6-v1"))[0] == pytest.approx(5.5)


@pytest.mark.parametrize("model", ["", "claude-opus-9", "nothing", "a/b/c", "\0", "😀", "x" * 100_000])
def test_an_unknown_model_has_no_price(model: str) -> None:
    assert find_tariff(model, NOW, Terms()) is None


@pytest.mark.parametrize("at_ns", [-(2**63), -1, 0, 2**63, 10**30])
def test_a_broken_clock_still_finds_a_price(at_ns: int) -> None:
    assert find_tariff("claude-opus-4", at_ns, Terms()) is not None


def test_no_price_of_the_data_changes_off_a_quarter_of_an_hour() -> None:
    for model in (model for provider in providers for model in provider.models):
        for dated in () if isinstance(model.prices, ModelPrice) else model.prices:
            if isinstance(dated.constraint, TimeOfDateConstraint):
                for edge in (dated.constraint.start_time, dated.constraint.end_time):
                    assert (edge.minute % 15, edge.second, edge.microsecond) == (0, 0, 0)
            else:
                assert dated.constraint is None or isinstance(dated.constraint, StartDateConstraint)


def test_the_data_agree_with_our_multipliers_for_every_claude_model() -> None:
    """If this fails after an upgrade of genai-prices, a published multiplier has changed: read its page."""
    (anthropic,) = (provider for provider in providers if provider.id == "anthropic")
    for model in anthropic.models:
        plain = find_tariff(model.id, NOW, Terms())
        batch = find_tariff(model.id, NOW, Terms(batch=True))
        if plain is None or batch is None or model.id == "claude-3-haiku":  # see the docstring of the module
            continue
        for (_, _, standard), (_, _, half) in zip(plain.steps, batch.steps, strict=True):
            fresh = Fraction(standard.input or 0)
            assert standard.cache_write_5m == fresh * Fraction(5, 4), model.id
            assert standard.cache_write_1h == fresh * 2, model.id
            assert half.input == fresh / 2, model.id
            assert half.output == Fraction(standard.output or 0) / 2, model.id
