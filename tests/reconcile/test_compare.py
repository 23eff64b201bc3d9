"""Each cause is claimed where the ledger shows it, and nowhere else; the causes add up to the difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.core.call import Usage
from headway.reconcile.books import Books, canonical
from headway.reconcile.compare import Comparison, compare
from headway.reconcile.export import Billed, Export, read_export
from reconcile.conftest import DAY, DAY_NS, HOUR_NS, OPUS, SONNET, Attempt, Fill, csv_line, csv_of

FIRST, SECOND = "2026-11-20", "2026-11-21"


def took(
    at_ns: int, fresh: int, output: int, *, model: str = OPUS, read: int = 0, estimated: bool = False
) -> Attempt:
    return (
        at_ns,
        model,
        Usage(input_tokens=fresh, output_tokens=output, cache_read_tokens=read, model=model),
        estimated,
    )


def compared(path: Path, data: bytes) -> Comparison:
    export = read_export(data, "export")
    span = min(line.start_ns for line in export.lines), max(line.end_ns for line in export.lines)
    return compare(export, Books(path, *span, export.width_ns))


def causes(found: Comparison) -> dict[str, int]:
    """Amounts by cause, over all."""
    sums: dict[str, int] = {}
    for each in found.differences:
        assert sum(reason.amount for reason in each.reasons) == each.theirs - each.ours
        for reason in each.reasons:
            sums[reason.cause] = sums.get(reason.cause, 0) + reason.amount
    return sums


def test_what_agrees_has_no_difference(fill: Fill) -> None:
    path = fill([took(DAY + HOUR_NS, 100, 10), took(DAY + 2 * HOUR_NS, 50, 5, read=900)])
    found = compared(path, csv_of(csv_line(FIRST, OPUS, 150, 15, read=900)))
    assert found.differences == ()
    assert [(total.kind, total.ours, total.theirs) for total in found.totals] == [
        ("input", 150, 150),
        ("cache_read", 900, 900),
        ("output", 15, 15),
    ]


def test_spellings_of_a_model_are_one_model(fill: Fill) -> None:
    path = fill([took(DAY, 7, 3, model="claude-sonnet-4-5-20250929")])
    assert compared(path, csv_of(csv_line(FIRST, "claude-sonnet-4-5", 7, 3))).differences == ()
    assert canonical("Claude Sonnet 4.5") == canonical("claude-sonnet-4-5-20250929") == SONNET
    assert canonical("who-knows") == "who-knows"


def test_keys_that_do_not_go_through_headway_are_found_exactly(fill: Fill) -> None:
    path = fill([took(DAY, 100, 10), took(DAY, 5, 1, model=SONNET)])
    lines = [
        csv_line(FIRST, OPUS, 100, 10),
        csv_line(FIRST, SONNET, 5, 1),
        csv_line(FIRST, OPUS, 40, 4, key="notebook"),
    ]
    found = compared(path, csv_of(*lines))
    assert causes(found) == {"other_keys": 44}
    assert "notebook" in found.differences[0].reasons[0].text


def test_batches_are_not_missed(fill: Fill) -> None:
    path = fill([took(DAY, 100, 10)])
    lines = [csv_line(FIRST, OPUS, 100, 10), csv_line(FIRST, OPUS, 1000, 200, tier="batch")]
    assert causes(compared(path, csv_of(*lines))) == {"batch": 1200}


def test_a_call_over_midnight_is_counted_on_the_other_day(fill: Fill) -> None:
    path = fill(
        [took(DAY, 1, 1), took(DAY + DAY_NS - 5 * 10**9, 100, 10), took(DAY + DAY_NS + HOUR_NS, 1, 1)]
    )
    found = compared(path, csv_of(csv_line(FIRST, OPUS, 1, 1), csv_line(SECOND, OPUS, 101, 11)))
    assert causes(found) == {"boundary": 0}
    assert {(each.start_ns, each.kind): each.theirs - each.ours for each in found.differences} == {
        (DAY, "input"): -100,
        (DAY, "output"): -10,
        (DAY + DAY_NS, "input"): 100,
        (DAY + DAY_NS, "output"): 10,
    }


def test_calls_that_ended_before_midnight_do_not_explain_the_other_day(fill: Fill) -> None:
    path = fill([took(DAY, 1, 1), took(DAY + HOUR_NS, 100, 10), took(DAY + DAY_NS + HOUR_NS, 1, 1)])
    found = compared(path, csv_of(csv_line(FIRST, OPUS, 1, 1), csv_line(SECOND, OPUS, 101, 11)))
    assert "boundary" not in causes(found)


def test_an_export_made_before_the_day_was_over_says_when(fill: Fill) -> None:
    path = fill([took(DAY + hour * HOUR_NS, 10, hour + 1) for hour in range(20)])
    found = compared(path, csv_of(csv_line(FIRST, OPUS, 100, sum(range(1, 11)))))
    assert set(causes(found)) == {"incomplete"}
    text = found.differences[0].reasons[0].text
    assert "2026-11-20 09:00:00 UTC" in text
    assert "10 later calls" in text


def test_broken_off_calls_explain_as_much_as_they_may_have_taken(fill: Fill) -> None:
    path = fill([took(DAY, 100, 10), took(DAY, 50, 500, estimated=True)])
    found = compared(path, csv_of(csv_line(FIRST, OPUS, 150, 130)))
    assert causes(found) == {"estimated": -380}
    beyond = compared(path, csv_of(csv_line(FIRST, OPUS, 150, 2_000)))
    assert causes(beyond) == {"estimated": 500, "unexplained": 990}


def test_a_model_that_the_ledger_does_not_know_is_open(fill: Fill) -> None:
    path = fill([took(DAY, 100, 10)])
    found = compared(path, csv_of(csv_line(FIRST, OPUS, 100, 10), csv_line(FIRST, SONNET, 9, 1)))
    assert causes(found) == {"not_through_headway": 10}
    assert {total.unexplained for total in found.totals if total.model == SONNET} == {9, 1}


def test_what_nothing_shows_is_unexplained(fill: Fill) -> None:
    path = fill([took(DAY, 100, 10), took(DAY + HOUR_NS, 100, 10)])
    assert causes(compared(path, csv_of(csv_line(FIRST, OPUS, 260, 20)))) == {"unexplained": 60}
    assert causes(compared(path, csv_of(csv_line(FIRST, OPUS, 130, 20)))) == {"unexplained": -70}


def cost(*amounts: tuple[str, int]) -> Export:
    lines = tuple(Billed(DAY, DAY + DAY_NS, model, (0,) * 6, amount) for model, amount in amounts)
    return Export("cost", DAY_NS, lines, rounding_nanousd=5_000_000)


@pytest.mark.parametrize(
    ("opus", "sonnet", "expected"),
    [
        (10_000_000_000, 6_000_000_000, set()),
        (10_003_000_000, 5_999_000_000, {"rounding"}),
        (9_000_000_000, 5_400_000_000, {"price"}),
        (30_000_000_000, 18_000_000_000, {"unexplained"}),  # nobody is charged three times the price
        (11_000_000_000, 6_000_000_000, {"unexplained"}),
    ],
)
def test_money_differs_by_rounding_by_discount_or_open(
    fill: Fill, opus: int, sonnet: int, expected: set[str]
) -> None:
    path = fill(
        [took(DAY, 100_000, 0, model=model) for model in (OPUS, SONNET) for _ in range(20)]
    )  # $10 and $6
    found = compare(cost((OPUS, opus), (SONNET, sonnet)), Books(path, DAY, DAY + DAY_NS, DAY_NS))
    assert set(causes(found)) == expected
    assert bool(found.notes) is (expected == {"price"})


calls = st.lists(
    st.tuples(
        st.integers(0, 2 * DAY_NS // 10**9 - 1), st.integers(0, 300), st.integers(0, 300), st.booleans()
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=calls, amounts=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)), min_size=2, max_size=2)
)
def test_the_causes_always_add_up_to_the_difference(
    fill: Fill, calls: list[tuple[int, int, int, bool]], amounts: list[tuple[int, int]]
) -> None:
    path = fill(
        [took(DAY + at * 10**9, fresh, output, estimated=guess) for at, fresh, output, guess in calls]
    )
    lines = [csv_line(day, OPUS, *each) for day, each in zip((FIRST, SECOND), amounts, strict=True)]
    try:
        found = compared(path, csv_of(*lines))
    finally:
        path.unlink()
    causes(found)
    theirs = sum(total.theirs for total in found.totals)
    assert theirs == sum(fresh + output for fresh, output in amounts)


def test_an_attempt_without_a_price_does_not_explain_any_sum(fill: Fill) -> None:
    path = fill([took(DAY, 100, 0, model="who-knows"), took(DAY, 100_000, 0)])
    found = compare(
        cost(("who-knows", 9_000_000_000_000), (OPUS, 500_000_000)), Books(path, DAY, DAY + DAY_NS, DAY_NS)
    )
    (open_one,) = (total for total in found.totals if total.unexplained)
    assert (open_one.model, open_one.unexplained) == ("who-knows", 9_000_000_000_000)


def test_later_calls_that_are_all_estimates_do_not_show_that_an_export_ended_early(fill: Fill) -> None:
    path = fill([took(DAY, 100, 10), took(DAY + 23 * HOUR_NS, 30, 40, estimated=True)])
    assert causes(compared(path, csv_of(csv_line(FIRST, OPUS, 100, 10)))) == {"estimated": -70}


def test_amounts_are_as_sure_as_the_digits_they_are_given_with(fill: Fill) -> None:
    path = fill([took(DAY, 100_000, 0) for _ in range(20)])  # $10
    header = "usage_date_utc,model,cost_usd,token_type"
    for said, expected in (("10.00", {}), ("10.004", {"unexplained": 4_000_000}), ("10.0", {})):
        assert causes(compared(path, f"{header}\n{FIRST},{OPUS},{said},input\n".encode())) == expected
    rounded = causes(compared(path, f"{header}\n{FIRST},{OPUS},9.99,a\n{FIRST},{OPUS},0.02,b\n".encode()))
    assert rounded == {"rounding": 10_000_000}
