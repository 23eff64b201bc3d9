from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.workbench.rows import Row
from headway.workbench.summary import summary
from headway.workbench.verdict import Verdict, Word, judge_variants, with_caveats

from .made import row, rows_of


def verdict(*by_variant: list[Row], **more: Any) -> Verdict:
    named = {rows[0].variant: rows for rows in by_variant}
    settings = {"margin": 0.05, "confidence": 0.95, "scored": True} | more
    return judge_variants(named, next(iter(named)), **settings)


def scores(n: int, failed: int) -> list[float]:
    return [0.0] * failed + [1.0] * (n - failed)


def test_a_cheaper_variant_that_passes_as_often_on_many_inputs_is_taken() -> None:
    found = verdict(rows_of("base", scores(400, 20)), rows_of("cheap", scores(400, 20), 400))
    assert found.choice == "cheap"
    assert found.others[0].word is Word.NOT_WORSE
    assert found.lines[0].startswith(
        "Take cheap: the cheapest that is not worse than base. It costs 60% less"
    )


def test_the_same_on_few_inputs_cannot_be_told_and_says_how_many_it_needs() -> None:
    found = verdict(rows_of("base", scores(10, 1)), rows_of("cheap", scores(10, 1), 400))
    assert found.choice == "base"
    assert found.others[0].word is Word.UNSURE
    needed = found.others[0].needed
    assert needed is not None
    assert needed > 50
    assert f"Needs about {needed - 10:,} more inputs" in found.lines[1]
    assert "10 inputs are few" in found.lines[-1]


def test_with_the_inputs_that_it_asked_for_it_can_tell() -> None:
    needed = verdict(rows_of("base", scores(20, 2)), rows_of("cheap", scores(20, 2), 400)).others[0].needed
    assert needed is not None
    found = verdict(
        rows_of("base", scores(needed, needed // 10)), rows_of("cheap", scores(needed, needed // 10), 400)
    )
    assert found.choice == "cheap"


def test_a_cheaper_variant_that_is_worse_is_not_taken() -> None:
    found = verdict(rows_of("base", scores(100, 0)), rows_of("cheap", scores(100, 30), 100))
    assert found.choice == "base"
    assert found.others[0].word is Word.WORSE
    assert "but is worse" in found.lines[1]


def test_a_better_variant_that_costs_more_is_named_and_not_chosen() -> None:
    found = verdict(rows_of("base", scores(100, 40)), rows_of("dear", scores(100, 0), 3000))
    assert (found.choice, found.others[0].word) == ("base", Word.BETTER)
    assert "dear is better than base" in found.lines[1]
    assert "3.00 times as much" in found.lines[1]


def test_a_better_variant_that_costs_the_same_is_taken() -> None:
    found = verdict(rows_of("base", scores(100, 40)), rows_of("new", scores(100, 0)))
    assert found.choice == "new"


def test_without_a_check_nothing_is_chosen() -> None:
    plain = [row("base", 1), row("base", 2)], [row("cheap", 1, cost=1), row("cheap", 2, cost=1)]
    found = verdict(*plain, scored=False)
    assert found.choice is None
    assert found.others[0].word is Word.UNSCORED
    assert "neither a [check] nor a [judge]" in found.lines[0]


def test_without_a_price_the_cheapest_cannot_be_named() -> None:
    dear = [row("odd", line, 1.0, None) for line in range(1, 401)]
    found = verdict(rows_of("base", scores(400, 0)), dear)
    assert found.choice is None
    assert "price is not known" in found.lines[0]


def test_only_inputs_that_both_have_are_compared() -> None:
    found = verdict(rows_of("base", scores(10, 0)), rows_of("new", scores(200, 0), 500)[5:])
    assert found.others[0].inputs == 5


def test_no_common_input_is_no_verdict() -> None:
    found = verdict(rows_of("base", [1.0]), [row("new", 9, 1.0, 1)])
    assert found.others[0].word is Word.UNSURE
    assert found.choice in ("base", None)


def test_more_variants_make_each_claim_harder() -> None:
    base, new = rows_of("base", scores(60, 12)), rows_of("new", scores(60, 3))
    others = [rows_of(f"v{number}", scores(60, 12)) for number in range(20)]
    alone = verdict(base, new).others[0].difference
    among = verdict(base, new, *others).others[0].difference
    assert alone is not None
    assert among is not None
    assert among.low < alone.low
    assert among.high > alone.high


def test_in_pairs_a_score_is_already_against_the_baseline() -> None:
    base = [row("base", line) for line in range(1, 101)]
    found = verdict(base, rows_of("new", [1.0] * 70 + [0.5] * 20 + [0.0] * 10, 500), pairwise=True)
    assert found.others[0].difference is not None
    assert round(found.others[0].difference.value, 6) == 0.6
    assert found.choice == "new"
    assert "wins less losses +60.0 points" in found.lines[0]


def test_repeats_on_one_input_do_not_count_as_inputs() -> None:
    base = [row("base", line, 1.0) for line in (1, 2, 3) for _ in range(50)]
    new = [row("new", line, 1.0, 10) for line in (1, 2, 3) for _ in range(50)]
    found = verdict(base, new).others[0]
    assert (found.inputs, found.word) == (3, Word.UNSURE)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 5000)), min_size=1, max_size=40))
def test_what_is_chosen_is_never_shown_to_be_worse_and_is_never_dearer_than_the_baseline(
    drawn: list[tuple[bool, bool, int]],
) -> None:
    base = rows_of("base", [float(one) for one, _, _ in drawn])
    new = [row("new", line, float(two), cost) for line, (_, two, cost) in enumerate(drawn, 1)]
    found = verdict(base, new)
    if found.choice == "new":
        assert found.others[0].word in (Word.BETTER, Word.NOT_WORSE)
        assert sum(each.cost_nanousd or 0 for each in new) <= sum(each.cost_nanousd or 0 for each in base)


def test_one_variant_is_no_comparison() -> None:
    assert verdict(rows_of("base", scores(5, 1))).lines == (
        "There is one variant: nothing to compare it with.",
    )


def test_without_replies_there_is_no_verdict_and_no_false_reason() -> None:
    nothing = judge_variants({"a": [], "b": []}, "a", margin=0.05, confidence=0.95, scored=True)
    assert (nothing.choice, nothing.lines) == (None, ("There are no replies yet, and so no verdict.",))
    for by_variant in ({"a": [], "b": rows_of("b", [1.0] * 40)}, {"b": rows_of("b", [1.0] * 40), "a": []}):
        some = judge_variants(by_variant, next(iter(by_variant)), margin=0.05, confidence=0.95, scored=True)
        assert some.lines == ("No verdict yet: a has no replies.",)


def test_a_variant_without_replies_is_named_and_the_others_are_held_side_by_side() -> None:
    by_variant = {"a": rows_of("a", [1.0] * 90), "b": rows_of("b", [1.0] * 90, 500), "c": []}
    found = judge_variants(by_variant, "a", margin=0.1, confidence=0.95, scored=True)
    assert found.choice == "b"
    assert found.lines[-1] == "Nothing is said of c: no replies yet."


@pytest.mark.parametrize(("cut", "is_said"), [(30, False), (50, True)])
def test_the_verdict_itself_says_that_most_replies_of_the_choice_were_cut_off(
    cut: int, is_said: bool
) -> None:
    ours = [
        replace(row, stop_reason="max_tokens" if number < cut else "end_turn")
        for number, row in enumerate(rows_of("b", [1.0] * 90, 500))
    ]
    by_variant = {"a": rows_of("a", [1.0] * 90), "b": ours}
    found = judge_variants(by_variant, "a", margin=0.1, confidence=0.95, scored=True)
    summaries = [summary(name, rows, 0.95, scored=True) for name, rows in by_variant.items()]
    first = with_caveats(found, summaries, emulated=False).lines[0]
    assert (f"But {cut} of its 90 replies were cut off" in first) == is_said


def test_the_verdict_itself_says_that_replies_were_emulated() -> None:
    by_variant = {"a": rows_of("a", [1.0] * 40), "b": rows_of("b", [1.0] * 40)}
    found = judge_variants(by_variant, "a", margin=0.1, confidence=0.95, scored=True)
    summaries = [summary(name, rows, 0.95, scored=True) for name, rows in by_variant.items()]
    assert (
        with_caveats(found, summaries, emulated=True)
        .lines[0]
        .startswith("Of emulated filler, which says nothing")
    )
