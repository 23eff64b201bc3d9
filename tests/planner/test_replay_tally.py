"""Waits are counted in bounded memory, and percentiles are right to about a hundredth."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from headway.planner.replay_tally import BINS, GROUPS, OTHERS, Tally
from planner.test_replay_source import asked


@given(st.lists(st.floats(0.0, 1e5), min_size=1, max_size=300))
def test_percentiles_are_right_to_about_a_hundredth(waits: list[float]) -> None:
    tally = Tally(100.0)
    for wait_s in waits:
        tally.answered(asked(0.0), wait_s, 0.0)
    found, ordered = tally.all(), sorted(waits)
    for told, share in ((found.p50_s, 0.5), (found.p90_s, 0.9)):
        assert told == pytest.approx(ordered[ceil(share * len(ordered)) - 1], rel=0.012, abs=0.0011)
    assert found.most_s == (max(waits) if max(waits) >= 1e-3 else 0.0)
    assert found.waited == sum(wait_s > 1.0 for wait_s in waits)


def test_names_beyond_a_thousand_are_counted_as_one() -> None:
    tally = Tally(100.0)
    for number in range(GROUPS + 50):
        tally.answered(asked(0.0, tenant=f"t{number}"), 1.0, 0.0)
    groups = tally.groups()
    assert len(groups) == GROUPS + 1
    assert next(each.calls for each in groups if each.tenant == OTHERS) == 50


def test_who_waited_longest_comes_first() -> None:
    tally = Tally(100.0)
    for tenant, wait_s in (("a", 1.0), ("b", 9.0), ("c", 0.0)):
        tally.answered(asked(0.0, tenant=tenant), wait_s, 0.0)
    assert [each.tenant for each in tally.groups()] == ["b", "a", "c"]


def test_calls_are_binned_by_when_they_came_and_late_ones_at_the_end() -> None:
    tally = Tally(float(BINS))
    for at, wait_s in ((0.5, 1.0), (0.6, 3.0), (7.1, 5.0), (10.0 * BINS, 2.0)):
        tally.answered(structs.replace(asked(0.0), arrived_at=at), wait_s, 0.0)
    bins = tally.bins()
    assert (bins[0].calls, bins[0].mean_s, bins[0].most_s) == (2, 2.0, 3.0)
    assert (bins[7].calls, bins[7].at_s, bins[-1].calls) == (1, 7.0, 1)


def test_money_is_summed_exactly_and_what_has_no_price_is_counted() -> None:
    tally = Tally(1.0)
    for cost in (10**17 + 1, 3, None):
        tally.answered(structs.replace(asked(0.0), cost=cost), 0.0, 0.0)
    tally.refused(structs.replace(asked(0.0), cost=7), by_budget=True)
    assert (tally.nanousd, tally.unpriced, tally.refused_nanousd, tally.refused_by_budget) == (
        10**17 + 4,
        1,
        7,
        1,
    )
