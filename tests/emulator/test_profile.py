from __future__ import annotations

import math

import pytest

from headway.emulator.profile import SETTINGS, Profile, parse_profile
from headway.emulator.rules import Admit, Output, Remaining
from headway.emulator.script import Mishap
from headway.emulator.settings import SpendCap
from headway.emulator.tiers import MODELS, TIERS, Limits, find_model
from headway.errors import ConfigError


def test_a_class_and_a_tier_give_the_published_limits() -> None:
    profile = parse_profile("claude-opus-4/tier-1")
    assert (profile.limits.requests, profile.limits.input_tokens, profile.limits.output_tokens) == (
        50,
        30_000,
        8_000,
    )
    assert (profile.burst_s, profile.admit, profile.output) == (5.0, Admit.DEBT, Output.PRODUCED)


def test_every_setting_can_be_written() -> None:
    profile = parse_profile(
        "claude-opus-4/tier-4?burst=500ms&admit=fit&output=reserved&remaining=burst&requests=1200&input_tokens=600k"
        "&output_tokens=240k&tokens=1.5M&ttft=2m&speed=60&output_mean=160&spend_cap=20&stall_s=never&seed=7&key=secret"
    )
    assert profile.limits == Limits(1_200, 600_000, 240_000, 1_500_000, 8_000)
    assert (profile.burst_s, profile.ttft_s, profile.stall_s) == (0.5, 120.0, math.inf)
    assert (profile.admit, profile.output, profile.remaining) == (Admit.FIT, Output.RESERVED, Remaining.BURST)
    assert profile.spend_cap == SpendCap(20.0, "usd")
    assert "secret" not in repr(profile)


def test_every_setting_names_a_field_of_the_profile() -> None:
    assert {known.field for known in SETTINGS} <= set(Profile.__dataclass_fields__)


def test_a_limit_can_be_lifted() -> None:
    assert parse_profile("claude-opus-4/tier-1?input_tokens=none").limits.input_tokens is None


def test_a_model_id_names_its_class_and_no_tier_means_no_limits() -> None:
    profile = parse_profile("claude-opus-4-5-20251101")
    assert (profile.model_class, profile.limits) == ("claude-opus-4", Limits())


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("claude-opus-4/tier-1?brust=5s", "'burst'"),
        ("claude-opus-4/tier-1?input_token=5k", "'input_tokens'"),
        ("claude-opus-4/tier1", "'tier-1'"),
        ("claude-opsu-4/tier-1", "'claude-opus-4'"),
        ("claude-opus-5-5/build", "Known: unlimited, start, scale"),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest_known_one(text: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profile(text)
    assert nearest in caught.value.hint


@pytest.mark.parametrize(
    "setting",
    [
        "overloaded=2",
        "burst=soon",
        "admit=maybe",
        "speed=0",
        "seed=x",
        "spend_cap=5eur",
        "requests=-1",
        "requests=0",
        "ttft=5kg",
        "burst=never",
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_what_is_wanted(setting: str) -> None:
    with pytest.raises(ConfigError, match="is not"):
        parse_profile(f"claude-opus-4/tier-1?{setting}")


def test_time_scale_makes_everything_faster_and_leaves_amounts_as_they_are() -> None:
    slow, fast = parse_profile("claude-opus-4/tier-1"), parse_profile("claude-opus-4/tier-1?time_scale=60")
    assert fast.limits.input_tokens == 30_000 * 60
    assert fast.ttft_s == slow.ttft_s / 60
    assert fast.speed == slow.speed * 60
    assert fast.minute_s == 1.0
    bursts = [profile.burst_s * (profile.limits.input_tokens or 0) for profile in (slow, fast)]
    assert bursts[0] == pytest.approx(bursts[1])


def test_other_classes_get_the_limits_of_the_same_tier_and_overrides_stay_with_the_named_class() -> None:
    profile = parse_profile("claude-opus-4/tier-1?input_tokens=1k")
    assert profile.limits_of("claude-opus-4").input_tokens == 1_000
    assert profile.limits_of("claude-haiku-4-5").input_tokens == 50_000
    scaled = parse_profile("claude-opus-4/tier-1?time_scale=2")
    assert scaled.limits_of("claude-haiku-4-5").input_tokens == 100_000


def test_any_gives_every_class_the_same_limits() -> None:
    profile = parse_profile("any/tier-1?tokens=200k")
    assert profile.limits_of("claude-haiku-4-5") == profile.limits_of("claude-opus-4") == profile.limits


def test_models_are_found_by_id_and_alias_and_every_class_has_tiers() -> None:
    assert find_model("claude-opus-4-0") is find_model("claude-opus-4-20250514")
    assert find_model("gpt-4") is None
    assert {model.pool for model in MODELS} <= set(TIERS)


def test_mishaps_cannot_come_more_often_than_always() -> None:
    with pytest.raises(ConfigError, match="more than 1"):
        parse_profile("any?overloaded=0.6&cut=0.6")


def test_every_mishap_has_a_share_in_the_profile() -> None:
    assert all(parse_profile(f"any?{mishap.value}=1") for mishap in Mishap)
