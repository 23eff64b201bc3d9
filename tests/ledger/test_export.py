"""Attempts are handed out as they are, in pieces, while others write."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from headway.errors import InputError, LedgerError
from headway.ledger import export
from headway.ledger.columns import HOUR_NS
from headway.ledger.export import read_rows
from headway.ledger.file import open_file
from ledger.test_rollup import DAY0, Attempt, write
from ledger.test_waits import made

START = DAY0 * HOUR_NS


def test_every_attempt_comes_once_with_all_but_fingerprints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_BATCH", 3)
    path = made(tmp_path / "l.db", [Attempt(f"c{number}", 1, START) for number in range(8)])
    told: list[int] = []
    columns, batches = read_rows(path, told=told.append)
    found = [len(batch) for batch in batches]
    assert (found, told) == ([3, 3, 2], [3, 6, 8])
    names = [name for name, _ in columns]
    assert "fingerprint" not in names
    assert {"attempt_id", "cost_nanousd", "usage_json", "waited_for"} <= set(names)
    assert {kind for _, kind in columns} == {"text", "int", "float"}


def test_what_is_written_meanwhile_does_not_disturb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_BATCH", 2)
    path = made(tmp_path / "l.db", [Attempt(f"c{number}", 1, START) for number in range(3)])
    _, batches = read_rows(path)
    first = next(batches)
    with closing(open_file(path)) as db:
        write(db, [Attempt("late", 1, START)])
    assert [row[1] for row in (*first, *(row for batch in batches for row in batch))] == [
        "c0-1",
        "c1-1",
        "c2-1",
        "late-1",
    ]


def test_only_what_is_asked_for_comes(tmp_path: Path) -> None:
    path = made(
        tmp_path / "l.db",
        [
            Attempt("a", 1, START, "a"),
            Attempt("b", 1, START, "b", outcome="rate_limited", status=429),
            Attempt("c", 1, START + HOUR_NS, "b"),
        ],
    )

    def ids(**asked: object) -> list[str]:
        _, batches = read_rows(path, **asked)  # type: ignore[arg-type]  # as each test asks
        return [row[1] for batch in batches for row in batch]

    assert ids(where=(("tenant", "b"),)) == ["b-1", "c-1"]
    assert ids(where=(("tenant", "b"), ("status", "rate_limited 429"))) == ["b-1"]
    assert ids(where=(("status", "rate*"),)) == ["b-1"]
    assert ids(where=(("tenant", "a"), ("tenant", "b"))) == ["a-1", "b-1", "c-1"]
    assert ids(since_ns=START + 1) == ["c-1"]
    assert ids(until_ns=START + 1) == ["a-1", "b-1"]


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger"):
        read_rows(tmp_path / "none.db")
    with pytest.raises(InputError, match="colour"):
        read_rows(tmp_path / "none.db", where=(("colour", "x"),))
