"""The provider of a replay keeps limits as the emulator does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from headway.core.call import Unit
from headway.core.limit import Limit
from headway.emulator.bucket import Bucket
from headway.emulator.rules import Admit
from headway.planner.replay_world import BURST_S, Pool, Tank
from planner.test_replay_source import asked

LIMITS = (
    Limit(Unit.REQUESTS, 60.0, burst=2.0),
    Limit(Unit.INPUT_TOKENS, 6000.0),
    Limit(Unit.OUTPUT_TOKENS, 600.0),
)


def test_requests_have_to_fit_and_refusals_say_when_they_would() -> None:
    pool = Pool(LIMITS, 0.0)
    for _ in range(2):
        assert pool.refuse(0.0) is None
        pool.charge(asked(0.0), 10, 0.0)
    assert pool.refuse(0.5) == (Unit.REQUESTS, 1)
    assert pool.refuse(1.1) is None
    assert pool.refused[Unit.REQUESTS] == 1


def test_a_bucket_of_unknown_size_holds_five_seconds_of_refill() -> None:
    pool = Pool(LIMITS, 0.0)
    pool.charge(asked(0.0), round(6000.0 / 60.0 * BURST_S) + 100, 0.0)
    assert pool.refuse(0.0) == (Unit.INPUT_TOKENS, 2)
    assert pool.refuse(1.5) is None


def test_output_is_counted_while_it_is_produced() -> None:
    pool = Pool((Limit(Unit.OUTPUT_TOKENS, 600.0, burst=50.0),), 0.0)
    call = structs.replace(asked(0.0), output=1000, first_s=10.0, total_s=20.0)
    pool.charge(call, 0, 0.0)
    assert pool.refuse(9.9) is None
    refused = pool.refuse(20.0)
    assert refused is not None
    assert refused[0] is Unit.OUTPUT_TOKENS
    assert refused[1] == pytest.approx((1000 - 100 - 50) / 10.0, abs=1.0)


def test_headers_tell_tokens_to_the_nearest_thousand_and_every_five_seconds() -> None:
    pool = Pool(
        (Limit(Unit.REQUESTS, 60.0, burst=5.0), Limit(Unit.INPUT_TOKENS, 60_000.0, burst=5600.0)), 0.0
    )
    pool.charge(asked(0.0), 100, 0.0)
    requests, tokens = pool.readings(0.0)
    assert (requests.remaining, tokens.remaining, tokens.rounding) == (4.0, 6000.0, 500.0)
    assert pool.readings(4.9) == ()
    assert len(pool.readings(5.0)) == 2


def test_use_is_told_in_all_and_for_the_fullest_minute() -> None:
    pool = Pool((Limit(Unit.INPUT_TOKENS, 6000.0),), 0.0)
    pool.charge(asked(0.0), 3000, 10.0)
    pool.charge(asked(0.0), 3000, 50.0)
    pool.charge(asked(0.0), 1500, 70.0)
    used = pool.used(300.0)[Unit.INPUT_TOKENS]
    assert used.mean == pytest.approx(7500 / 30_000)
    assert used.fullest_minute == pytest.approx(1.0)


@given(
    st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 500.0)), max_size=30),
    st.floats(1.0, 1000.0),
    st.floats(0.1, 100.0),
)
def test_a_tank_is_a_bucket_that_is_charged_at_once(
    steps: list[tuple[float, float]], capacity: float, rate: float
) -> None:
    tank, bucket, now = Tank(capacity, rate, 0.0), Bucket(capacity, rate, 0.0), 0.0
    for gap, amount in steps:
        now += gap
        tank.level(now)
        tank.take(amount)
        bucket.charge(amount, now)
        assert tank.level(now) == pytest.approx(bucket.level(now), abs=1e-6)
        assert tank.wait_s(1e-6, now) == pytest.approx(bucket.wait_s(0.0, Admit.DEBT, now), abs=1e-4)
