"""The output file: one line for each `custom_id`, appended as calls finish.

The file itself is the record of what is done. A line counts once its line end is there: whatever follows the last one,
after a kill or a power failure, is cut off on the next start. Each line is one write, so a killed process leaves at
most one line half-written; the disk is told to keep what was written at most a second later (`sync`). A full disk loses
nothing: the line is taken back to its start and kept, and the caller stops sending until it fits.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

from headway.errors import OutputError
from headway.jobs.result import Known, Result, read_result, write_result

_READ = 1 << 20
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Verdict(Enum):
    """What to do with a result that is on file."""

    KEEP = "keep"
    DROP = "drop"
    FOREIGN = "foreign"


class Results:
    """Appends to `path`, alone: a second process on the same file gets an OutputError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting: list[bytes] = []  # lines that could not be written yet
        self.may_clear = True  # whether what keeps them from being written may clear by itself: a full disk
        self.exit_code = 5
        self.patience_s = 2.0  # how long to wait before it is tried again
        self.blocked = "the disk is full: results are kept in memory, sending has stopped until there is room"
        self._real = Path(os.path.realpath(path))  # a link stays a link when the file is written anew
        try:
            self._real.parent.mkdir(parents=True, exist_ok=True)
            if self._real.exists() and not self._real.is_file():
                raise OutputError(
                    f"{path} is not a file",
                    hint="Name a file; -o - writes to standard output, without resuming.",
                )
            self._fd = self._open()
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from None
        self._end = os.fstat(self._fd).st_size
        self._synced = True

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on file."""
        return self._end == 0

    def is_file(self, other: int) -> bool:
        """Whether an open file is this one."""
        return os.path.samestat(os.fstat(self._fd), os.fstat(other))

    def _open(self) -> int:
        """Open and lock; again if meanwhile another process has put a new file in its place."""
        while True:
            descriptor = os.open(self._real, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                self._lock(descriptor)
                if os.path.samestat(os.fstat(descriptor), os.stat(self._real)):
                    return descriptor
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another headway is writing {self.path}", hint="Wait for it, or choose another -o."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # a file system without locks: the user must see to it
                raise

    def restart(self) -> None:
        """Forget all results. Raises OutputError if what is there does not look like results."""
        first = next((line for _, _, line in self._lines()), b"")
        if first and b"\0" not in first and read_result(first) is None:
            raise OutputError(
                f"{self.path} holds something else than results, so it is not overwritten",
                hint="Choose another -o, or remove the file yourself.",
            )
        self._cut(0)

    def repair(self, look: Callable[[Known], Verdict]) -> int:
        """Show `look` every result, and drop what it wants dropped; returns how many are kept.

        A half-written last line is cut off, lines that a power failure left as NUL bytes are dropped. Raises OutputError
        for any other damage, and where `look` says FOREIGN: a result that is no part of this job, or stands there twice.
        """
        count, drop = 0, array("I")
        for number, start, line in self._lines():
            known = read_result(line)
            if known is None:
                if line.strip() and b"\0" not in line:
                    raise self._wrong(number, "not a result", "Mend the line, or begin anew with --restart.")
                drop.append(number)
                continue
            match look(known):
                case Verdict.KEEP:
                    count += 1
                    if start + len(line) == self._end:  # whole, but for its line end
                        self._write(b"\n")
                case Verdict.DROP:
                    drop.append(number)
                case Verdict.FOREIGN:
                    raise self._wrong(
                        number,
                        f"{known.custom_id!r} is not a line of this job, or has a result already",
                        "Use another -o for another job, or begin anew with --restart.",
                    )
        if drop:
            self._write_anew(drop)
        return count

    def _wrong(self, number: int, what: str, hint: str) -> OutputError:
        return OutputError(f"{self.path}, line {number}: {what}", hint=hint)

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Number, start and bytes of each line; what follows the last line end is cut off unless it is a whole result."""
        rest, start, number, position = b"", 0, 0, 0
        while chunk := os.pread(self._fd, _READ, position):
            position += len(chunk)
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                number += 1
                yield number, start, line
                start += len(line) + 1
        if rest and read_result(rest) is not None:
            yield number + 1, start, rest
        elif rest and (number or rest[:1] in (b"{", b"\0")):
            self._cut(start)
        elif rest:  # one line without an end, and no JSON: some other file, not to be touched
            yield 1, start, rest

    def _cut(self, end: int) -> None:
        os.ftruncate(self._fd, end)
        self._end = end

    def _write_anew(self, drop: array[int]) -> None:
        """Write the file without some of its lines (numbers in order): whole, or not at all."""
        temporary = self._real.with_name(self._real.name + ".tmp")
        dropped = iter([*drop, 0])
        next_drop = next(dropped)
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC)
            self._lock(descriptor)
            with os.fdopen(descriptor, "ab", closefd=False) as file:
                for number, _, line in self._lines():
                    if number == next_drop:
                        next_drop = next(dropped)
                    else:
                        file.write(line + b"\n")
            os.fchmod(descriptor, os.fstat(self._fd).st_mode & 0o7777)
            os.fsync(descriptor)
            os.replace(temporary, self._real)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OutputError(f"cannot write {temporary}: {error.strerror}") from None
        os.close(self._fd)
        self._fd, self._end = descriptor, os.fstat(descriptor).st_size

    def append(self, custom_id: str, result: Result) -> bool:
        """Write one result; False if it cannot be written now: it is kept, and `retry` tries again."""
        self.waiting.append(write_result(custom_id, result))
        return self.retry()

    def retry(self) -> bool:
        """Write what waits. False: it still cannot be written."""
        while self.waiting:
            if not self._write(self.waiting[0]):
                return False
            del self.waiting[0]
        return True

    def _write(self, line: bytes) -> bool:
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.may_clear = error.errno in _FULL
            if view.nbytes < len(line):
                os.ftruncate(self._fd, self._end)
            return False
        self._end += len(line)
        self._synced = False
        return True

    def sync(self) -> None:
        """Have the disk keep what was written, and see that the file is still there. May take a while.

        Raises OutputError if the disk does not, or if the file was moved or removed.
        """
        try:
            if not self._synced:
                self._synced = True
                os.fsync(self._fd)
            if os.path.samestat(os.fstat(self._fd), os.stat(self._real)):
                return
        except FileNotFoundError:
            pass
        except OSError as error:
            raise OutputError(f"the disk does not keep {self.path}: {error.strerror}") from None
        raise OutputError(
            f"{self.path} was moved or removed while the job was writing it",
            hint="Put it back; the same command goes on with it.",
        )

    def rescue(self) -> Path | None:
        """Put what could not be written somewhere else, and say where; None: nothing waits, or nothing worked."""
        if not self.waiting:
            return None
        for folder in (str(self._real.parent), tempfile.gettempdir()):
            try:
                descriptor, name = tempfile.mkstemp(".jsonl", f"{self._real.stem}.unsaved-", folder)
            except OSError:
                continue
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.writelines(self.waiting)
            except OSError:
                os.unlink(name)
                continue
            self.waiting.clear()
            return Path(name)
        return None

    def close(self) -> None:
        """Let go of the file. If it was removed meanwhile, it is written again: its results were paid for."""
        if os.fstat(self._fd).st_nlink == 0 and self._end:
            try:
                with self._real.open("xb") as file:
                    os.lseek(self._fd, 0, os.SEEK_SET)
                    with os.fdopen(os.dup(self._fd), "rb") as old:
                        shutil.copyfileobj(old, file)
            except OSError:
                pass  # somebody has made another one: theirs stays
        os.close(self._fd)
