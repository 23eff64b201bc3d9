"""Rules of the live totals: nothing is lost, whoever counts, and the memory for them has a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.core.call import Usage
from headway.core.totals import Row, Totals


def test_each_session_and_model_has_its_own_total() -> None:
    counted = Totals()
    counted.go("a", "m").take(Usage(1, 2, 3, 4, 5), 7)
    counted.go("a", "n")
    counted.go("a", "m")
    assert [(each.session, each.model, each.attempts) for each in counted.all()] == [
        ("a", "n", 1),
        ("a", "m", 2),
    ]
    total = counted.all()[1]
    assert (total.input_tokens, total.cache_read_tokens, total.cache_write_tokens, total.output_tokens) == (
        1,
        2,
        7,
        5,
    )


def test_what_the_parts_of_a_reply_took_counts_too() -> None:
    counted = Totals()
    counted.go("a", "m").take(Usage(1, output_tokens=2, parts=(Usage(10, output_tokens=20),)), 7)
    (total,) = counted.all()
    assert (total.input_tokens, total.output_tokens) == (11, 22)


def test_the_pair_used_least_recently_is_folded_into_the_others() -> None:
    counted = Totals(pairs=3)
    for session in "abacd":
        counted.go(session, "m")
    assert [(each.session, each.attempts) for each in counted.all()] == [("(others)", 3), ("c", 1), ("d", 1)]


def test_an_attempt_that_ends_after_its_pair_was_folded_is_counted_with_the_others() -> None:
    counted = Totals(pairs=2)
    row = counted.go("a", "m")
    for session in "bcd":
        counted.go(session, "m")
    assert row.into is not None
    row.into.in_flight -= 1
    assert [(each.session, each.in_flight) for each in counted.all()] == [("(others)", 2), ("d", 1)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.booleans()), max_size=200))
def test_nothing_is_lost_by_folding_and_there_are_never_too_many(acts: list[tuple[int, int, bool]]) -> None:
    """Each: a session, a model, and whether the oldest attempt in flight ends."""
    counted, flying, ended = Totals(pairs=12, other_models=3), list[Row](), 0
    for session, model, ends in acts:
        flying.append(counted.go(str(session), str(model)))
        if ends:
            row = flying.pop(0)
            row = row.into or row
            row.in_flight -= 1
            row.take(Usage(1, output_tokens=2), 7)
            ended += 1
        shown = counted.all()
        assert len(shown) <= 12
        assert len({(each.session, each.model) for each in shown}) == len(shown)
        assert sum(each.attempts for each in shown) == len(flying) + ended
        assert sum(each.in_flight for each in shown) == len(flying)
        assert sum(each.output_tokens for each in shown) == 2 * ended


def test_what_took_nothing_is_not_unpriced() -> None:
    counted = Totals()
    row = counted.go("a", "m")
    for usage, cost in ((Usage(), None), (Usage(1), None), (Usage(1), 5)):
        row.take(usage, cost)
    (total,) = counted.all()
    assert (total.unpriced, total.nanousd) == (1, 5)
