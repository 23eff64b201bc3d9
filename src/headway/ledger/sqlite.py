"""The ledger in one SQLite file: `open` before an attempt is sent, `close` when it ended, both at once and without errors.

What a call handed over is on file some 10 ms later, and survives `kill -9` from then on. An attempt that is opened and closed
within one batch is written once. Several processes may write one file. After a fork the child goes on with a connection and a
thread of its own; attempts that it inherited can be closed on either side, the first close wins.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import platformdirs

from headway.core.ports import Entry, OpenEntry
from headway.errors import LedgerError
from headway.ledger.batch import write_batch
from headway.ledger.file import open_file, read_file
from headway.ledger.owner import this_process
from headway.ledger.price import Prices
from headway.ledger.retention import DAY_NS, prune_file
from headway.ledger.rollup import pending, roll
from headway.ledger.sweep import sweep
from headway.ledger.writer import Writer

_ADDED_UP = 1000  # attempts that are worth it
_PRUNED = 2000  # attempts at a time
_PRUNE_EVERY_S = 3600.0
_WAIT_MS = 1000  # for another process that writes; then the batch waits in memory


def default_path() -> Path:
    """HEADWAY_LEDGER, else `headway/ledger.sqlite3` where this system keeps the data of its users."""
    chosen = os.environ.get("HEADWAY_LEDGER")
    return (
        Path(chosen).expanduser()
        if chosen
        else platformdirs.user_data_path("headway", False) / "ledger.sqlite3"
    )


class NoLedger:
    """Keeps nothing: `--ledger none`."""

    problem: str | None = None

    def open(self, entry: OpenEntry) -> None:
        """Forget it."""

    def close(self, entry: Entry) -> None:
        """Forget it."""

    def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Forget it."""

    def recall(self, key: str) -> dict[str, Any] | None:
        """Nothing is known."""

    def flush(self, timeout_s: float = 10.0) -> None:
        """There is nothing to wait for."""

    def stop(self, timeout_s: float = 5.0) -> None:
        """There is nothing to end."""


class SqliteLedger:
    """`core.ports.Ledger` on a file. Making it raises LedgerError if the file cannot be used; nothing after that does,
    but `flush` and `recall`. It is stopped at the end of the interpreter, of a `with` block, or by `stop`. Attempts older
    than `keep_s` seconds (at least a day; None: for good) are removed when nothing is to be written; their sums stay."""

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        prices: Prices | None = None,
        keep_s: float | None = None,
    ) -> None:
        self.path = Path(path) if path is not None else default_path()
        self._prices = prices or Prices()
        self._keep_ns = None if keep_s is None else int(keep_s * 1e9)
        self._pruned_at = float("-inf")
        self._under_way: dict[str, OpenEntry] = {}
        self._learnt: dict[str, bytes] = {}
        self._owner = this_process()
        self._file = (0, 0)
        self._db: sqlite3.Connection | None = None
        self._sweep(self._connection())
        self._writer = Writer(self._write, self._release, idle=self._tidy)

    def open(self, entry: OpenEntry) -> None:
        """Note an attempt before it is sent."""
        self._writer.put(entry)

    def close(self, entry: Entry) -> None:
        """Note how it ended. A second close of the same attempt changes nothing."""
        self._writer.put(entry)

    def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep what was learnt under `key` from run to run. `value` must be JSON; the last one wins."""
        text = msgspec.json.encode(value)
        self._learnt[key] = text
        self._writer.put((key, text))

    def recall(self, key: str) -> dict[str, Any] | None:
        """What was last remembered under `key`, by any process. None: nothing. LedgerError if the file cannot be read."""
        text: str | bytes | None = self._learnt.get(key)
        if text is None:
            try:
                with closing(read_file(self.path)) as db:
                    row = db.execute("SELECT value FROM learnt WHERE key = ?", (key,)).fetchone()
            except sqlite3.Error as error:
                raise LedgerError(f"cannot read the ledger {self.path}: {error}") from error
            text = row and row[0]
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])

    @property
    def problem(self) -> str | None:
        """What is wrong now, or what was lost, in one sentence; None: all is on file or on its way there."""
        return self._writer.problem

    @property
    def dropped(self) -> int:
        """Entries that will never be on file."""
        return self._writer.dropped

    def flush(self, timeout_s: float = 10.0) -> None:
        """Wait until all is on file. LedgerError, with the reason, if that takes longer than `timeout_s`."""
        self._writer.flush(timeout_s)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Write what is left and close the file. Never raises; attempts under way stay open on file."""
        self._writer.stop(timeout_s)

    def __enter__(self) -> SqliteLedger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _sweep(self, db: sqlite3.Connection) -> None:
        try:
            sweep(db, time.time_ns(), self._prices)
        except sqlite3.OperationalError:
            return  # another process is writing: the next start sweeps
        except sqlite3.Error as error:
            db.close()
            raise LedgerError(f"cannot use the ledger {self.path}: {error}") from error

    def _tidy(self) -> bool:
        """While nothing is to be written: add up what came, and let go of what is too old, some thousands at a time."""
        db = self._connection()
        if pending(db) >= _ADDED_UP:
            roll(db)
            return True
        now = time.monotonic()
        if self._keep_ns is None or now - self._pruned_at < _PRUNE_EVERY_S:
            return False
        before_ns = (time.time_ns() - max(self._keep_ns, DAY_NS)) // DAY_NS * DAY_NS
        is_done = prune_file(db, before_ns, most=_PRUNED) < _PRUNED
        if is_done:
            self._pruned_at = now
        return not is_done

    def _connection(self) -> sqlite3.Connection:
        """The connection, made anew after a fork and when the file was moved or deleted under it."""
        if self._db is not None and _identity(self.path) == self._file:
            return self._db
        self._release()
        self._db = open_file(self.path, wait_ms=_WAIT_MS)
        self._file = _identity(self.path)
        self._owner = this_process()
        return self._db

    def _release(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _write(self, batch: Sequence[Any]) -> int:
        """Put a batch on file, whole. If SQLite refuses a row of it: item by item, and say how many it refused."""
        db = self._connection()
        try:
            written = write_batch(db, batch, self._under_way, self._owner, self._prices)
        except sqlite3.OperationalError as error:
            raise LedgerError(f"the ledger {self.path} cannot be written: {error}") from error
        except (sqlite3.Error, ValueError, TypeError, OverflowError, AttributeError) as error:
            if type(error) is sqlite3.DatabaseError:  # its subclasses are about a row, it is about the file
                raise LedgerError(f"the ledger {self.path} cannot be written: {error}") from error
            if len(batch) == 1:
                return 1
            return sum(self._write([item]) for item in batch)
        for key, text in written.items():
            if self._learnt.get(key) is text:
                del self._learnt[key]
        return 0


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
