"""Estimates are held against what the provider says, and against nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.errors import InputError
from headway.ledger.accuracy import read_accuracy
from headway.ledger.columns import HOUR_NS
from ledger.test_rollup import DAY0, Attempt
from ledger.test_waits import made

START = DAY0 * HOUR_NS


def test_errors_are_in_percent_of_what_it_took(tmp_path: Path) -> None:
    """Expected: 12 in, 3 out; took 10 and 3, 16 and 5, 12 and 4."""
    path = made(tmp_path / "l.db", [Attempt(f"c{took}", 1, START, tokens=took) for took in (10, 16, 12)])
    input_, output = read_accuracy(path)
    assert (input_.side, input_.attempts, input_.expected, input_.took) == ("input", 3, 36, 38)
    assert input_.mean_error == pytest.approx((20 + 25 + 0) / 3, abs=0.001)
    assert input_.bias == pytest.approx((20 - 25 + 0) / 3, abs=0.001)
    assert (input_.p50, input_.p90) == (20, 25)
    assert (output.side, output.attempts, output.took) == ("output", 3, 12)
    assert output.bias == pytest.approx((0 - 40 - 25) / 3, abs=0.001)


def test_only_whole_replies_that_say_what_they_took_are_judged(tmp_path: Path) -> None:
    path = made(
        tmp_path / "l.db",
        [
            Attempt("a", 1, START, tokens=12),
            Attempt("b", 1, START, tokens=99, estimated=1),
            Attempt("c", 1, START, tokens=99, outcome="failed"),
            Attempt("d", 1, START, tokens=0),
        ],
    )
    (input_, output) = read_accuracy(path)
    assert (input_.attempts, input_.mean_error, output.attempts) == (1, 0.0, 1)


def test_groups_and_filters(tmp_path: Path) -> None:
    path = made(
        tmp_path / "l.db",
        [
            Attempt("a", 1, START, "a"),
            Attempt("b", 1, START, "b"),
            Attempt("c", 1, START + HOUR_NS, "b"),
        ],
    )
    assert [(each.key, each.attempts) for each in read_accuracy(path, "tenant") if each.side == "input"] == [
        ("b", 2),
        ("a", 1),
    ]
    assert {each.key for each in read_accuracy(path, "tenant", where=(("tenant", "a"),))} == {"a"}
    assert {each.attempts for each in read_accuracy(path, "tenant", START + 1)} == {1}
    assert {each.key for each in read_accuracy(path, "day")} == {"2024-10-04"}
    assert read_accuracy(tmp_path / "none.db") == ()
    with pytest.raises(InputError, match="colour"):
        read_accuracy(path, "colour")
