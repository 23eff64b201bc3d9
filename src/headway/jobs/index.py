"""The pre-flight scan: every line is read and checked before anything is sent, and a compact index of the file is kept.

Memory: at most 32 bytes a line (offset 8, hash of `custom_id` 8, its hash table 4 to 8, cell 4).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from headway.core.call import Estimate, Identity
from headway.errors import JobFileError
from headway.jobs.lines import Line, custom_id_of
from headway.jobs.order import Cell, Kind

LINE_LIMIT = 256 * 1024 * 1024  # what the Message Batches API takes as a whole
SHOWN = 20  # bad lines that are reported one by one


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be run."""

    number: int
    custom_id: str | None
    problem: str

    def __str__(self) -> str:
        name = f" ({self.custom_id})" if self.custom_id else ""
        return f"line {self.number}{name}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Checked:
    """A good line, with what it is expected to take."""

    line: Line
    identity: Identity
    estimate: Estimate


Check = Callable[[bytes, int], Checked]


class Ids:
    """A set of `custom_id`s that knows which line has which: an open-addressing table over 64-bit hashes."""

    def __init__(self) -> None:
        self._hashes = array("Q")  # by line number from 0; 0: a blank line
        self._table = array("I", bytes(4 * 1024))  # line number from 1; 0: free

    def add(self, custom_id: str) -> int | None:
        """Add the next line's id; returns the number of an earlier line (from 0) that has the same, else None."""
        number = len(self._hashes)
        key = _key(custom_id)
        earlier = self._find(key)
        self._hashes.append(key)
        if earlier is not None:
            return earlier
        if number * 3 > len(self._table) * 2:
            self._grow()
        self._put(key, number)
        return None

    def skip(self) -> None:
        """The next line has no id."""
        self._hashes.append(0)

    def line_of(self, custom_id: str) -> int | None:
        """The number (from 0) of the line with this id."""
        return self._find(_key(custom_id))

    def _find(self, key: int) -> int | None:
        mask = len(self._table) - 1
        place = key & mask
        while (entry := self._table[place]) != 0:
            if self._hashes[entry - 1] == key:
                return entry - 1
            place = (place + 1) & mask
        return None

    def _put(self, key: int, number: int) -> None:
        mask = len(self._table) - 1
        place = key & mask
        while self._table[place] != 0:
            place = (place + 1) & mask
        self._table[place] = number + 1

    def _grow(self) -> None:
        self._table = array("I", bytes(4 * 2 * len(self._table)))
        for number, key in enumerate(self._hashes):
            if key and self._find(key) is None:
                self._put(key, number)


class Index:
    """What is known of a job file after the scan."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offsets = array("Q")
        self.ids = Ids()
        self.cells: list[Cell] = []
        self.bad: list[BadLine] = []
        self.bad_count = 0
        self.bad_lines = array("I")
        self.good_count = 0
        self.input_tokens = 0.0
        self.most_output_tokens = 0
        self.digest = ""
        self.size = 0
        self._by_kind: dict[Kind, Cell] = {}
        self._file: BinaryIO | None = None

    def note_good(self, number: int, checked: Checked) -> None:
        """Line `number` (from 0) can be run."""
        estimate = checked.estimate
        kind = Kind(
            checked.identity.pool or "",
            checked.identity.model,
            estimate.prefix,
            int(estimate.input_tokens).bit_length(),
            estimate.max_output_tokens.bit_length(),
        )
        cell = self._by_kind.get(kind)
        if cell is None:
            cell = self._by_kind[kind] = Cell(kind)
            self.cells.append(cell)
        cell.lines.append(number)
        self.good_count += 1
        self.input_tokens += estimate.input_tokens
        self.most_output_tokens += estimate.max_output_tokens

    def note_bad(self, bad: BadLine) -> None:
        """A line cannot be run; the first few are kept to be shown."""
        self.bad_count += 1
        self.bad_lines.append(bad.number - 1)
        if len(self.bad) < SHOWN:
            self.bad.append(bad)

    def read(self, number: int) -> bytes:
        """The bytes of line `number` (from 0), without its line end."""
        if self._file is None:
            self._file = self.path.open("rb")
        start = self.offsets[number]
        self._file.seek(start)
        return self._file.read(self.offsets[number + 1] - start).rstrip(b"\r\n")

    def close(self) -> None:
        """Close the job file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def without(self, done: bytearray) -> list[Cell]:
        """The cells, without the lines that are done (one byte a line)."""
        return [
            Cell(cell.kind, array("I", (number for number in cell.lines if not done[number])))
            for cell in self.cells
        ]


def scan(path: Path, check: Check, progress: Callable[[int], None] = lambda _read: None) -> Index:
    """Read and check all of `path`. `check` raises JobFileError for a line that cannot be run.

    Raises JobFileError if the file cannot be read. Bad lines do not raise: they are noted.
    """
    index = Index(path)
    digest = blake2b(digest_size=16)
    offset = 0
    for number, data in _lines_of(path):
        index.offsets.append(offset)
        offset += len(data)
        digest.update(data)
        text = data.strip()
        if not text:
            index.ids.skip()
        else:
            _look(index, number, text, check)
        if number % 1000 == 0:
            progress(offset)
    index.offsets.append(offset)
    index.size, index.digest = offset, digest.hexdigest()
    progress(offset)
    return index


def _look(index: Index, number: int, text: bytes, check: Check) -> None:
    try:
        checked = check(text, number + 1)
    except JobFileError as error:
        custom_id = custom_id_of(text)
        if custom_id is None or index.ids.line_of(custom_id) is not None:
            index.ids.skip()
        else:
            index.ids.add(custom_id)
        index.note_bad(BadLine(number + 1, custom_id, str(error)))
        return
    earlier = index.ids.add(checked.line.custom_id)
    if earlier is not None:
        index.note_bad(
            BadLine(number + 1, checked.line.custom_id, f"the same custom_id as line {earlier + 1}")
        )
        return
    index.note_good(number, checked)


def _lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while data := file.readline(LINE_LIMIT):
                yield number, data
                number += 1
    except OSError as error:
        raise JobFileError(f"cannot read {path}: {error.strerror}") from None


def _key(custom_id: str) -> int:
    return (
        int.from_bytes(blake2b(custom_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        or 1
    )
