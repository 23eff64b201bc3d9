"""Lengths of replies: as stated, as learnt, as assumed; the wider the less is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InputError
from headway.planner.replies import (
    ASSUMED,
    ASSUMED_DOUBT,
    learnt,
    stated,
)


@pytest.mark.parametrize("mean", [5, 60, 300, 2_000])
def test_a_stated_mean_is_the_mean(mean: int) -> None:
    assert stated(str(mean)).mean(100_000, 1.0) == pytest.approx(mean, rel=0.02)


def test_a_stated_lognormal_has_its_median() -> None:
    assert stated("lognormal:200:0.5").length(100_000, 0.5, 1.0) == 200
    assert stated("LogNormal: 200 : 0").length(100_000, 0.99, 1.0) == 200


@pytest.mark.parametrize("text", ["", "many", "-5", "0", "lognormal:1", "lognormal:0:1", "300 400", "nan"])
def test_what_is_no_length_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError) as caught:
        stated(text)
    assert "300" in caught.value.hint


@given(st.lists(st.tuples(st.sampled_from([0, 64, 1024]), st.integers(1, 1024)), min_size=1, max_size=80))
def test_learnt_lengths_have_the_mean_of_what_was_seen(seen: list[tuple[int, int]]) -> None:
    replies = learnt([(0, output) for _, output in seen], kin="same")
    mean = sum(output for _, output in seen) / len(seen)
    assert replies.mean(10**6, 1.0) == pytest.approx(mean, rel=0.15, abs=3)
    assert replies.calls == len(seen)


@given(st.integers(0, 5_000), st.floats(0.001, 0.999), st.floats(0.1, 10.0))
def test_no_reply_is_longer_than_its_maximum(most: int, share: float, factor: float) -> None:
    for replies in (ASSUMED, stated("300"), learnt([(0, 10), (0, 4_000)], kin="same")):
        assert min(1, most) <= replies.length(most, share, factor) <= most
        assert replies.smooth(most, share, factor) <= most


def test_more_replies_leave_less_doubt_and_the_same_job_least() -> None:
    few, many = [(0, 50 + 40 * (n % 9)) for n in range(9)], [(0, 50 + 40 * (n % 9)) for n in range(900)]
    doubts = [
        learnt(many, kin="same").doubt,
        learnt(many, kin="alike").doubt,
        learnt(few, kin="alike").doubt,
        learnt(many, kin="other").doubt,
        ASSUMED.doubt,
    ]
    assert doubts == sorted(doubts)
    assert ASSUMED.doubt == ASSUMED_DOUBT
    assert stated("300").doubt == 0.0


def test_calls_with_another_maximum_are_a_kind_of_their_own() -> None:
    seen = [(64, 20)] * 40 + [(4096, 900)] * 40
    replies = learnt(seen, kin="same")
    assert replies.mean(64, 1.0) == 20
    assert replies.mean(4096, 1.0) == 900
    assert replies.mean(500, 1.0) == pytest.approx(260, abs=5)  # unknown: as all, cut off
