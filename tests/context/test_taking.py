"""What a call takes of window, money and limits is what the published rules say."""

from __future__ import annotations

import pytest

from headway.context.counting import Count, facts_of
from headway.context.taking import beyond, cost_of, draws, fit_of, sum_cost
from headway.core.call import Unit, Usage
from headway.core.limit import parse_limits, with_burst
from headway.ledger.price import Prices
from headway.ledger.tariff import Terms, find_tariff

NOW = 1_790_000_000 * 10**9  # autumn 2026
OPUS_4, OPUS_4_8 = facts_of("claude-opus-4"), facts_of("claude-opus-4-8")


def exactly(tokens: int) -> Count:
    return Count(tokens, tokens, tokens, "provider")


def test_an_older_model_needs_room_for_the_whole_reply() -> None:
    assert fit_of(exactly(180_000), 20_000, OPUS_4).verdict == "fits"
    over = fit_of(exactly(180_001), 20_000, OPUS_4)
    assert over.verdict == "does not fit"
    assert "1 tokens too many with max_tokens 20,000" in over.note


def test_a_newer_model_stops_at_the_window() -> None:
    found = fit_of(exactly(990_000), 20_000, OPUS_4_8)
    assert found.verdict == "fits"
    assert "stops at the window, after about 10,000" in found.note
    assert fit_of(exactly(1_000_001), 1, OPUS_4_8).verdict == "does not fit"


def test_a_count_that_is_not_sure_may_fit() -> None:
    assert fit_of(Count(170_000, 150_000, 190_000), 20_000, OPUS_4).verdict == "may fit"
    assert fit_of(Count(190_000, 179_000, 210_000), 20_000, OPUS_4).verdict == "may fit"
    assert fit_of(Count(190_000, 180_001, 210_000), 20_000, OPUS_4).verdict == "does not fit"


def test_more_output_than_the_model_has_never_fits() -> None:
    assert "over the 32,000 that claude-opus-4" in fit_of(exactly(1), 64_000, OPUS_4).note


def test_an_unknown_model_has_no_known_window() -> None:
    assert fit_of(exactly(10**9), 1, None).verdict == "not known"


def test_the_cost_is_that_of_the_price_list_to_the_nanodollar() -> None:
    cost = cost_of(Prices(), "claude-opus-4", Count(1000, 900, 1100), (0, 0), 10, 100, NOW)
    assert cost.input == 1000 * 15_000
    assert cost.expected == 1000 * 15_000 + 10 * 75_000
    assert cost.most == 1100 * 15_000 + 100 * 75_000
    assert cost.read is cost.written is None


def test_what_is_cacheable_costs_more_once_and_less_after() -> None:
    cost = cost_of(Prices(), "claude-opus-4", exactly(1000), (800, 0), 0, 0, NOW)
    assert cost.written == 200 * 15_000 + 800 * 18_750
    assert cost.read == 200 * 15_000 + 800 * 1_500
    assert cost.most == cost.written


def test_a_model_without_a_price_costs_nobody_knows_what() -> None:
    assert cost_of(Prices(), "no-such-model", exactly(1000), (0, 0), 1, 1, NOW).most is None


def test_a_full_context_takes_a_whole_bucket_of_200k_tokens() -> None:
    limits = parse_limits("requests=50/min,tokens=200k/min")
    requests, tokens = draws(limits, "yours", 199_000, 1_000)
    assert (requests.amount, requests.share, requests.refill_s) == (1, 0.02, 1.2)
    assert (tokens.amount, tokens.share, round(tokens.refill_s, 9)) == (200_000, 1.0, 60.0)
    assert tokens.is_whole
    assert "the whole bucket" in beyond(tokens)


def test_more_than_a_bucket_says_how_long_nothing_else_gets_through() -> None:
    (draw,) = draws(parse_limits("input_tokens=30k/min"), "tier-1", 56_919, 0)
    assert draw.share == pytest.approx(1.8973)
    assert "26,919 more than the whole bucket" in beyond(draw)
    assert "114 s" in beyond(draw)


def test_a_burst_that_is_known_is_what_the_bucket_holds() -> None:

    (draw,) = draws(with_burst(parse_limits("input_tokens=60k/min"), "5s"), "", 10_000, 0)
    assert draw.share == 2.0
    assert draw.refill_s == 10.0


def test_only_units_that_a_call_draws_on_are_held_against_it() -> None:
    assert {draw.limit.unit for draw in draws(parse_limits("output_tokens=8k/min"), "", 1, 200)} == {
        Unit.OUTPUT_TOKENS
    }


def test_the_cost_of_many_calls_is_that_of_each_at_the_price_for_its_length() -> None:
    """Haiku 5.5 costs five times as much for prompts of more than 100,000 tokens, on all of the prompt."""
    prices, model = Prices(), "claude-haiku-5-5"
    calls = [(100_000, 10), (100_001, 10), (50, 7), (900_000, 0)]
    one_by_one = [
        prices.cost(model, Usage(input_tokens=taken, output_tokens=given), NOW).nanousd
        for taken, given in calls
    ]
    assert None not in one_by_one
    assert sum_cost(find_tariff(model, NOW, Terms()), calls) == sum(each or 0 for each in one_by_one)
    assert sum_cost(None, calls) is None


def test_a_batch_costs_half() -> None:
    calls = [(1_000, 10)]
    full, half = (
        sum_cost(find_tariff("claude-opus-4", NOW, Terms(batch=each)), calls) for each in (False, True)
    )
    assert full == 1_000 * 15_000 + 10 * 75_000 == 2 * (half or 0)


def test_an_entry_for_an_hour_costs_what_an_hour_costs() -> None:
    cost = cost_of(Prices(), "claude-opus-4", exactly(1000), (800, 300), 0, 0, NOW)
    assert cost.written == 200 * 15_000 + 500 * 18_750 + 300 * 30_000
