"""What calls waited for, and how long: from the sums as from the attempts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import InputError
from headway.ledger.columns import HOUR_NS
from headway.ledger.file import open_file
from headway.ledger.retention import prune_file
from headway.ledger.rollup import bring_up_to_date
from headway.ledger.waits import Wait, read_waits
from ledger.test_rollup import DAY0, Attempt, write

START = DAY0 * HOUR_NS
DRAWN = st.lists(
    st.tuples(st.integers(0, 80), st.floats(1, 1e7), st.sampled_from(["", "x", "y"])), min_size=1
)


def made(path: Path, attempts: Sequence[Attempt]) -> Path:
    with closing(open_file(path)) as db:
        write(db, attempts)
    return path


def test_waits_are_told_apart_by_what_they_were_for(tmp_path: Path) -> None:
    path = made(
        tmp_path / "l.db",
        [
            Attempt("a", 1, START, queued_ms=0.4),
            Attempt("b", 1, START, queued_ms=2000.0, cause="output_tokens"),
            Attempt("c", 1, START, queued_ms=8000.0, cause="output_tokens"),
            Attempt("d", 1, START, queued_ms=500.0, cause="budget tenant a"),
            Attempt("e", 1, START, queued_ms=None),
        ],
    )
    output, budget, unknown = read_waits(path)
    assert output == Wait("output_tokens", "", 2, 2, 10_000, 2000.0, 8000.0, 8000.0)
    assert (budget.key, budget.waited, budget.total_ms) == ("budget tenant a", 1, 500)
    assert (unknown.key, unknown.attempts, unknown.waited, unknown.p50_ms) == ("", 2, 0, None)


@settings(max_examples=30, deadline=None)
@given(DRAWN)
def test_they_are_the_same_before_and_after_they_are_added_up_and_removed(
    drawn: list[tuple[int, float, str]],
) -> None:
    with TemporaryDirectory() as folder:
        check(Path(folder), drawn)


def check(folder: Path, drawn: list[tuple[int, float, str]]) -> None:
    path = made(
        folder / "l.db",
        [
            Attempt(
                f"c{number}", 1, START + hour * HOUR_NS, queued_ms=ms, cause=cause, session="s" * (hour % 2)
            )
            for number, (hour, ms, cause) in enumerate(drawn)
        ],
    )
    for by in ("cause", "tenant", "session", "day"):
        before = read_waits(path, by)
        with closing(open_file(path)) as db:
            bring_up_to_date(db)
            assert read_waits(path, by) == before
        for each in before:
            assert each.p50_ms is not None
            assert each.p90_ms is not None
            assert each.p50_ms <= each.p90_ms <= each.longest_ms * 1.051
    with closing(open_file(path)) as db:
        before = read_waits(path, "cause")
        prune_file(db, START + 48 * HOUR_NS)
        assert read_waits(path, "cause") == before


def test_only_what_is_asked_for_counts(tmp_path: Path) -> None:
    path = made(
        tmp_path / "l.db",
        [
            Attempt("a", 1, START, "a", queued_ms=1000.0),
            Attempt("b", 1, START + HOUR_NS, "b", queued_ms=1000.0),
        ],
    )
    assert [each.key for each in read_waits(path, "tenant", where=(("tenant", "b"),))] == ["b"]
    assert [each.key for each in read_waits(path, "tenant", START + 1)] == ["b"]
    assert [each.key for each in read_waits(path, "tenant", until_ns=START + 1)] == ["a"]


def test_no_ledger_is_an_empty_one_and_an_unknown_word_an_error(tmp_path: Path) -> None:
    assert read_waits(tmp_path / "none.db") == ()
    with pytest.raises(InputError, match="colour"):
        read_waits(tmp_path / "none.db", "colour")
