"""Findings are in order, and no dollar is counted twice, whatever is found."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from headway.insights.finding import Certainty, Found, Nature
from headway.insights.overlap import rank
from headway.insights.traffic import Group, Traffic

DOLLAR = 10**9
RULES = (
    "uncached-prefix",
    "broken-prefix",
    "unread-cache",
    "cache-lifetime",
    "batch",
    "model-choice",
    "cut-replies",
)


def traffic_of(*costs: int) -> Traffic:
    groups = [
        Group(
            number,
            "anthropic",
            "anthropic/opus-4",
            "claude-opus-4-8",
            f"t{number}",
            "standard",
            "",
            "",
            None,
            nanousd=cost,
        )
        for number, cost in enumerate(costs)
    ]
    return Traffic(groups=groups, nanousd=sum(costs), attempts=100)


def found_of(
    rule: str, claims: dict[int, int], nature: Nature = "prefix", certainty: Certainty = "sure", **more: int
) -> Found:
    return Found(rule, f"{rule} {claims}", {}, certainty, nature, 20, 20, (), more, "", claims=claims)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Traffic, list[Found]]:
    costs = draw(st.lists(st.integers(0, 100 * DOLLAR), min_size=1, max_size=4))
    found = draw(
        st.lists(
            st.builds(
                found_of,
                st.sampled_from(RULES),
                st.dictionaries(st.integers(0, len(costs) - 1), st.integers(1, 120 * DOLLAR), max_size=3),
                st.sampled_from(get_args(Nature)),
                st.sampled_from(get_args(Certainty)),
            ),
            max_size=8,
        )
    )
    return traffic_of(*costs), found


@given(worlds())
def test_all_together_save_no_more_than_was_spent_and_no_more_than_one_by_one(
    world: tuple[Traffic, list[Found]],
) -> None:
    traffic, found = world
    ranked = rank(found, traffic)
    assert sum(one.saving.counted_nanousd for one in ranked) <= traffic.nanousd
    for one in ranked:
        assert 0 <= one.saving.counted_nanousd <= one.saving.nanousd
        assert one.found.certainty != "question" or one.saving.counted_nanousd == 0


@given(worlds())
def test_answers_come_before_questions_and_the_dearest_first(world: tuple[Traffic, list[Found]]) -> None:
    traffic, found = world
    order = [(one.found.certainty == "question", -one.saving.nanousd) for one in rank(found, traffic)]
    assert order == sorted(order)


def test_two_ways_to_the_same_tokens_count_once() -> None:
    first, second = rank(
        [found_of("uncached-prefix", {0: 40 * DOLLAR}), found_of("price-step", {0: 50 * DOLLAR})],
        traffic_of(100 * DOLLAR),
    )
    assert (first.found.rule, first.saving.counted_nanousd) == ("price-step", 50 * DOLLAR)
    assert (second.saving.nanousd, second.saving.counted_nanousd, second.overlaps) == (40 * DOLLAR, 0, (1,))


def test_half_price_is_half_of_what_is_left() -> None:
    cached, batch = rank(
        [found_of("uncached-prefix", {0: 60 * DOLLAR}), found_of("batch", {0: 50 * DOLLAR}, "discount")],
        traffic_of(100 * DOLLAR),
    )
    assert cached.saving.counted_nanousd == 60 * DOLLAR
    assert batch.saving.counted_nanousd == 20 * DOLLAR


def test_calls_that_need_not_be_made_add_up() -> None:
    ranked = rank(
        [
            found_of("cut-replies", {0: 10 * DOLLAR}, "repeat"),
            found_of("paid-failures", {0: 20 * DOLLAR}, "repeat"),
        ],
        traffic_of(100 * DOLLAR),
    )
    assert sum(one.saving.counted_nanousd for one in ranked) == 30 * DOLLAR


def test_a_symptom_is_left_out_where_its_cause_is_found() -> None:
    cause, symptom = found_of("broken-prefix", {0: 50 * DOLLAR}), found_of("unread-cache", {0: 10 * DOLLAR})
    elsewhere = found_of("unread-cache", {1: 10 * DOLLAR})
    ranked = rank([symptom, cause, elsewhere], traffic_of(100 * DOLLAR, 100 * DOLLAR))
    assert [one.found for one in ranked] == [cause, elsewhere]


def test_what_is_worth_no_line_gets_none() -> None:
    traffic = traffic_of(1000 * DOLLAR)
    assert rank([found_of("batch", {0: 4 * DOLLAR})], traffic) == []
    assert len(rank([found_of("batch", {0: 5 * DOLLAR})], traffic)) == 1
    assert rank([found_of("batch", {0: DOLLAR // 200})], traffic_of(DOLLAR // 100)) == []
    assert len(rank([found_of("always-failing", {})], traffic)) == 1
    assert len(rank([found_of("unread-cache", {0: DOLLAR}, if_the_same_nanousd=6 * DOLLAR)], traffic)) == 1
