"""Which sums and which attempts a report reads."""

from __future__ import annotations

import os
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from headway.errors import InputError, LedgerError
from headway.ledger.columns import HOUR_NS
from headway.ledger.file import open_file, read_file
from headway.ledger.parts import END_NS, find_parts
from headway.ledger.report import read_report, usage
from headway.ledger.rollup import bring_up_to_date, pending
from ledger.test_rollup import DAY0, Attempt, ledger, write

START = DAY0 * HOUR_NS
OLD = [
    entry.read_text("utf-8")
    for entry in sorted((files("headway.ledger") / "schema").iterdir(), key=lambda entry: entry.name)
    if entry.name < "0003"
]


def spans(since_ns: int, until_ns: int = END_NS, *, by_hour: bool = False) -> tuple[int, int, int, int]:
    """First hour and day, day and hour after the last, from the day that tests begin with."""
    with ledger() as db:
        parts = find_parts(db, since_ns, until_ns, by_hour=by_hour)
    return tuple(hour - DAY0 for hour in (parts.first, parts.first_day, parts.last_day, parts.last))  # type: ignore[return-value]  # four


def test_whole_days_in_the_middle_hours_around_and_attempts_at_the_ends() -> None:
    half = HOUR_NS // 2
    assert spans(START + 5 * HOUR_NS + half, START + 60 * HOUR_NS + half) == (6, 24, 48, 60)
    assert spans(START, START + 48 * HOUR_NS) == (0, 0, 48, 48)


def test_where_hours_are_wanted_or_there_is_no_whole_day_there_are_only_hours() -> None:
    assert spans(START, START + 48 * HOUR_NS, by_hour=True) == (0, 48, 48, 48)
    assert spans(START + HOUR_NS, START + 30 * HOUR_NS) == (1, 30, 30, 30)


def test_less_than_an_hour_is_read_from_attempts() -> None:
    first, first_day, last_day, last = spans(START + 1, START + HOUR_NS - 1)
    assert first == first_day == last_day == last


def test_once_added_up_a_report_reads_no_attempts() -> None:
    """But those of a partial hour at its ends."""
    with ledger(*(Attempt(f"c{hour}", 1, START + hour * HOUR_NS + 5) for hour in range(60))) as db:
        bring_up_to_date(db)
        db.execute("DELETE FROM attempts WHERE at_ns >= ?", (START + HOUR_NS,))
        assert read_report(db, "tenant,day").total.attempts == 60
        assert read_report(db, "tenant", START + 1).total.attempts == 60
        assert read_report(db, "tenant", START + 6).total.attempts == 59


def test_values_of_one_name_are_either_and_names_are_both() -> None:
    attempts = [
        Attempt(f"{tenant}{model}", 1, START, tenant, model=model) for tenant in "abc" for model in "mn"
    ]
    with ledger(*attempts) as db:
        for _ in range(2):
            where = (("tenant", "a"), ("tenant", "b"), ("model", "m"))
            assert [line.key for line in read_report(db, "tenant", 0, END_NS, where).lines] == ["a", "b"]
            assert read_report(db, "tenant", 0, END_NS, where).total.attempts == 2
            bring_up_to_date(db)


def test_a_star_stands_for_anything_and_nothing_else_does() -> None:
    names = ["opus-4", "opus-4.5", "a?c", "abc", "x[1]y", "x1y"]
    with ledger(*(Attempt(f"c{number}", 1, START, name) for number, name in enumerate(names))) as db:

        def found(pattern: str) -> list[str]:
            return sorted(
                line.key for line in read_report(db, "tenant", 0, END_NS, (("tenant", pattern),)).lines
            )

        assert found("opus-*") == ["opus-4", "opus-4.5"]
        assert found("a?c*") == ["a?c"]
        assert found("x[1]*") == ["x[1]y"]
        assert found("a?c") == ["a?c"]
        with pytest.raises(InputError, match="colour"):
            read_report(db, "tenant", 0, END_NS, (("colour", "red"),))


def test_a_ledger_of_an_older_headway_is_added_up_at_the_first_report(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with closing(open_file(path, migrations=OLD)) as db:
        write(db, [Attempt(f"c{number}", 1, START) for number in range(1500)])
        with pytest.raises(LedgerError, match="older headway"):
            read_report(db, "tenant")
    assert usage(path, "tenant").total.attempts == 1500
    with closing(open_file(path)) as db:
        assert pending(db) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_ledger_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with closing(open_file(path)) as db:
        write(db, [Attempt(f"c{number}", 1, START) for number in range(1500)])
        db.execute("PRAGMA journal_mode=DELETE")
    path.chmod(0o400)
    assert usage(path, "tenant").total.attempts == 1500
    with closing(read_file(path)) as db:
        assert pending(db) == 1500
