"""The pre-flight scan: every line is read and checked before anything is sent, and a compact index of the file is kept.

Memory: at most 32 bytes a line (offset 8, hash of `custom_id` 8 and its table 5 to 11, cell 4, done 1).
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import BinaryIO

from headway.core.call import Estimate, Identity
from headway.errors import JobFileError
from headway.jobs.ids import Ids
from headway.jobs.lines import Line, custom_id_of
from headway.jobs.order import Cell, Kind

LINE_LIMIT = 32 * 1024 * 1024  # what the Messages API takes
SHOWN = 20  # bad lines that are reported one by one
PREFIXES_KEPT = 4096  # shared prefixes that are warmed one by one
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be run."""

    number: int
    custom_id: str | None
    problem: str

    def __str__(self) -> str:
        name = f" ({self.custom_id})" if self.custom_id else ""
        return f"line {self.number:,}{name}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Checked:
    """A good line, with what it is expected to take."""

    line: Line
    identity: Identity
    estimate: Estimate


Check = Callable[[bytes, int], Checked]


class Index:
    """What is known of a job file after the scan. `file` stays open: another file put in its place does no harm."""

    def __init__(self, file: BinaryIO) -> None:
        self.offsets = array("Q")
        self.ids = Ids()
        self.cells: list[Cell] = []
        self.bad: list[BadLine] = []
        self.bad_count = 0
        self.bad_lines = array("I")
        self.good_count = 0
        self.input_tokens = 0.0
        self.digest = ""
        self.size = 0
        self._by_kind: dict[Kind, Cell] = {}
        self._prefixed = 0
        self._file = file
        self._seen_at = self._state()

    @property
    def lines(self) -> int:
        """Lines of the file, blank ones too."""
        return len(self.offsets) - 1

    @property
    def descriptor(self) -> int:
        """The open file."""
        return self._file.fileno()

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
        cell = self._by_kind.get(kind) or self._new_cell(kind)
        cell.lines.append(number)
        self.good_count += 1
        self.input_tokens += estimate.input_tokens

    def _new_cell(self, kind: Kind) -> Cell:
        if kind.prefix:
            self._prefixed += 1
            if self._prefixed > PREFIXES_KEPT:
                self._merge_lonely()
        if kind.prefix and self._prefixed > PREFIXES_KEPT:
            kind = kind.bare()
        return self._by_kind.setdefault(kind, Cell(kind))

    def _merge_lonely(self) -> None:
        """Prefixes that one line has share nothing: such lines need no cell of their own."""
        for kind, cell in list(self._by_kind.items()):
            if kind.prefix and len(cell.lines) == 1:
                bare = kind.bare()
                self._by_kind.setdefault(bare, Cell(bare)).lines.extend(cell.lines)
                del self._by_kind[kind]
                self._prefixed -= 1

    def note_bad(self, bad: BadLine) -> None:
        """A line cannot be run; the first few are kept to be shown."""
        self.bad_count += 1
        self.bad_lines.append(bad.number - 1)
        if len(self.bad) < SHOWN:
            self.bad.append(bad)

    def close(self, digest: str, size: int) -> None:
        """The scan is over. Raises JobFileError if the file has changed meanwhile."""
        self.digest, self.size = digest, size
        self.cells, self._by_kind = list(self._by_kind.values()), {}
        if self._state() != self._seen_at:
            raise JobFileError(
                "the job file changed while it was read", hint="Start again when it is complete."
            )

    def read(self, number: int) -> bytes:
        """Line `number` (from 0), bare. Raises JobFileError if the file has changed since the scan."""
        start = self.offsets[number]
        data = os.pread(self._file.fileno(), self.offsets[number + 1] - start, start)
        now = self._state()
        if now != self._seen_at:
            if self._digest_now() != self.digest:
                raise JobFileError(
                    "the job file changed while the job ran",
                    hint="What is done is kept. Put the file back, or go on with --accept-changes.",
                )
            self._seen_at = now  # only something was added at its end, or it was touched
        return bare(data, number)

    def _state(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def _digest_now(self) -> str:
        digest, position = blake2b(digest_size=16), 0
        while position < self.size:
            chunk = os.pread(self._file.fileno(), min(_CHUNK, self.size - position), position)
            if not chunk:
                return ""
            digest.update(chunk)
            position += len(chunk)
        return digest.hexdigest()

    def take_cells(self, done: bytearray) -> list[Cell]:
        """The cells, without the lines that are done (one byte a line). They are handed over: the index forgets them."""
        cells, self.cells = self.cells, []
        for cell in cells:
            cell.lines = array("I", (number for number in cell.lines if not done[number]))
        return cells


def scan(file: BinaryIO, check: Check, progress: Callable[[int], None] = lambda _read: None) -> Index:
    """Read and check all lines. `check` raises JobFileError for a line that cannot be run; `progress` gets bytes read.

    Raises JobFileError if the file cannot be read, or changes meanwhile. Bad lines do not raise: they are noted.
    """
    index = Index(file)
    digest = blake2b(digest_size=16)
    offset = 0
    for number, data, size in _lines_of(file, digest.update):
        index.offsets.append(offset)
        offset += size
        text = bare(data, number)
        if text:
            _look(index, number, text, check, size)
        else:
            index.ids.skip()
        if number % 256 == 0:
            progress(offset)
    index.offsets.append(offset)
    index.close(digest.hexdigest(), offset)
    progress(offset)
    return index


def bare(data: bytes, number: int) -> bytes:
    """A line without the blanks around it, and without the byte order mark that some editors put before the first."""
    return data.removeprefix(_BOM).strip() if number == 0 else data.strip()


def _look(index: Index, number: int, text: bytes, check: Check, size: int) -> None:
    try:
        if size > LINE_LIMIT:
            raise JobFileError(f"{size:,} bytes are more than the {LINE_LIMIT:,} that the API takes")
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
        problem = f"the same custom_id as line {earlier + 1:,}"
        index.note_bad(BadLine(number + 1, checked.line.custom_id, problem))
        return
    index.note_good(number, checked)


def _lines_of(file: BinaryIO, seen: Callable[[bytes], object]) -> Iterator[tuple[int, bytes, int]]:
    """Number, bytes and size of each line; of one that is too long, only the start."""
    try:
        file.seek(0)
        number = 0
        while data := file.readline(LINE_LIMIT):
            seen(data)
            size, end = len(data), data
            while not end.endswith(b"\n") and (end := file.readline(_CHUNK)):
                seen(end)
                size += len(end)
            yield number, data, size
            number += 1
    except OSError as error:
        raise JobFileError(f"cannot read the job file: {error.strerror}") from None
