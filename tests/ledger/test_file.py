"""Making, opening, migrating and refusing ledger files."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from headway.errors import LedgerError
from headway.ledger.file import _scripts, open_file, read_file

NEXT = "-- one more column; and a ; in a comment\nALTER TABLE attempts ADD COLUMN mood TEXT;\nCREATE TABLE more (x);\n"


def version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_a_new_ledger_is_for_its_owner_only(path: Path) -> None:
    with closing(open_file(path)):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_it_keeps_what_was_there(path: Path) -> None:
    with closing(open_file(path)) as db:
        db.execute("INSERT INTO learnt VALUES ('k', '{}', 1)")
    with closing(open_file(path)) as db:
        assert db.execute("SELECT count(*) FROM learnt").fetchone() == (1,)


def test_the_journal_and_the_waiting_are_as_promised(path: Path) -> None:
    with closing(open_file(path, wait_ms=1234)) as db:
        found = [
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    assert found == ["wal", 1, 1234]


@pytest.mark.parametrize("start", range(len(_scripts()) + 1))
def test_a_ledger_of_any_older_version_is_brought_up(path: Path, start: int) -> None:
    scripts = _scripts()
    with closing(open_file(path, migrations=scripts[:start])) as db:
        assert version(db) == start
    with closing(open_file(path)) as db:
        assert version(db) == len(scripts)
        assert db.execute("SELECT count(*) FROM attempts").fetchone() == (0,)


def test_a_step_added_later_runs_once_and_keeps_the_rows(path: Path) -> None:
    with closing(open_file(path)) as db:
        db.execute("INSERT INTO learnt VALUES ('k', '{}', 1)")
    for _ in range(2):
        with closing(open_file(path, migrations=[*_scripts(), NEXT])) as db:
            assert version(db) == len(_scripts()) + 1
            assert db.execute("SELECT mood FROM attempts").fetchall() == []
            assert db.execute("SELECT key FROM learnt").fetchall() == [("k",)]


def test_a_step_that_fails_changes_nothing(path: Path) -> None:
    with closing(open_file(path)):
        pass
    with pytest.raises(LedgerError, match="cannot use the ledger"):
        open_file(path, migrations=[*_scripts(), "CREATE TABLE half (x);\nCREATE TABLE half (x);\n"])
    with closing(open_file(path)) as db:
        assert version(db) == len(_scripts())
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)


def test_many_at_once_migrate_it_once(path: Path) -> None:
    def bring_up(_: int) -> int:
        with closing(open_file(path, wait_ms=10_000)) as db:
            return version(db)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(bring_up, range(32))) == {len(_scripts())}


def test_a_newer_ledger_is_refused_in_words(path: Path) -> None:
    with closing(open_file(path, migrations=[*_scripts(), NEXT])):
        pass
    for use in (open_file, read_file):
        with pytest.raises(LedgerError, match="written by a newer headway") as caught:
            use(path)
        assert "Upgrade headway" in caught.value.hint


@pytest.mark.parametrize("use", [open_file, read_file])
def test_another_database_is_not_touched(path: Path, use: object) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="not a ledger"):
        use(path)  # type: ignore[operator]  # parametrized
    assert path.read_bytes() == before


@pytest.mark.parametrize("use", [open_file, read_file])
def test_a_file_that_is_no_database_is_not_touched(path: Path, use: object) -> None:
    path.parent.mkdir()
    path.write_bytes(b"dear diary\n" * 1000)
    with pytest.raises(LedgerError, match="not a database"):
        use(path)  # type: ignore[operator]  # parametrized
    assert path.read_bytes() == b"dear diary\n" * 1000


@pytest.mark.parametrize("use", [open_file, read_file])
def test_a_folder_is_not_a_ledger(tmp_path: Path, use: object) -> None:
    with pytest.raises(LedgerError):
        use(tmp_path)  # type: ignore[operator]  # parametrized


def test_a_reader_cannot_write(path: Path) -> None:
    with closing(open_file(path)), closing(read_file(path)) as db, pytest.raises(sqlite3.OperationalError):
        db.execute("DELETE FROM attempts")
