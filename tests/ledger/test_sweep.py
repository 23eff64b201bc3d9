"""What dead processes left open becomes lost, marked, and counted by estimate; the living are left alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from headway.core.call import Class
from headway.core.ports import OpenEntry
from headway.ledger.file import open_file
from headway.ledger.owner import Owner, this_process
from headway.ledger.price import Prices
from headway.ledger.row import OPEN, open_row
from headway.ledger.sweep import sweep

NOW = 1_795_000_000 * 10**9
HERE = this_process()
DEAD = replace(HERE, start=HERE.start - 1)
ELSEWHERE = replace(HERE, boot=HERE.boot.partition(":")[0] + ":pid:[1]")
Open = Callable[..., OpenEntry]


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_file(path)) as connection:
        yield connection


def leave(db: sqlite3.Connection, entry: OpenEntry, owner: Owner) -> None:
    names = OPEN.split()
    holes = ", ".join("?" * len(names))
    db.execute(
        f"INSERT INTO open_attempts ({', '.join(names)}) VALUES ({holes})", open_row(entry, owner, NOW)
    )


def test_an_attempt_of_a_dead_process_is_lost_and_costs_its_estimate(
    db: sqlite3.Connection, opened: Open, prices: Prices
) -> None:
    leave(db, opened(class_=Class.INTERACTIVE, stream=True), DEAD)
    assert sweep(db, NOW, prices) == 1
    found = db.execute(
        "SELECT attempt_id, outcome, status, error_type, estimated, input_tokens, output_tokens, cost_nanousd,"
        " class, stream, at_ns, total_ms FROM attempts"
    ).fetchall()
    cost = 1100 * 15_000 + 300 * 75_000
    assert found == [("a1", "lost", None, "process_died", 1, 1100, 300, cost, "interactive", 1, NOW, None)]
    assert db.execute("SELECT count(*) FROM open_attempts").fetchone() == (0,)


def test_the_living_are_left_alone(db: sqlite3.Connection, opened: Open, prices: Prices) -> None:
    leave(db, opened(at_ns=1), HERE)
    assert sweep(db, NOW, prices) == 0
    assert db.execute("SELECT count(*) FROM open_attempts").fetchone() == (1,)


def test_where_only_age_tells_the_young_are_left_alone(
    db: sqlite3.Connection, opened: Open, prices: Prices
) -> None:
    leave(db, opened("old", at_ns=NOW - 2 * 3600 * 10**9), ELSEWHERE)
    leave(db, opened("young", at_ns=NOW - 60 * 10**9), ELSEWHERE)
    assert sweep(db, NOW, prices) == 1
    assert db.execute("SELECT attempt_id FROM open_attempts").fetchall() == [("young",)]


def test_sweeping_again_counts_nothing_twice(db: sqlite3.Connection, opened: Open, prices: Prices) -> None:
    leave(db, opened(), DEAD)
    assert [sweep(db, NOW, prices), sweep(db, NOW, prices)] == [1, 0]
    leave(db, opened(), DEAD)  # as if the first sweep had only got half-way
    sweep(db, NOW, prices)
    assert db.execute("SELECT count(*), sum(estimated) FROM attempts").fetchone() == (1, 1)


def test_a_row_of_another_version_with_an_unknown_class_is_swept_too(
    db: sqlite3.Connection, opened: Open, prices: Prices
) -> None:
    leave(db, opened(), DEAD)
    db.execute("UPDATE open_attempts SET class = 'urgent'")
    assert sweep(db, NOW, prices) == 1


def test_an_unknown_model_is_lost_without_a_price(
    db: sqlite3.Connection, opened: Open, prices: Prices
) -> None:
    leave(db, opened(model="who-knows"), DEAD)
    sweep(db, NOW, prices)
    assert db.execute("SELECT cost_nanousd, price_variant FROM attempts").fetchone() == (
        None,
        "no price for who-knows",
    )
