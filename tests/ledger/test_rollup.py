"""What is added up is what is there: any report from the sums is the one from the attempts themselves."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.ledger.columns import HOUR_NS
from headway.ledger.file import open_file
from headway.ledger.parts import END_NS
from headway.ledger.report import Report, read_report
from headway.ledger.rollup import bring_up_to_date, pending, roll
from headway.ledger.row import SETTLED
from headway.ledger.sweep import settle_sql

DAY0 = 20_000 * 24  # an hour at which a day begins
BYS = ("model", "tenant", "session", "job", "class", "day", "hour", "status")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row, with what matters to reports."""

    call: str
    number: int
    at_ns: int
    tenant: str = "a"
    session: str = ""
    model: str = "m"
    outcome: str = "ok"
    status: int | None = 200
    tokens: int = 10
    cost: int | None = 7
    queued_ms: float | None = 0.0
    estimated: int = 0
    cause: str = ""
    job: str = ""

    def row(self) -> tuple[object, ...]:
        known = {
            "attempt_id": f"{self.call}-{self.number}",
            "call_id": self.call,
            "number": self.number,
            "at_ns": self.at_ns,
            "tenant": self.tenant,
            "session": self.session,
            "job": self.job,
            "model_served": self.model,
            "outcome": self.outcome,
            "status": self.status,
            "input_tokens": self.tokens,
            "output_tokens": self.tokens // 3,
            "estimated_input_tokens": 12,
            "estimated_output_tokens": 3,
            "cost_nanousd": self.cost,
            "queued_ms": self.queued_ms,
            "estimated": self.estimated,
            "waited_for": self.cause,
        }
        numbers = ["tokens", "searches", "stream"]
        empty = {name: 0 if name.endswith(tuple(numbers)) else "" for name in SETTLED.split()}
        empty |= {"request_id": None, "usage_json": None, "fingerprint": None}  # type: ignore[dict-item]  # as it is
        empty |= {"first_token_ms": None, "total_ms": None}  # type: ignore[dict-item]  # as it is
        return tuple((empty | known)[name] for name in SETTLED.split())


@contextmanager
def ledger(*attempts: Attempt) -> Iterator[sqlite3.Connection]:
    with TemporaryDirectory() as folder, closing(open_file(Path(folder) / "l.db")) as db:
        db.execute("PRAGMA synchronous=OFF")
        write(db, attempts)
        yield db


def write(db: sqlite3.Connection, attempts: Sequence[Attempt]) -> None:
    db.execute("BEGIN")
    for attempt in attempts:
        db.execute(settle_sql(1), attempt.row())
    db.execute("COMMIT")


def from_attempts(db: sqlite3.Connection, by: str, *args: object) -> Report:
    """The report as if nothing had been added up."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        db.backup(copy)
        for table in ("sums", "waits", "shared", "shares", "aside"):
            copy.execute(f"DELETE FROM {table}")
        copy.execute("UPDATE rolled SET upto = 0")
        return read_report(copy, by, *args)  # type: ignore[arg-type]  # since, until, where


ENDS = st.sampled_from(
    [("ok", 200, 0), ("rate_limited", 429, 0), ("failed", None, 1), ("lost", None, 1), ("cancelled", None, 1)]
)
MOMENTS = st.integers(0, 60 * 4).map(lambda quarter: (DAY0 * 4 - 20 + quarter) * HOUR_NS // 4)


@st.composite
def calls(draw: st.DrawFn) -> list[list[Attempt]]:
    """Calls of some attempts each; clocks go as they like, and most things may change from attempt to attempt."""
    made = []
    for number in range(draw(st.integers(1, 7))):
        tenant, session = draw(st.sampled_from("ab")), draw(st.sampled_from(["", "s", "t"]))
        attempts = []
        for which in range(draw(st.sampled_from([1, 1, 2, 3]))):
            outcome, status, estimated = draw(ENDS)
            attempts.append(
                Attempt(
                    *(f"c{number}", which + 1, draw(MOMENTS), tenant, session),
                    draw(st.sampled_from(["m", "m-1"])),
                    outcome,
                    status,
                    draw(st.sampled_from([0, 9, 1000])),
                    draw(st.sampled_from([None, 0, 5, 10**12])),
                    draw(st.sampled_from([None, 0.0, 3.0, 1234.5, 9e6])),
                    estimated,
                    draw(st.sampled_from(["", "requests/min"])),
                )
            )
        made.append(attempts)
    return made


def shuffled(draw: st.DrawFn, made: list[list[Attempt]]) -> list[Attempt]:
    """In some order, but the attempts of a call one after the other."""
    left, order = [list(each) for each in made], []
    while left:
        which = draw(st.integers(0, len(left) - 1))
        order.append(left[which].pop(0))
        left = [each for each in left if each]
    return order


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_report_from_the_sums_is_the_one_from_the_attempts(data: st.DataObject) -> None:
    """Also after late ends of lost attempts, with clocks that go backwards, and whatever was added up when."""
    made = data.draw(calls())
    order = data.draw(st.composite(lambda draw: shuffled(draw, made))())
    with ledger() as db:
        for attempt in order:
            write(db, [attempt])
            if data.draw(st.booleans()):
                assert roll(db, data.draw(st.sampled_from([1, 2, 100])))
        for attempt in order:
            if attempt.outcome == "lost" and data.draw(st.booleans()):
                write(db, [replace(attempt, outcome="ok", status=200, estimated=0, tokens=77, model="m-2")])
                if data.draw(st.booleans()):
                    assert roll(db)
        by = data.draw(st.sampled_from([*BYS, "tenant,day", "session,hour", "model,tenant", "day,status"]))
        since = data.draw(st.one_of(st.just(0), MOMENTS))
        until = data.draw(st.one_of(st.just(END_NS), MOMENTS))
        where = data.draw(st.sampled_from([(), (("tenant", "a"),), (("session", "s"),), (("model", "m*"),)]))
        assert read_report(db, by, since, until, where) == from_attempts(db, by, since, until, where)


@settings(max_examples=100, deadline=None)
@given(calls(), st.sampled_from(["tenant", "session", "model", "hour"]), st.one_of(st.just(0), MOMENTS))
def test_calls_are_different_ones_and_sums_are_sums(made: list[list[Attempt]], by: str, since: int) -> None:
    """Against arithmetic of its own."""
    attempts = [each for call in made for each in call]
    with ledger(*attempts) as db:
        bring_up_to_date(db)
        report = read_report(db, by, since)
    groups: dict[object, list[Attempt]] = defaultdict(list)
    for each in attempts:
        if each.at_ns >= since:
            groups[each.at_ns // HOUR_NS if by == "hour" else getattr(each, by)].append(each)
    wanted = sorted(
        (
            len({each.call for each in group}),
            len(group),
            sum(each.cost or 0 for each in group),
            sum(each.cost is None for each in group),
            sum(each.tokens for each in group),
            max(each.queued_ms or 0.0 for each in group),
        )
        for group in groups.values()
    )
    found = sorted(
        (
            *(line.calls, line.attempts, line.cost_nanousd, line.unpriced, line.input_tokens),
            line.queued_max_ms or 0.0,
        )
        for line in report.lines
    )
    assert found == wanted
    assert report.total.calls == len({each.call for each in attempts if each.at_ns >= since})


def test_what_is_added_up_is_added_once() -> None:
    with ledger(*(Attempt(f"c{number}", 1, DAY0 * HOUR_NS) for number in range(50))) as db:
        while pending(db):
            assert roll(db, 7)
        assert roll(db)
        assert db.execute("SELECT sum(attempts), sum(calls) FROM sums WHERE span = 1").fetchone() == (50, 50)
        assert db.execute("SELECT sum(attempts), sum(calls) FROM sums WHERE span = 24").fetchone() == (50, 50)


def test_of_two_that_add_up_at_once_one_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with closing(open_file(path)) as one, closing(open_file(path)) as two:
        write(one, [Attempt(f"c{number}", 1, DAY0 * HOUR_NS) for number in range(5)])
        went_between = []

        def meanwhile(statement: str) -> None:
            if statement.startswith("BEGIN IMMEDIATE") and not went_between:
                went_between.append(roll(two))

        one.set_trace_callback(meanwhile)
        assert not roll(one)
        assert went_between == [True]
        assert one.execute("SELECT sum(attempts) FROM sums WHERE span = 1").fetchone() == (5,)
        assert roll(one)


def test_a_lost_attempt_is_kept_apart_until_its_end_is_known() -> None:
    lost = Attempt("c", 1, DAY0 * HOUR_NS, outcome="lost", status=None, estimated=1)
    with ledger(lost) as db:
        assert roll(db)
        assert db.execute("SELECT count(*) FROM sums").fetchone() == (0,)
        assert read_report(db, "status").lines[0].key == "lost"
        write(db, [replace(lost, outcome="ok", status=200, estimated=0)])
        assert [line.key for line in read_report(db, "status").lines] == ["ok"]
        assert roll(db)
        assert db.execute("SELECT sum(attempts), sum(estimated) FROM sums WHERE span = 1").fetchone() == (
            1,
            0,
        )
        assert [line.key for line in read_report(db, "status").lines] == ["ok"]


def test_what_breaks_off_leaves_the_sums_as_they_were() -> None:
    with ledger(*(Attempt(f"c{number}", 1, DAY0 * HOUR_NS) for number in range(5))) as db:
        db.execute("CREATE TRIGGER broken BEFORE INSERT ON waits BEGIN SELECT raise(ABORT, 'broken'); END")
        with pytest.raises(sqlite3.IntegrityError, match="broken"):
            roll(db)
        assert db.execute("SELECT count(*) FROM sums").fetchone() == (0,)
        assert pending(db) == 5
        db.execute("DROP TRIGGER broken")
        assert roll(db)
        assert pending(db) == 0
