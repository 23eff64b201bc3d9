from __future__ import annotations

from headway.workbench.summary import by_input, summary

from .made import row, rows_of


def test_totals_are_exact_and_errors_are_no_replies() -> None:
    rows = [
        *rows_of("a", [1.0] * 9, 10**15 + 1),
        row(
            "a",
            10,
            0.0,
            0,
            succeeded=False,
            error="invalid_request_error: no",
            input_tokens=0,
            output_tokens=0,
            stop_reason="",
        ),
    ]
    found = summary("a", rows, 0.95, scored=True)
    assert (found.calls, found.errors, found.cost_nanousd) == (10, 1, 9 * (10**15 + 1))
    assert (found.input_tokens, found.output_tokens) == (900, 90)
    assert found.error_types == {"invalid_request_error": 1}
    assert found.stop_reasons == {"end_turn": 9}
    assert found.score is not None
    assert found.score.value == 0.9


def test_the_ninetieth_percentile_of_a_few_calls_is_not_said() -> None:
    few, enough = (summary("a", rows_of("a", [1.0] * count), 0.95, scored=True) for count in (9, 10))
    assert few.total_ms.p50 == 10.0
    assert few.total_ms.p90 is None
    assert enough.total_ms.p90 == 10.0


def test_the_share_that_is_read_from_the_cache_is_of_all_input() -> None:
    found = summary("a", [row("a", 1, cache_read_tokens=75), row("a", 2)], 0.95, scored=False)
    assert found.cached == 0.375
    assert found.score is None


def test_calls_without_a_verdict_are_counted_and_do_not_count() -> None:
    found = summary("a", [*rows_of("a", [1.0, 0.0]), row("a", 3)], 0.95, scored=True)
    assert (found.unscored, found.inputs) == (1, 2)
    assert found.score is not None
    assert found.score.value == 0.5


def test_nothing_asked_is_nothing_known() -> None:
    found = summary("a", [], 0.95, scored=True)
    assert (found.calls, found.score, found.cached, found.total_ms.p50) == (0, None, None, None)


def test_repeats_of_an_input_are_averaged_first() -> None:
    rows = [row("a", 1, 1.0), row("a", 1, 0.0), row("a", 2, 1.0)]
    assert by_input(rows, "score") == {1: 0.5, 2: 1.0}
    found = summary("a", rows, 0.95, scored=True)
    assert found.score is not None
    assert found.score.value == 0.75
