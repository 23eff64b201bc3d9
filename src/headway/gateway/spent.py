"""What was spent before, out of the ledger: so a restart forgets nothing.

It counts as the books of the engine do: tokens are all input and output, money is what has a price, and a request is an
attempt that the provider took on, or that broke off after it was sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from headway.core.call import Unit
from headway.errors import LedgerError
from headway.ledger.file import read_file

_SUMS = {
    Unit.USD: "cost_nanousd",
    Unit.TOKENS: (
        "input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens"
    ),
    Unit.REQUESTS: "(estimated = 1 OR coalesce(status < 400, 0))",
}
_COLUMNS = {"tenant": "tenant", "session": "session", "job": "job", "model": "model_asked"}
_NEVER_NS = 2**63 - 1


class Spent:
    """Reads one ledger; None: there is none, and nothing was spent. For one thread at a time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def amount(self, unit: Unit, whose: Mapping[str, str], start_ns: int, end_ns: int | None) -> int:
        """What was spent of `unit` by attempts sent from `start_ns` to before `end_ns`. `whose`: tenant, session, job, model.

        Raises LedgerError if the ledger cannot be read.
        """
        pieces = self._pieces(unit, whose, start_ns, _NEVER_NS if end_ns is None else end_ns, _NEVER_NS)
        return sum(amount for _, amount in pieces)

    def pieces(
        self, unit: Unit, whose: Mapping[str, str], start_ns: int, width_ns: int
    ) -> list[tuple[int, int]]:
        """The same since `start_ns`, in pieces of `width_ns`: the time of the last attempt in each, and the amount."""
        return self._pieces(unit, whose, start_ns, _NEVER_NS, width_ns)

    def close(self) -> None:
        """Close the file. It is opened again when it is needed."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _pieces(
        self, unit: Unit, whose: Mapping[str, str], start_ns: int, end_ns: int, width_ns: int
    ) -> list[tuple[int, int]]:
        where = "".join(f" AND {_COLUMNS[name]} = ?" for name in whose)
        sql = (
            f"SELECT max(at_ns), coalesce(sum({_SUMS[unit]}), 0) FROM attempts"
            f" WHERE at_ns >= ? AND at_ns < ?{where} GROUP BY at_ns / ? ORDER BY 1"
        )
        values = (start_ns, end_ns, *map(_as_written, whose.values()), width_ns)
        return [(int(at_ns), int(amount)) for at_ns, amount in self._read(sql, values)]

    def _read(self, sql: str, values: Sequence[object]) -> list[tuple[int, int]]:
        if self._path is None:
            return []
        file = _identity(self._path)
        if file != self._file:  # it was moved, or deleted, or made
            self.close()
            self._file = file
        if file is None:
            return []
        try:
            if self._db is None:
                self._db = read_file(self._path)
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self.close()
            raise LedgerError(f"cannot read the ledger {self._path}: {error}") from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _as_written(name: str) -> str:
    """As the ledger writes what a database cannot hold."""
    return name.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
