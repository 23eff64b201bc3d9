"""The output file: one line for each `custom_id`, appended as calls finish, in the form of Message Batches results.

The file itself is the record of what is done. A line counts once its line end is there: whatever follows the last one,
after a kill or a power failure, is cut off on the next start. Each line is one write, so a killed process leaves at
most one line half-written; the disk is told to keep what was written at most a second later (`sync`). A full disk loses
nothing: the line is taken back to its start and kept, and the caller stops sending until it fits.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import OutputError

_id_of = msgspec.json.Decoder(dict[str, msgspec.Raw])
_READ = 1 << 20


class Results:
    """Appends to `path`, alone: a second process on the same file gets an OutputError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self.waiting: list[bytes] = []  # lines that did not fit on the disk yet
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from None
        self._lock()
        self._end = os.fstat(self._fd).st_size
        self._synced = True

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise OutputError(
                f"another headway is writing {self.path}", hint="Wait for it, or choose another -o."
            ) from None

    def restart(self) -> None:
        """Forget all results."""
        os.ftruncate(self._fd, 0)
        self._end = 0

    def repair(self, seen: Callable[[str, bool], bool]) -> int:
        """Tell `seen` the id of every result and whether it succeeded; returns how many there are.

        A half-written last line is cut off. Raises OutputError for a damaged line that is not the last, and where
        `seen` says False: a result that is no part of this job, or stands there twice.
        """
        count = 0
        for number, start, line in self._lines():
            read = _read_result(line)
            if read is None:
                if start + len(line) >= self._end - 1:
                    self._cut(start)
                    break
                raise OutputError(
                    f"{self.path}, line {number}: not a result",
                    hint="Mend the line, or begin anew with --restart.",
                )
            if not seen(*read):
                raise OutputError(
                    f"{self.path}, line {number}: {read[0]!r} is not a line of this job, or has a result already",
                    hint="Use another -o for another job, or begin anew with --restart.",
                )
            count += 1
        return count

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Number, start and bytes of each line that has its line end; what follows the last one is cut off."""
        rest, start, number, position = b"", 0, 0, 0
        while chunk := os.pread(self._fd, _READ, position):
            position += len(chunk)
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                number += 1
                yield number, start, line
                start += len(line) + 1
        if rest:
            self._cut(start)

    def _cut(self, end: int) -> None:
        os.ftruncate(self._fd, end)
        self._end = end

    def append(self, custom_id: str, result: dict[str, Any]) -> bool:
        """Write one result; False if the disk is full: it is kept, and `retry` tries again."""
        self.waiting.append(msgspec.json.encode({"custom_id": custom_id, "result": result}) + b"\n")
        return self.retry()

    def retry(self) -> bool:
        """Write what waits. False: the disk is still full."""
        while self.waiting:
            if not self._write(self.waiting[0]):
                return False
            del self.waiting[0]
            self.written += 1
        return True

    def _write(self, line: bytes) -> bool:
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, self._end)
            return False
        self._end += len(line)
        self._synced = False
        return True

    def sync(self) -> None:
        """Have the disk keep what was written. May take a while: call it beside the event loop."""
        if not self._synced:
            self._synced = True
            os.fsync(self._fd)

    def drop_errored(self) -> int:
        """Take errored results out, so that their lines run again; returns how many. All or nothing."""
        temporary = self.path.with_name(self.path.name + ".tmp")
        dropped = 0
        with temporary.open("wb") as file:
            for _, _, line in self._lines():
                read = _read_result(line)
                if read is not None and read[1]:
                    file.write(line + b"\n")
                else:
                    dropped += 1
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        os.close(self._fd)
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND)
        self._lock()
        self._end = os.fstat(self._fd).st_size
        return dropped

    def close(self) -> None:
        """Let go of the file."""
        self.sync()
        os.close(self._fd)


def succeeded(message: Any) -> dict[str, Any]:
    """The result of a call that was answered."""
    return {"type": "succeeded", "message": message}


def errored(error_type: str, message: str, request_id: str | None = None) -> dict[str, Any]:
    """The result of a call that was not."""
    error: dict[str, Any] = {"type": "error", "error": {"type": error_type, "message": message}}
    if request_id:
        error["request_id"] = request_id
    return {"type": "errored", "error": error}


def _read_result(line: bytes) -> tuple[str, bool] | None:
    """Id, and whether it succeeded; None if it is not a result."""
    try:
        fields = _id_of.decode(line)
        custom_id = msgspec.json.decode(fields["custom_id"], type=str)
        kind = msgspec.json.decode(_id_of.decode(fields["result"])["type"], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return None
    return custom_id, kind == "succeeded"
