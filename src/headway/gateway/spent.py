"""What was spent before, out of the ledger: so a restart forgets nothing.

It counts as the books of the engine do: tokens are all input and output, money is what has a price, and a request is an
attempt that the provider took on, or that broke off after it was sent. Attempts that are still open count by their
estimate: a process that was killed, or one that is about to end beside this one, may be billed for them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headway.core.call import Unit, Usage
from headway.errors import LedgerError
from headway.ledger.file import read_file
from headway.ledger.price import Prices

_SUMS = {
    Unit.USD: "cost_nanousd",
    Unit.TOKENS: (
        "input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens"
    ),
    Unit.REQUESTS: "(estimated = 1 OR coalesce(status < 400, 0))",
}
_COLUMNS = {"tenant": "tenant", "session": "session", "job": "job", "model": "model_asked"}
_COLUMNS_OPEN = {**_COLUMNS, "model": "model"}
_ENDED = (
    "SELECT max(at_ns), coalesce(sum({sum}), 0) FROM attempts"
    " WHERE at_ns >= ? AND at_ns < ?{whose} GROUP BY at_ns / ? ORDER BY 1"
)
_OPEN = (
    "SELECT at_ns, model, estimated_input_tokens, estimated_output_tokens FROM open_attempts"
    " WHERE at_ns >= ? AND at_ns < ?{whose}"
)
_NEVER_NS = 2**63 - 1


class Spent:
    """Reads one ledger; None: there is none, and nothing was spent. For one thread at a time."""

    def __init__(self, path: Path | None, prices: Prices) -> None:
        self._path = path
        self._prices = prices
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def amount(self, unit: Unit, whose: Mapping[str, str], start_ns: int, end_ns: int | None) -> int:
        """What was spent of `unit` by attempts sent from `start_ns` to before `end_ns`. `whose`: tenant, session, job, model.

        Raises LedgerError if the ledger cannot be read.
        """
        end_ns = _NEVER_NS if end_ns is None else end_ns
        return sum(amount for _, amount in self._pieces(unit, whose, start_ns, end_ns, _NEVER_NS))

    def pieces(
        self, unit: Unit, whose: Mapping[str, str], start_ns: int, width_ns: int
    ) -> list[tuple[int, int]]:
        """The same since `start_ns`, in pieces of `width_ns`: the time of the last attempt in each, and the amount."""
        return sorted(self._pieces(unit, whose, start_ns, _NEVER_NS, width_ns))

    def close(self) -> None:
        """Close the file. It is opened again when it is needed."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _pieces(
        self, unit: Unit, whose: Mapping[str, str], start_ns: int, end_ns: int, width_ns: int
    ) -> Iterable[tuple[int, int]]:
        values = (start_ns, end_ns, *map(_as_written, whose.values()))
        ended = _ENDED.format(sum=_SUMS[unit], whose=_where(whose, _COLUMNS))
        open_ = _OPEN.format(whose=_where(whose, _COLUMNS_OPEN))
        settled, running = self._read((ended, (*values, width_ns)), (open_, values))
        yield from settled
        for at_ns, model, input_tokens, output_tokens in running:
            yield at_ns, self._estimate(unit, model, input_tokens, output_tokens, at_ns)

    def _estimate(self, unit: Unit, model: str, input_tokens: int, output_tokens: int, at_ns: int) -> int:
        match unit:
            case Unit.USD:
                usage = Usage(input_tokens, output_tokens=output_tokens, model=model)
                return self._prices.cost(model, usage, at_ns).nanousd or 0
            case Unit.TOKENS:
                return input_tokens + output_tokens
            case _:
                return 1

    def _read(self, *queries: tuple[str, Sequence[object]]) -> list[list[Any]]:
        """The rows of each, as of one moment."""
        if self._path is None:
            return [[] for _ in queries]
        file = _identity(self._path)
        if file != self._file:  # it was moved, or deleted, or made
            self.close()
            self._file = file
        if file is None:
            return [[] for _ in queries]
        try:
            if self._db is None:
                self._db = read_file(self._path)
            self._db.execute("BEGIN")
            found = [self._db.execute(sql, values).fetchall() for sql, values in queries]
            self._db.execute("ROLLBACK")
            return found
        except sqlite3.Error as error:
            self.close()
            raise LedgerError(f"cannot read the ledger {self._path}: {error}") from error


def _where(whose: Mapping[str, str], columns: Mapping[str, str]) -> str:
    return "".join(f" AND {columns[name]} = ?" for name in whose)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _as_written(name: str) -> str:
    """As the ledger writes what a database cannot hold."""
    return name.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
