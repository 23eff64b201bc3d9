"""Sums are exact, quantiles nearly so."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.insights.tally import Sketch
from headway.insights.traffic import Recent, plain_label


@given(st.lists(st.floats(0, 1e9), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_right_to_three_per_cent(values: list[float], share: float) -> None:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    true = sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
    assert sketch.quantile(share) + 1 == pytest.approx(true + 1, rel=0.03)


def test_what_was_seen_lately_is_kept_and_what_was_not_is_given_back() -> None:
    recent: Recent[int] = Recent(10)
    assert recent.put("a", 1, at_ns=0) == []
    assert recent.put("b", 2, at_ns=10) == []
    assert recent.get("a") == 1
    assert recent.put("c", 3, at_ns=20) == [1]
    assert recent.get("a") is None
    assert sorted(recent.rest()) == [2, 3]
    assert recent.rest() == []


def test_very_many_keys_are_forgotten_sooner() -> None:
    recent: Recent[int] = Recent(10**9, most=100)
    forgotten = [value for number in range(1000) for value in recent.put(number, number, at_ns=0)]
    assert len(forgotten) + len(recent.rest()) == 1000
    assert len(forgotten) >= 800


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        ("ticket-17", "ticket-#"),
        ("page=3 user=ab12cd34ef", "page=# user=#"),
        ("nightly", "nightly"),
        ("run 2026-11-24T10:00", "run #"),
        ("7f3c2b1a-1111-4222-8333-abcdefabcdef", "#"),
        ("", ""),
    ],
)
def test_a_label_without_its_numbers_is_one_for_all_calls_of_a_kind(label: str, plain: str) -> None:
    assert plain_label(label) == plain
