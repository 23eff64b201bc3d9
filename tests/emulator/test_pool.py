from __future__ import annotations

from datetime import datetime

import pytest

from headway.emulator.pool import Load, Pool, Refusal
from headway.emulator.profile import parse_profile


def pool(profile: str) -> Pool:
    read = parse_profile(profile)
    return Pool(read, read.limits, 0.0)


def load(
    now: float = 0.0, *, tokens: int = 100, output: int = 0, ceiling: int = 0, lasting_s: float = 0.0
) -> Load:
    return Load(tokens, tokens, ceiling, output, now, now + lasting_s)


def shown(of: Pool, now: float) -> dict[str, str]:
    return {
        name.decode().removeprefix("anthropic-ratelimit-"): value.decode()
        for name, value in of.headers(now, 1_700_000_000.0 + now)
    }


def test_a_burst_of_requests_is_let_in_and_the_next_waits_for_one_refill() -> None:
    full = pool("claude-opus-4/tier-1?burst=6s")  # 50 a minute: 5 at once, then one every 1.2 s
    for _ in range(5):
        assert full.refuse(load(tokens=1), 0.0) is None
        full.charge(load(tokens=1), 0.0)
    assert full.refuse(load(tokens=1), 0.0) == Refusal("requests", 50, 2)
    assert full.refuse(load(tokens=1), 1.19) == Refusal("requests", 50, 1)
    assert full.refuse(load(tokens=1), 1.2) is None


def test_input_may_go_into_debt_and_retry_after_is_what_the_debt_takes() -> None:
    indebted = pool("claude-opus-4/tier-1")  # 500 tokens a second, 2,500 at once
    indebted.charge(load(tokens=252_500), 0.0)
    assert shown(indebted, 0.0)["input-tokens-remaining"] == "0"
    assert indebted.refuse(load(tokens=4), 0.0) == Refusal("input_tokens", 30_000, 501)
    assert indebted.refuse(load(tokens=4), 499.0) is not None
    assert indebted.refuse(load(tokens=4), 501.0) is None


def test_fit_refuses_what_does_not_fit_though_the_level_is_above_zero() -> None:
    strict = pool("claude-opus-4/tier-1?admit=fit")
    strict.charge(load(tokens=2_000), 0.0)
    assert strict.refuse(load(tokens=1_500), 0.0) == Refusal("input_tokens", 30_000, 2)
    assert strict.refuse(load(tokens=500), 0.0) is None


def test_the_estimate_is_charged_at_admission_and_corrected_when_the_reply_starts() -> None:
    corrected = pool("claude-opus-4/tier-1?requests=none&output_tokens=none&input_tokens=60")
    corrected.charge(Load(200.0, 100, 0, 0, 2.0, 2.0), 0.0)
    assert corrected.levels(0.0)["input_tokens"]["level"] == 5.0 - 200.0
    assert corrected.levels(2.0)["input_tokens"]["level"] == 5.0 - 200.0 + 2.0 + 100.0


def test_output_is_charged_while_it_is_produced_and_max_tokens_costs_nothing() -> None:
    produced = pool("any/unlimited?output_tokens=600")  # 10 a second, 50 at once
    produced.charge(load(output=100, ceiling=32_000, lasting_s=5.0), 0.0)
    assert [produced.levels(at)["output_tokens"]["level"] for at in (0.0, 2.0, 5.0, 10.0)] == [
        50.0,
        30.0,
        0.0,
        50.0,
    ]


def test_output_that_is_used_up_refuses_the_next_request_until_there_is_some_again() -> None:
    produced = pool("any/unlimited?output_tokens=600")
    produced.charge(load(output=150, lasting_s=5.0), 0.0)
    assert produced.refuse(load(), 2.0) is None
    assert produced.refuse(load(), 5.0) == Refusal("output_tokens", 600, 6)


def test_reserved_output_is_charged_by_max_tokens_and_corrected_at_the_end() -> None:
    reserved = pool("any/unlimited?output_tokens=600&output=reserved&burst=60s")
    reserved.charge(load(output=50, ceiling=500, lasting_s=10.0), 0.0)
    assert [reserved.levels(at)["output_tokens"]["level"] for at in (0.0, 9.0, 10.0)] == [100.0, 190.0, 600.0]


def test_reserved_output_needs_room_for_max_tokens_where_it_must_fit() -> None:
    reserved = pool("any/unlimited?output_tokens=600&output=reserved&burst=60s&admit=fit")
    reserved.charge(load(output=50, ceiling=500, lasting_s=10.0), 0.0)
    assert reserved.refuse(load(ceiling=200), 0.0) == Refusal("output_tokens", 600, 10)


def test_a_combined_limit_counts_input_and_output() -> None:
    combined = pool("any/unlimited?requests=50&tokens=60k&burst=60s")
    combined.charge(load(tokens=5_000, output=7_000, lasting_s=1.0), 0.0)
    assert combined.levels(1.0)["tokens"]["level"] == pytest.approx(60_000 - 12_000 + 1_000)
    assert shown(combined, 1.0)["tokens-limit"] == "60000"
    assert shown(combined, 1.0)["tokens-remaining"] == "49000"


def test_the_limit_that_binds_longest_is_named() -> None:
    both = pool("claude-opus-4/tier-1")
    both.charge(load(tokens=3_500, output=8_000), 0.0)
    assert both.refuse(load(), 0.0) == Refusal("output_tokens", 8_000, 56)


def test_headers_show_tokens_rounded_to_thousands_and_their_sum() -> None:
    quiet = pool("claude-haiku-4-5/tier-1?remaining=minute")
    quiet.charge(load(tokens=10), 0.0)
    assert shown(quiet, 0.0) == {
        "requests-limit": "50",
        "requests-remaining": "49",
        "requests-reset": "2023-11-14T22:13:21Z",
        "input-tokens-limit": "50000",
        "input-tokens-remaining": "50000",
        "input-tokens-reset": "2023-11-14T22:13:20Z",
        "output-tokens-limit": "10000",
        "output-tokens-remaining": "10000",
        "output-tokens-reset": "2023-11-14T22:13:20Z",
        "tokens-limit": "60000",
        "tokens-remaining": "60000",
        "tokens-reset": "2023-11-14T22:13:20Z",
    }


def test_reset_is_when_the_bucket_is_full_and_not_when_the_next_request_fits() -> None:
    used = pool("claude-opus-4/tier-1")
    used.charge(load(tokens=5_000), 0.0)  # ten seconds of refill
    resets_at = datetime.fromisoformat(shown(used, 0.0)["input-tokens-reset"])
    assert resets_at.timestamp() == 1_700_000_010.0


def test_remaining_can_show_the_burst_instead_of_the_minute() -> None:
    minute, burst = (pool(f"claude-opus-4/tier-4?remaining={which}") for which in ("minute", "burst"))
    for of in (minute, burst):
        of.charge(load(tokens=100_000), 0.0)
    assert shown(minute, 0.0)["input-tokens-remaining"] == "1900000"
    assert shown(burst, 0.0)["input-tokens-remaining"] == "67000"


def test_no_limits_let_everything_in_and_show_nothing() -> None:
    free = pool("any/unlimited")
    for _ in range(100):
        assert free.refuse(load(tokens=10**6), 0.0) is None
        free.charge(load(tokens=10**6), 0.0)
    assert free.headers(0.0, 0.0) == []
