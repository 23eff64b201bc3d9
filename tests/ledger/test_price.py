"""What an attempt costs, to the nanodollar."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Usage
from headway.ledger.price import Prices
from headway.ledger.tariff import Terms, find_tariff

AT = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()) * 10**9
PRICES = Prices()
tokens = st.integers(0, 2_000_000)


def test_a_long_cached_opus_4_call_by_hand() -> None:
    used = Usage(
        input_tokens=1_000, cache_read_tokens=150_000, cache_write_5m_tokens=50_000, output_tokens=1_000
    )  # 0.015 + 0.225 + 0.9375 + 0.075 dollars
    assert PRICES.cost("claude-opus-4", used, AT).nanousd == 1_252_500_000


def test_one_hour_writes_and_searches_by_hand() -> None:
    used = Usage(
        input_tokens=1_000,
        cache_read_tokens=150_000,
        cache_write_5m_tokens=20_000,
        cache_write_1h_tokens=30_000,
        output_tokens=1_000,
        web_searches=3,
    )  # 0.015 + 0.225 + 0.375 + 0.9 + 0.075 + 0.03
    assert PRICES.cost("claude-opus-4", used, AT).nanousd == 1_620_000_000


def test_batch_leaves_searches_at_full_price() -> None:
    used = Usage(input_tokens=1_000_000, output_tokens=1_000_000, web_searches=1_000)
    assert PRICES.cost("claude-opus-4", used, AT, batch=True).nanousd == (45 + 10) * 10**9
    assert PRICES.cost("claude-opus-4", Usage(output_tokens=2, service_tier="batch"), AT).nanousd == 75_000


def test_the_prompt_and_not_the_output_decides_the_tier_and_all_of_it_counts() -> None:
    at_the_edge = Usage(input_tokens=40_000, cache_read_tokens=60_000, output_tokens=900_000)
    beyond = Usage(
        input_tokens=40_000, cache_read_tokens=60_000, cache_write_1h_tokens=1, output_tokens=900_000
    )
    assert PRICES.cost("claude-haiku-5-5", at_the_edge, AT).nanousd == 4_000_000 + 600_000 + 450_000_000
    assert PRICES.cost("claude-haiku-5-5", beyond, AT).nanousd == 5 * (
        4_000_000 + 600_000 + 200 + 450_000_000
    )


def test_iterations_are_added_at_the_price_of_their_own_model() -> None:
    used = Usage(
        input_tokens=1_000,
        model="claude-opus-4",
        parts=(Usage(output_tokens=100, model="claude-haiku-4-5"), Usage(output_tokens=100)),
    )
    cost = PRICES.cost("claude-opus-4", used, AT)
    assert cost.nanousd == 15_000_000 + 500_000 + 7_500_000
    assert cost.variant == "claude-opus-4-0 std; claude-haiku-4-5 std; claude-opus-4-0 std"


def test_the_attempt_is_rounded_once_and_not_part_by_part() -> None:
    part = Usage(
        cache_read_tokens=5, model="claude-haiku-5-5", geo="us", service_tier="batch"
    )  # 27.5 nanodollars
    assert PRICES.cost("claude-haiku-5-5", part, AT).nanousd == 28  # half to even
    both = Usage(model="claude-haiku-5-5", parts=(part, part))
    assert PRICES.cost("claude-haiku-5-5", both, AT).nanousd == 55


def test_halves_go_to_the_even_neighbour() -> None:
    def read(count: int) -> int | None:
        used = Usage(cache_read_tokens=count, geo="us", service_tier="batch")
        return PRICES.cost("claude-haiku-5-5", used, AT).nanousd

    assert [read(1), read(3), read(5), read(15)] == [6, 16, 28, 82]  # 5.5, 16.5, 27.5, 82.5


def test_a_model_without_a_price_costs_none_and_never_nothing() -> None:
    cost = PRICES.cost("claude-opus-9", Usage(output_tokens=1), AT)
    assert (cost.nanousd, cost.variant) == (None, "no price for claude-opus-9")
    assert PRICES.estimate("claude-opus-9", 1, 1, AT) is None
    assert PRICES.unit("claude-opus-9", AT) is None
    part = Usage(input_tokens=1, parts=(Usage(output_tokens=1, model="claude-opus-9"),))
    assert PRICES.cost("claude-opus-4", part, AT).nanousd is None


def test_the_model_that_answered_is_priced_and_the_one_asked_where_its_name_says_nothing() -> None:
    assert (
        PRICES.cost("claude-opus-4", Usage(output_tokens=10, model="claude-haiku-4-5"), AT).nanousd == 50_000
    )
    assert (
        PRICES.cost("claude-opus-4", Usage(output_tokens=10, model="our-deployment"), AT).nanousd == 750_000
    )


def test_a_kind_of_use_without_a_price_makes_the_whole_unknown() -> None:
    assert PRICES.cost("text-embedding-3-small", Usage(output_tokens=1), AT).nanousd is None


def test_the_price_of_the_day_is_taken() -> None:
    used = Usage(input_tokens=300_000)
    before = int(datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC).timestamp()) * 10**9
    assert PRICES.cost("claude-opus-4-6", used, before).nanousd == 3_000_000_000
    assert PRICES.cost("claude-opus-4-6", used, before + 10**9).nanousd == 1_500_000_000


def test_estimate_and_unit_prices_fit_each_other() -> None:
    unit = PRICES.unit("claude-opus-4", AT)
    assert unit is not None
    assert unit.input is not None
    assert unit.output is not None
    assert PRICES.estimate("claude-opus-4", 1000, 100, AT) == round(
        (1000 * unit.input + 100 * unit.output) / 10**6
    )


@given(fresh=tokens, read=tokens, write=tokens, hour=tokens, output=tokens)
def test_it_is_the_price_that_genai_prices_gives(
    fresh: int, read: int, write: int, hour: int, output: int
) -> None:
    used = Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_5m_tokens=write,
        cache_write_1h_tokens=hour,
        output_tokens=output,
    )
    theirs = TheirUsage(
        input_tokens=fresh + read + write + hour,
        cache_read_tokens=read,
        cache_write_tokens=write + hour,
        cache_write_1h_tokens=hour,
        output_tokens=output,
    )
    for model in ("claude-opus-4", "claude-haiku-5-5", "claude-fable-5-1"):
        at = datetime.fromtimestamp(AT / 10**9, UTC)
        exact = calc_price(theirs, model, genai_request_timestamp=at).total_price * Decimal(10**9)
        ours = PRICES.cost(model, used, AT).nanousd
        assert ours is not None
        assert abs(ours - exact) <= Decimal("0.5")


@given(
    count=st.integers(0, 10**40),
    batch=st.booleans(),
    geo=st.sampled_from(["", "us", "global"]),
    model=st.sampled_from(["claude-opus-5-5", "claude-haiku-5-5"]),
)
def test_rounding_is_exact_at_any_size(count: int, batch: bool, geo: str, model: str) -> None:
    tariff = find_tariff(model, AT, Terms(batch=batch, geo=geo))
    assert tariff is not None
    price = tariff.steps[-1][2].output  # no prompt: the shortest
    assert price is not None
    cost = PRICES.cost(model, Usage(output_tokens=count, geo=geo), AT, batch=batch)
    assert cost.nanousd == round(Fraction(count) * price / 10**6)


def test_names_from_outside_cannot_fill_the_memory() -> None:
    prices = Prices()
    for number in range(5_000):
        prices.cost(f"model-{number}", Usage(output_tokens=1), AT)
    assert len(prices._kept) <= 4096
    assert prices.cost("claude-opus-4", Usage(output_tokens=1), AT).nanousd == 75_000


@pytest.mark.parametrize("odd", [Usage(input_tokens=-5), Usage(geo="\0", speed="??", service_tier="x" * 999)])
def test_odd_usage_raises_nothing(odd: Usage) -> None:
    assert PRICES.cost("claude-opus-4", odd, AT).variant.startswith("claude-opus-4-0 std")
