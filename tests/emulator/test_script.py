from __future__ import annotations

from collections import Counter
from statistics import mean

from headway.emulator.profile import parse_profile
from headway.emulator.script import Chance, Mishap, Script, draw_mishap, write_script


def scripts(profile: str, number: int = 4_000, ceiling: int = 100_000) -> list[Script]:
    read = parse_profile(profile)
    return [write_script(read, b"%d" % place, ceiling, "max_tokens", None, None) for place in range(number)]


def test_the_same_seed_and_body_give_the_same_script_and_another_seed_another() -> None:
    one, two, other = scripts("any?seed=1", 9), scripts("any?seed=1", 9), scripts("any?seed=2", 9)
    assert one == two
    assert one != other


def test_output_has_the_mean_it_was_told() -> None:
    drawn = scripts("any?output_mean=160&output_sigma=0.5")
    assert 155 < mean(script.output_tokens for script in drawn) < 165


def test_output_can_be_a_share_of_max_tokens() -> None:
    drawn = scripts("any?output_share=0.05", ceiling=8_000)
    assert 390 < mean(script.output_tokens for script in drawn) < 410


def test_output_never_exceeds_the_ceiling_and_says_why_it_stopped() -> None:
    drawn = scripts("any?output_mean=160", ceiling=100)
    assert max(script.output_tokens for script in drawn) == 100
    reasons = {(script.output_tokens == 100, script.stop_reason) for script in drawn}
    assert reasons == {(True, "max_tokens"), (False, "end_turn")}


def test_the_speed_stays_within_a_fifth_and_the_estimate_within_its_error() -> None:
    drawn = scripts("any?speed=50&input_error=0.1")
    assert 40.0 <= min(script.speed for script in drawn) < 42.0
    assert 58.0 < max(script.speed for script in drawn) <= 60.0
    assert max(abs(script.estimate_error) for script in drawn) <= 0.1


def test_a_broken_reply_produces_only_a_part_and_a_stalled_one_all() -> None:
    profile = parse_profile("any")
    broken = write_script(profile, b"x", 1_000, "max_tokens", 500, Mishap.CUT)
    stalled = write_script(profile, b"x", 1_000, "max_tokens", 500, Mishap.STALL)
    assert 100 <= broken.output_tokens <= 400
    assert stalled.output_tokens == 500


def test_mishaps_come_as_often_as_told_and_a_retry_draws_anew() -> None:
    profile = parse_profile("any?overloaded=0.1&cut=0.05&stream_error=0.05")
    drawn = Counter(draw_mishap(profile, b"same body", attempt, stream=True) for attempt in range(10_000))
    assert 900 < drawn[Mishap.OVERLOADED] < 1_100
    assert 430 < drawn[Mishap.CUT] < 570
    assert 430 < drawn[Mishap.STREAM_ERROR] < 570
    assert drawn[Mishap.RESET] == 0


def test_what_only_a_stream_can_suffer_does_not_befall_a_whole_reply() -> None:
    profile = parse_profile("any?short=0.5&stream_error=0.5")
    assert {draw_mishap(profile, b"%d" % place, 1, stream=False) for place in range(100)} == {None}


def test_draws_are_even_between_0_and_1() -> None:
    draws = [Chance(b"%d" % place).draw() for place in range(4_000)]
    assert 0.48 < mean(draws) < 0.52
    assert min(draws) > 0.0
    assert max(draws) < 1.0
