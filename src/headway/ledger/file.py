"""Opens a ledger file: makes it, brings it to the version of this headway, refuses one that it does not know.

The file is SQLite in WAL mode: readers and one writer at a time get on together, in any number of processes of one machine.
Only its owner may read it (mode 600), for it says who asked what when.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from headway.errors import LedgerError

_APPLICATION = 0x48647779  # "Hdwy": tells a ledger from any other SQLite file
_ANOTHER_FILE = "Choose another file with --ledger PATH, or set HEADWAY_LEDGER."


def open_file(
    path: Path, *, wait_ms: int = 2000, migrations: Sequence[str] | None = None
) -> sqlite3.Connection:
    """A connection to write with. Waits `wait_ms` for other writers. LedgerError if the file cannot be used."""
    scripts = migrations if migrations is not None else _scripts()
    try:
        _make(path)
        db = sqlite3.connect(path, timeout=wait_ms / 1000, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(f"cannot open the ledger {path}: {error}", hint=_ANOTHER_FILE) from error
    try:
        _prepare(db, path, scripts, wait_ms)
    except sqlite3.Error as error:
        db.close()
        raise LedgerError(f"cannot use the ledger {path}: {error}", hint=_ANOTHER_FILE) from error
    except LedgerError:
        db.close()
        raise
    return db


def read_file(path: Path) -> sqlite3.Connection:
    """A connection that cannot change the file. LedgerError if it is no ledger, or of a newer version."""
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=5.0,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _check(db, path, len(_scripts()))
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}", hint=_ANOTHER_FILE) from error
    return db


def _scripts() -> list[str]:
    """The migrations, oldest first: script number n brings the file from version n - 1 to n."""
    found = [entry for entry in (files("headway.ledger") / "schema").iterdir() if entry.name.endswith(".sql")]
    return [entry.read_text(encoding="utf-8") for entry in sorted(found, key=lambda entry: entry.name)]


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _prepare(db: sqlite3.Connection, path: Path, scripts: Sequence[str], wait_ms: int) -> None:
    _check(db, path, len(scripts))
    _use_wal(db, time.monotonic() + wait_ms / 1000)
    db.execute("PRAGMA synchronous=NORMAL")
    if _version(db) < len(scripts):
        _migrate(db, scripts)


def _use_wal(db: sqlite3.Connection, deadline: float) -> None:
    """SQLite does not wait for this lock by itself when several processes make the file at once."""
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _check(db: sqlite3.Connection, path: Path, known: int) -> None:
    db.execute("BEGIN")  # one moment: another process may be making the tables just now
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    version = _version(db)
    db.execute("ROLLBACK")
    if application != _APPLICATION and tables:
        raise LedgerError(f"{path} is a database, but not a ledger of headway", hint=_ANOTHER_FILE)
    if version > known:
        raise LedgerError(
            f"the ledger {path} was written by a newer headway (version {version} of the file; this one knows {known})",
            hint=f"Upgrade headway. {_ANOTHER_FILE}",
        )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrate(db: sqlite3.Connection, scripts: Sequence[str]) -> None:
    """All missing steps in one transaction: a file is never between two versions, whoever is killed when."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for script in scripts[_version(db) :]:  # read again: another process may have been first
            for statement in _statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA application_id={_APPLICATION}")
        db.execute(f"PRAGMA user_version={len(scripts)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """executescript() would commit first, so the script is cut here."""
    statements, start = [], ""
    for line in script.splitlines(keepends=True):
        start += line
        if sqlite3.complete_statement(start):
            statements.append(start)
            start = ""
    return statements
