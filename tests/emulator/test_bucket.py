from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.emulator.bucket import Bucket
from headway.emulator.rules import Admit

amounts = st.floats(0.0, 1_000.0)
times = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=30).map(sorted)


def test_it_starts_full_and_refills_to_its_capacity_only() -> None:
    bucket = Bucket(10.0, 2.0, 0.0)
    bucket.charge(8.0, 0.0)
    assert bucket.level(0.0) == 2.0
    assert bucket.level(3.0) == 8.0
    assert bucket.level(60.0) == 10.0


def test_it_goes_into_debt_and_says_how_long_that_lasts() -> None:
    bucket = Bucket(10.0, 2.0, 0.0)
    bucket.charge(30.0, 0.0)
    assert bucket.level(0.0) == -20.0
    assert bucket.wait_s(0.0, Admit.DEBT, 0.0) == pytest.approx(10.0)


def test_fit_waits_for_the_whole_need_and_debt_only_for_any_level() -> None:
    bucket = Bucket(10.0, 2.0, 0.0)
    bucket.charge(9.0, 0.0)
    assert bucket.wait_s(5.0, Admit.FIT, 0.0) == pytest.approx(2.0)
    assert bucket.wait_s(5.0, Admit.DEBT, 0.0) == 0.0


def test_a_need_beyond_the_capacity_is_let_in_when_full_instead_of_never() -> None:
    bucket = Bucket(10.0, 2.0, 0.0)
    assert bucket.wait_s(1_000.0, Admit.FIT, 0.0) == 0.0
    bucket.charge(10.0, 0.0)
    assert bucket.wait_s(1_000.0, Admit.FIT, 0.0) == pytest.approx(5.0)


def test_what_is_drained_is_taken_evenly_between_start_and_end() -> None:
    bucket = Bucket(100.0, 0.0, 0.0)
    bucket.drain(40.0, 10.0, 20.0)
    assert [bucket.level(at) for at in (9.0, 15.0, 20.0, 99.0)] == [100.0, 80.0, 60.0, 60.0]


def test_a_drain_below_the_refill_leaves_a_full_bucket_full() -> None:
    bucket = Bucket(10.0, 2.0, 0.0)
    bucket.drain(10.0, 0.0, 10.0)
    assert bucket.level(5.0) == 10.0


@given(times, st.data())
def test_without_refill_the_level_is_the_capacity_less_everything_taken(
    moments: list[float], data: st.DataObject
) -> None:
    bucket, taken = Bucket(1_000.0, 0.0, 0.0), 0.0
    for at in moments:
        amount, lasting = data.draw(amounts), data.draw(st.floats(0.0, 20.0))
        bucket.level(at)
        bucket.drain(amount, at, at + lasting)
        taken += amount
    assert bucket.level(200.0) == pytest.approx(1_000.0 - taken, abs=1e-6)


@given(times, st.floats(0.1, 50.0), st.floats(1.0, 500.0), st.sampled_from(Admit), st.data())
def test_what_is_let_in_never_exceeds_capacity_and_refill_by_more_than_one_request(
    moments: list[float], rate: float, capacity: float, admit: Admit, data: st.DataObject
) -> None:
    bucket, let_in, largest = Bucket(capacity, rate, 0.0), 0.0, 0.0
    for at in moments:
        need = data.draw(amounts)
        if bucket.wait_s(need, admit, at) == 0.0:
            bucket.charge(need, at)
            let_in, largest = let_in + need, max(largest, need)
            assert let_in - largest <= capacity + rate * at + 1e-3
            if admit is Admit.FIT and largest <= capacity:
                assert let_in <= capacity + rate * at + 1e-3


@given(amounts, amounts, st.floats(0.1, 50.0), st.sampled_from(Admit))
def test_the_wait_it_names_is_enough_and_half_of_it_is_not(
    taken: float, need: float, rate: float, admit: Admit
) -> None:
    bucket = Bucket(100.0, rate, 0.0)
    bucket.charge(taken, 0.0)
    wait_s = bucket.wait_s(need, admit, 0.0)
    if wait_s > 1e-3:
        assert bucket.wait_s(need, admit, wait_s / 2) > 0.0
        assert bucket.wait_s(need, admit, wait_s * (1 + 1e-6) + 1e-6) == 0.0


@given(times, st.data())
def test_looking_at_a_level_does_not_change_it(moments: list[float], data: st.DataObject) -> None:
    watched, left_alone = Bucket(50.0, 1.5, 0.0), Bucket(50.0, 1.5, 0.0)
    for at, following in pairwise([*moments, 200.0]):
        watched.level(at)
        amount, lasting = data.draw(amounts), data.draw(st.floats(0.0, 30.0))
        for bucket in (watched, left_alone):
            bucket.drain(amount, at, at + lasting)
        watched.level((at + following) / 2)
    assert watched.level(300.0) == pytest.approx(left_alone.level(300.0), abs=1e-6)
