"""Ends what takes too long: a regular expression may try for years, and nothing else breaks it off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TookTooLong(BaseException):
    """The time is up. Not an Exception, so that code which catches all of those does not catch it."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TookTooLong if the block takes longer.

    By an alarm of the operating system, which `re` looks for while it tries, so it costs nothing. Where there is none (on
    Windows, or off the main thread), time is not bounded. An alarm that is set already is put off, not lost.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, ring)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, every)
        signal.signal(signal.SIGALRM, before)
