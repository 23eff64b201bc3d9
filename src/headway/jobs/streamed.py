"""Results to standard output as they finish. Nothing is remembered: such a job cannot be resumed."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from pathlib import Path

from headway.jobs.result import Known, Result, write_result
from headway.jobs.results import Verdict

_AT_ONCE = select.PIPE_BUF  # a pipe that is ready takes so much without blocking


class Streamed:
    """Stands in for `results.Results` on a pipe or a terminal. A reader that is gone cannot come back."""

    def __init__(self, descriptor: int) -> None:
        self.path = Path("standard output")
        self.waiting: list[bytes] = []
        self.may_clear = True
        self.exit_code = 141  # as the shell says of SIGPIPE
        self.patience_s = 0.05
        self.blocked = "whoever reads the results is slow: sending has stopped until they are read"
        self.is_empty = True
        self._fd = descriptor

    def is_file(self, other: int) -> bool:
        """Whether an open file is this one."""
        return os.path.samestat(os.fstat(self._fd), os.fstat(other))

    def restart(self) -> None:
        """There is nothing to forget."""

    def repair(self, _look: Callable[[Known], Verdict]) -> int:
        """Nothing is done yet."""
        return 0

    def append(self, custom_id: str, result: Result) -> bool:
        """Write one result; False if nobody reads any more."""
        self.waiting.append(write_result(custom_id, result))
        return self.retry()

    def retry(self) -> bool:
        """Write what waits, as far as somebody reads; a line of which a part went out goes on where it ended."""
        while self.waiting:
            line = self.waiting[0]
            try:
                if not select.select([], [self._fd], [], 0)[1]:
                    return False
                self.waiting[0] = line[os.write(self._fd, line[:_AT_ONCE]) :]
            except OSError:
                self.may_clear = False
                return False
            if not self.waiting[0]:
                del self.waiting[0]
        return True

    def sync(self) -> None:
        """There is no disk."""

    def rescue(self) -> Path | None:
        """Nobody reads: there is no other place that anybody asked for."""
        return None

    def close(self) -> None:
        """Standard output is not ours to close."""
