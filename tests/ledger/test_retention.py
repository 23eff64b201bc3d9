"""Old attempts go, and everything that was added up of them stays right: totals, reports, budgets."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.core.call import Unit
from headway.errors import InputError, LedgerError
from headway.gateway.grants import Group
from headway.gateway.past import Past
from headway.gateway.period import Always, Plan
from headway.ledger.columns import HOUR_NS
from headway.ledger.file import open_file
from headway.ledger.price import Prices
from headway.ledger.report import read_report
from headway.ledger.retention import DAY_NS, describe, prune, prune_file, vacuum
from headway.ledger.rollup import bring_up_to_date, pending, roll
from headway.ledger.spent import read_spent
from headway.ledger.sqlite import SqliteLedger
from ledger.test_rollup import DAY0, MOMENTS, Attempt, calls, ledger, write

START = DAY0 * HOUR_NS
CUTS = st.integers(-1, 4).map(lambda day: START + day * DAY_NS)


@settings(max_examples=50, deadline=None)
@given(calls(), CUTS, st.sampled_from(["tenant", "session", "model", "hour", "tenant,day"]), st.data())
def test_reports_of_whole_hours_are_the_same_before_and_after(
    made: list[list[Attempt]], cut: int, by: str, data: st.DataObject
) -> None:
    """Whether everything goes at once or not, and with what comes later."""
    attempts = [each for call in made for each in call]
    since = data.draw(st.one_of(st.just(0), MOMENTS.map(lambda moment: moment // HOUR_NS * HOUR_NS)))
    later = [replace(each[-1], call=each[0].call + "x", number=1, outcome="ok") for each in made]
    with ledger(*attempts) as db:
        if data.draw(st.booleans()):
            bring_up_to_date(db)
        before = read_report(db, by, since)
        prune_file(db, cut, most=data.draw(st.sampled_from([None, 0, 1])))
        assert read_report(db, by, since) == before
        write(db, later)
        with_later = read_report(db, by, since)
        bring_up_to_date(db)
        assert read_report(db, by, since) == with_later
        prune_file(db, cut)
        assert read_report(db, by, since) == with_later


@settings(max_examples=30, deadline=None)
@given(calls(), CUTS, st.sampled_from([(), ("session",), ("job", "model")]), st.sampled_from([None, HOUR_NS]))
def test_what_was_spent_stays_spent(
    made: list[list[Attempt]], cut: int, per: tuple[str, ...], width: int | None
) -> None:
    def spent(db: sqlite3.Connection) -> dict[object, tuple[int, int, int]]:
        found: dict[object, tuple[int, int, int]] = {}
        for each in read_spent(db, per, ("a", "b"), (0, 2**62), width):
            a, b, c = found.get((each.tenant, each.values), (0, 0, 0))
            found[each.tenant, each.values] = (a + each.nanousd, b + each.tokens, c + each.requests)
        return found

    attempts = [each for call in made for each in call]
    with ledger(*attempts) as db:
        before = spent(db)
        wanted = {
            tenant: sum(each.cost or 0 for each in attempts if each.tenant == tenant)
            for tenant in {each.tenant for each in attempts}
        }
        for tenant, cost in wanted.items():
            assert sum(sums[0] for key, sums in before.items() if key[0] == tenant) == cost  # type: ignore[index]  # a pair
        bring_up_to_date(db)
        assert spent(db) == before
        prune_file(db, cut)
        assert spent(db) == before


def test_a_budget_in_all_knows_what_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with closing(open_file(path)) as db:
        write(db, [Attempt(f"c{number}", 1, START + number * HOUR_NS, cost=10) for number in range(100)])
    assert prune(path, DAY_NS, START + 4 * DAY_NS + 5) == 72
    past, group = Past(path, Prices()), Group("a", Plan(Unit.USD, 10**9, Always()))
    past.look_back([group], START + 5 * DAY_NS)
    assert sum(amount for _, amount in past.recall(group.grant((), START))[0]) == 1000
    past.close()


def test_only_whole_days_that_are_old_enough_go_and_the_last_row_stays(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with closing(open_file(path)) as db:
        write(db, [Attempt(f"c{number}", 1, START + number * HOUR_NS) for number in range(48)])
    assert prune(path, DAY_NS, START + 2 * DAY_NS - 1) == 0
    assert prune(path, DAY_NS, START + 2 * DAY_NS) == 24
    assert prune(path, DAY_NS, START + 9 * DAY_NS) == 23
    info = describe(path)
    assert (info.attempts, info.removed, info.pruned_ns) == (1, 47, START + 8 * DAY_NS)
    with closing(open_file(path)) as db:
        write(db, [Attempt("new", 1, START)])
        assert roll(db)
        assert read_report(db, "tenant").total.attempts == 49


def test_what_is_lost_for_good_is_added_up_before_it_goes() -> None:
    lost = Attempt("c", 1, START, outcome="lost", status=None, estimated=1, cost=5)
    with ledger(lost, Attempt("d", 1, START + 9 * DAY_NS)) as db:
        assert prune_file(db, START + DAY_NS) == 1
        total = read_report(db, "tenant").total
        assert (total.attempts, total.calls, total.estimated, total.cost_nanousd) == (2, 2, 1, 12)
        assert db.execute("SELECT count(*) FROM aside").fetchone() == (0,)


def test_a_report_that_cannot_be_exact_says_so() -> None:
    with ledger(*(Attempt(f"c{number}", 1, START + number * HOUR_NS // 2) for number in range(96))) as db:
        prune_file(db, START + DAY_NS)
        report = read_report(db, "tenant", START + HOUR_NS // 2)
        assert report.total.attempts == 96
        assert "whole hours" in report.note
        assert read_report(db, "tenant", START + HOUR_NS).note == ""


def test_less_than_a_day_is_refused_and_so_is_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a day"):
        prune(tmp_path / "l.db", DAY_NS - 1, START)
    with pytest.raises(LedgerError, match="no ledger"):
        describe(tmp_path / "l.db")
    with pytest.raises(LedgerError, match="no ledger"):
        vacuum(tmp_path / "l.db")


def test_room_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with closing(open_file(path)) as db:
        write(db, [Attempt(f"c{number}", 1, START) for number in range(3000)])
    prune(path, DAY_NS, START + 3 * DAY_NS)
    assert describe(path).free_bytes > 100_000
    assert vacuum(path) > 100_000
    assert describe(path).free_bytes == 0


_TWO = """
import sys, time
from contextlib import closing
from pathlib import Path
from headway.ledger.file import open_file
from headway.ledger.retention import prune_file
from headway.ledger.rollup import roll
print("ready", flush=True)
with closing(open_file(Path(sys.argv[1]), wait_ms=20000)) as db:
    while True:
        roll(db, 50)
        prune_file(db, int(sys.argv[2]), most=1)
"""


def test_two_processes_that_are_killed_leave_it_right(tmp_path: Path) -> None:
    """Both add up and remove, while a third writes; one is killed in the middle, wherever that is."""
    path, cut = tmp_path / "l.db", START + DAY_NS
    with closing(open_file(path, wait_ms=20_000)) as db:
        others = [
            subprocess.Popen([sys.executable, "-c", _TWO, str(path), str(cut)], stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        try:
            for other in others:
                assert other.stdout is not None
                other.stdout.readline()
            for number in range(300):
                write(db, _several(number))
                if number == 200:
                    others[0].kill()
        finally:
            for other in others:
                other.kill()
                other.wait()
                assert other.stdout is not None
                other.stdout.close()
        report = read_report(db, "tenant")
        assert (report.total.attempts, report.total.calls, report.total.cost_nanousd) == (900, 600, 900 * 7)
        prune_file(db, cut)
        assert read_report(db, "tenant") == report


def _several(number: int) -> Sequence[Attempt]:
    at = START + number % 72 * HOUR_NS
    return (
        Attempt(f"c{number}", 1, at, outcome="rate_limited", status=429),
        Attempt(f"c{number}", 2, at + HOUR_NS),
        Attempt(f"d{number}", 1, at),
    )


def test_a_ledger_that_keeps_attempts_for_some_time_removes_them_itself(tmp_path: Path) -> None:
    """And adds up what came, one step at a time, when its thread has nothing to write."""
    path = tmp_path / "l.db"
    with closing(open_file(path)) as db:
        write(db, [Attempt(f"c{number}", 1, START) for number in range(1100)])
    with SqliteLedger(path, keep_s=86_400 * 2.0) as kept:
        with kept._writer._writing:  # as its thread does
            steps = [kept._tidy() for _ in range(3)]
        assert steps == [True, False, False]
        with closing(open_file(path)) as db:
            assert pending(db) == 0
            assert db.execute("SELECT count(*) FROM attempts").fetchone()[0] == 1
            assert read_report(db, "tenant").total.attempts == 1100
        assert kept.problem is None
