"""The catalog knows models in every spelling, published tiers, and what a request can never do."""

import re
from datetime import date
from difflib import get_close_matches

import pytest

from headway.core.call import Estimate
from headway.errors import ConfigError
from headway.providers.catalog import Catalog, TierLimits, oversize

CATALOG = Catalog.load()
OPUS_4 = CATALOG.model("claude-opus-4-20250514")


@pytest.mark.parametrize(
    "spelling",
    [
        "claude-opus-4-20250514",
        "claude-opus-4-0",
        "claude-opus-4",
        "claude-opus-4-latest",
        "claude-4-opus-20250514",
        "claude-opus-4@20250514",
        "anthropic/claude-opus-4",
        "us.anthropic.claude-opus-4-20250514-v1:0",
        "Claude-Opus-4.0",
    ],
)
def test_claude_opus_4_is_known_in_every_spelling(spelling: str) -> None:
    facts = CATALOG.model(spelling)
    assert facts is not None
    assert (facts.id, facts.pool) == ("claude-opus-4-0", "anthropic/opus-4")
    assert (facts.context_tokens, facts.max_output_tokens, facts.min_cacheable_tokens) == (
        200_000,
        32_000,
        1_024,
    )


@pytest.mark.parametrize(
    ("spelling", "generation", "pool"),
    [
        ("claude-opus-4-1-20250805", "4.1", "opus-4"),
        ("claude-opus-4-5", "4.5", "opus-4"),
        ("claude-opus-4-8[1m]", "4.8", "opus-4"),
        ("claude-sonnet-4-20250514", "4", "sonnet-4"),
        ("claude-sonnet-4.6", "4.6", "sonnet-4"),
        ("claude-opus-5", "5", "opus-5"),
        ("claude-opus-5-5", "5.5", "opus-5.5"),
        ("claude-haiku-4-5-20251001", "4.5", "haiku-4.5"),
        ("claude-3-5-haiku-latest", "3.5", "haiku-3.5"),
        ("claude-3-opus-20240229", "3", "opus-3"),
        ("claude-fable-5-1", "5.1", "fable-5"),
    ],
)
def test_versions_of_a_class_share_its_pool(spelling: str, generation: str, pool: str) -> None:
    facts = CATALOG.model(spelling)
    assert facts is not None
    assert (facts.generation, facts.pool) == (generation, f"anthropic/{pool}")


@pytest.mark.parametrize(
    "name",
    ["", "claude-opus-6", "claude-opus-41", "claude-opus-4-123", "gpt-5", "claude", "claude-sonet-4-5"],
)
def test_a_model_that_is_not_known_is_not_guessed(name: str) -> None:
    assert CATALOG.model(name) is None


def test_every_model_is_found_by_its_own_id_and_has_sensible_facts() -> None:
    for facts in CATALOG.models:
        assert CATALOG.model(facts.id) is facts
        assert 512 <= facts.min_cacheable_tokens <= facts.max_output_tokens <= facts.context_tokens
        assert facts.tokenizer in ("3", "4.7")
        assert facts.status in ("active", "deprecated", "retired")
        assert bool(facts.retires) == (facts.status != "active")
        assert not facts.retires or date.fromisoformat(facts.retires)


def test_the_nearest_model_is_suggested() -> None:
    assert CATALOG.nearest_model("claude-sonet-4-5") == "claude-sonnet-4-5"
    assert CATALOG.nearest_model("zzz") is None


def test_cache_reads_are_free_of_the_input_limit_but_on_the_marked_models() -> None:
    assert CATALOG.prefix_cache_free("claude-opus-4-20250514")
    assert not CATALOG.prefix_cache_free("claude-3-5-haiku-20241022")
    assert not CATALOG.prefix_cache_free("claude-of-tomorrow")


@pytest.mark.parametrize("name", ["tier-1", "Tier 1", "TIER_1", "1", "tier1"])
def test_tier_1_of_opus_4_in_every_spelling(name: str) -> None:
    limits = CATALOG.tier("anthropic/opus-4", name)
    assert limits is not None
    assert (limits.requests, limits.input_tokens, limits.output_tokens) == (50, 30_000, 8_000)


def test_published_tiers_grow_and_have_a_source() -> None:
    for names in (("tier-1", "tier-2", "tier-3", "tier-4"), ("start", "build", "scale")):
        steps = [CATALOG.tier("anthropic/opus-4", name) for name in names]
        assert all(isinstance(step, TierLimits) and re.match(r"https://", step.source) for step in steps)
        amounts = [step.input_tokens or 0 for step in steps if step]
        assert amounts == sorted(set(amounts))


def test_pools_without_token_limits_and_pools_without_figures() -> None:
    counting = CATALOG.tier("anthropic/count_tokens", "tier-2")
    assert counting is not None
    assert (counting.requests, counting.input_tokens, counting.output_tokens) == (2_000, None, None)
    assert CATALOG.tier("anthropic/haiku-5.5", "start") is None


def test_a_wrong_tier_names_the_nearest_and_all_that_are_known() -> None:
    with pytest.raises(ConfigError, match="unknown tier 'scael'") as caught:
        CATALOG.tier("anthropic/opus-4", "scael")
    assert "Did you mean scale?" in caught.value.hint
    assert all(name in caught.value.hint for name in CATALOG.tiers)
    assert get_close_matches("scael", CATALOG.tiers, n=1) == ["scale"]


def test_max_tokens_beyond_the_model_is_refused_with_the_excess() -> None:
    assert OPUS_4 is not None
    assert oversize(OPUS_4, Estimate(10, 32_000)) is None
    reason = oversize(OPUS_4, Estimate(10, 40_000))
    assert reason is not None
    assert (reason.what, reason.tokens, reason.most, reason.excess) == ("max_tokens", 40_000, 32_000, 8_000)
    assert reason.text == "max_tokens 40,000 is 8,000 over the 32,000 that claude-opus-4-0 can put out"


def test_a_prompt_is_refused_only_when_it_is_surely_too_long() -> None:
    assert OPUS_4 is not None
    assert oversize(OPUS_4, Estimate(220_000, 1, error=0.08)) is None
    reason = oversize(OPUS_4, Estimate(280_000, 1, error=0.08))
    assert reason is not None
    assert (reason.what, reason.tokens, reason.most, reason.excess) == ("prompt", 280_000, 200_000, 80_000)
    assert reason.text == (
        "prompt of about 280,000 tokens is 80,000 over the 200,000 token window of claude-opus-4-0"
    )


def test_prompt_and_output_together_count_only_where_the_model_does_not_stop_at_the_window() -> None:
    newer = CATALOG.model("claude-opus-4-5")
    assert OPUS_4 is not None
    assert newer is not None
    together = Estimate(190_000, 32_000, error=0.0)
    reason = oversize(OPUS_4, together)
    assert reason is not None
    assert (reason.what, reason.tokens, reason.excess) == ("prompt and max_tokens", 222_000, 22_000)
    assert reason.text == (
        "prompt of about 190,000 tokens and max_tokens 32,000 are together 22,000 over the 200,000 token window of "
        "claude-opus-4-0"
    )
    assert oversize(newer, together) is None
