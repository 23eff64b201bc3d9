"""One thread that writes what callers hand over, in small batches; a caller never waits and never sees an error.

    put() ──► queue ──► gather (100 items or 10 ms) ──► write(batch) ──► on file
                                    ▲                      │ fails: kept, tried again, told in `problem`
                                    └──────────────────────┘

While writing fails, items stay in memory up to `bound`; what comes beyond it is dropped and counted. A small batch holds
the interpreter lock for a short time, which is what the calls beside it notice.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from headway.errors import LedgerError

_BATCH = 100
_GATHER_S = 0.010
_PAUSES_S = (0.05, 0.1, 0.25, 0.5, 1.0)  # between attempts to write, the last one for ever
_IDLE_S = 0.25  # nothing came for so long
_MOST_AT_WORK = 200_000  # items written without any such time
_FORK_S = 0.5  # a fork waits so long for what is in the queue
_BOUND = 50_000

_log = logging.getLogger("headway.ledger")


class _Mark:
    """Goes through the queue like an item: when it comes out, all before it is on file."""

    __slots__ = ("last", "reached")

    def __init__(self, last: bool = False) -> None:
        self.reached = threading.Event()
        self.last = last


class Writer:
    """`write` puts a batch on file and returns how many items it had to refuse; LedgerError: try again later.

    `release` lets go of files, before a fork and at the end; `idle` may use them when nothing is to be written, and says
    whether it has more to do. All of them run under one lock, never at the same time. A forked child begins with an empty
    queue and, at its first item, with a thread of its own: the parent writes what was in its queue.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Any]], int],
        release: Callable[[], None],
        *,
        bound: int = _BOUND,
        idle: Callable[[], bool] = lambda: False,
    ) -> None:
        self._write = write
        self._release = release
        self._idle = idle
        self._bound = bound
        self._dropped = 0
        self._failure = ""
        self._stopped = False
        self._deadline: float | None = None
        self._thread: threading.Thread | None = None
        self._begin()
        _living.add(self)
        atexit.register(self.stop)
        self._start()

    def put(self, item: object) -> None:
        """Hand an item over. Returns at once."""
        if self._thread is None and not self._start():
            return self._drop(1)
        waiting = self._queue.qsize()
        if waiting >= self._bound:
            return self._drop(1)
        self._queue.put(item)
        if waiting >= _BATCH and not self._hurry.is_set():
            self._hurry.set()
        return None

    @property
    def problem(self) -> str | None:
        """What is wrong now, or what was lost, in one sentence; None: all is on file or on its way there."""
        if self._failure:
            return f"{self._failure}; {self.waiting} entries wait in memory, {self._dropped} were dropped"
        return f"{self._dropped} entries were dropped" if self._dropped else None

    @property
    def dropped(self) -> int:
        """Items that will never be on file."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Items not on file yet."""
        return self._queue.qsize() + self._held

    def flush(self, timeout_s: float) -> None:
        """Wait until all that was put before is on file. LedgerError, with the reason, if that takes too long."""
        if self._thread is None:
            return
        mark = _Mark()
        self._queue.put(mark)
        self._hurry.set()
        if not mark.reached.wait(timeout_s):
            raise LedgerError(f"the ledger is not on file: {self.problem or 'writing takes too long'}")

    def stop(self, timeout_s: float = 5.0) -> None:
        """Write what is left, for at most `timeout_s`, and end the thread. Never raises; `problem` tells what was lost."""
        atexit.unregister(self.stop)
        self._stopped = True
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._deadline = time.monotonic() + timeout_s
        self._queue.put(_Mark(last=True))
        self._hurry.set()
        self._stopping.set()
        thread.join(timeout_s + 1.0)
        self._drop(self.waiting)

    def _begin(self) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._hurry = threading.Event()
        self._stopping = threading.Event()
        self._writing = threading.Lock()
        self._held = 0
        self._written = 0  # since the last time that there was nothing to do
        self._thread = None

    def _start(self) -> bool:
        """False: no thread can be had any more (stopped, or the interpreter is ending)."""
        with _starting:
            if self._thread is None and not self._stopped:
                thread = threading.Thread(target=self._run, name="headway-ledger", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return False
                self._thread = thread
        return self._thread is not None

    def _drop(self, count: int) -> None:
        with _starting:
            self._dropped += count

    def _run(self) -> None:
        queue = self._queue
        last = False
        while not last:
            batch, marks = self._gather(queue)
            last = any(mark.last for mark in marks)
            self._held = len(batch)
            self._settle(batch)
            self._held = 0
            if last:
                with self._writing:
                    self._release()
            for mark in marks:
                mark.reached.set()
            self._written += len(batch)
            if self._written >= _MOST_AT_WORK and not last:
                self._tidy()

    def _gather(self, queue: SimpleQueue[Any]) -> tuple[list[Any], list[_Mark]]:
        first = self._first(queue)
        if queue.qsize() < _BATCH - 1:
            self._hurry.wait(_GATHER_S)
        self._hurry.clear()
        batch, marks = [], []
        try:
            while True:
                if isinstance(first, _Mark):
                    marks.append(first)
                else:
                    batch.append(first)
                if len(batch) == _BATCH:
                    break
                first = queue.get_nowait()
        except Empty:
            pass
        return batch, marks

    def _first(self, queue: SimpleQueue[Any]) -> Any:
        """The next item. If none comes for a while after some were written, there is time for other things."""
        while self._written:
            try:
                return queue.get(timeout=_IDLE_S)
            except Empty:
                self._tidy()
        return queue.get()

    def _tidy(self) -> None:
        """It is for later reports: nobody waits for it, and if it fails, nothing is lost."""
        more = False
        with self._writing, suppress(Exception):
            more = self._idle()
        self._written = 1 if more else 0

    def _settle(self, batch: list[Any]) -> None:
        """Write the batch, again and again until it is on file or there is no time left."""
        failures = 0
        while batch:
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return self._drop(len(batch))
            try:
                with self._writing:
                    refused = self._write(batch)
            except LedgerError as error:
                self._failed(str(error))
            except Exception as error:
                self._failed(f"{type(error).__name__} while writing the ledger")
                return self._drop(len(batch))
            else:
                self._failure = ""
                return self._drop(refused) if refused else None
            pause_s = _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]
            if self._stopping.wait(pause_s):
                time.sleep(_PAUSES_S[0])
            failures += 1
        return None

    def _failed(self, reason: str) -> None:
        if not self._failure:
            _log.warning("%s; entries are kept in memory and written later", reason)
        self._failure = reason

    def _before_fork(self) -> None:
        """A connection must not cross a fork: close it while nothing is being written (it comes back when needed).

        What waits is written first, if that can be soon, so that the child knows the same attempts under way.
        """
        with suppress(LedgerError):
            self.flush(_FORK_S)
        self._writing.acquire()
        self._release()

    def _in_parent(self) -> None:
        self._writing.release()

    def _in_child(self) -> None:
        self._dropped, self._failure = 0, ""
        self._begin()


_starting = threading.Lock()
_one_fork = threading.Lock()
_living: weakref.WeakSet[Writer] = weakref.WeakSet()
_forking: list[Writer] = []


def _before_fork() -> None:
    _one_fork.acquire()
    _forking[:] = _living
    for writer in _forking:
        writer._before_fork()
    _starting.acquire()


def _after_in_parent() -> None:
    _starting.release()
    for writer in _forking:
        writer._in_parent()
    _forking.clear()
    _one_fork.release()


def _after_in_child() -> None:
    global _starting, _one_fork
    _starting, _one_fork = threading.Lock(), threading.Lock()
    for writer in _forking:
        writer._in_child()
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
