"""A session attempt by attempt, and what it had used by then."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from headway.ledger.columns import HOUR_NS
from headway.ledger.file import open_file
from headway.ledger.retention import prune_file
from headway.ledger.rollup import bring_up_to_date
from headway.ledger.session import read_session
from ledger.test_rollup import DAY0, Attempt
from ledger.test_waits import made

START = DAY0 * HOUR_NS
DAY = 24 * HOUR_NS


def made_session(path: Path) -> Path:
    return made(
        path,
        [
            Attempt("d", 1, START + 3 * DAY, "a", "s", cost=1000),
            Attempt("a", 1, START, "a", "s", cost=1, tokens=9),
            Attempt("b", 1, START + HOUR_NS, "a", "s", outcome="rate_limited", status=429, cost=0, tokens=0),
            Attempt("b", 2, START + HOUR_NS + 1, "a", "s", cost=10, tokens=90),
            Attempt("c", 1, START + HOUR_NS, "b", "s", cost=None, tokens=900),
            Attempt("x", 1, START, "a", "other", cost=10**6),
        ],
    )


def test_attempts_come_by_time_with_what_was_used_up_to_each(tmp_path: Path) -> None:
    path = made_session(tmp_path / "l.db")
    steps = read_session(path, "s", "a")
    assert [(step.cost_nanousd, step.nanousd_sofar) for step in steps] == [
        (1, 1),
        (0, 1),
        (10, 11),
        (1000, 1011),
    ]
    assert [step.tokens_sofar for step in steps] == [12, 12, 132, 145]
    assert [step.requests_sofar for step in steps] == [1, 1, 2, 3]
    assert steps[1].outcome == "rate_limited"


def test_of_all_tenants_if_none_is_named(tmp_path: Path) -> None:
    path = made_session(tmp_path / "l.db")
    steps = read_session(path, "s")
    assert len(steps) == 5
    assert {step.tenant for step in steps} == {"a", "b"}
    assert steps[-1].nanousd_sofar == 1011


def test_it_is_the_same_once_it_is_added_up(tmp_path: Path) -> None:
    path = made_session(tmp_path / "l.db")
    before = read_session(path, "s")
    with closing(open_file(path)) as db:
        bring_up_to_date(db)
    assert read_session(path, "s") == before


def test_what_was_removed_was_used_before(tmp_path: Path) -> None:
    path = made_session(tmp_path / "l.db")
    with closing(open_file(path)) as db:
        bring_up_to_date(db)
        prune_file(db, START + 2 * DAY)
    (step,) = read_session(path, "s", "a")
    assert (step.nanousd_sofar, step.tokens_sofar, step.requests_sofar) == (1011, 145, 3)


def test_nobody_knows_it(tmp_path: Path) -> None:
    assert read_session(tmp_path / "none.db", "s") == ()
    assert read_session(made_session(tmp_path / "l.db"), "who?") == ()
