"""Says how far something is that takes longer than a second: one line on a terminal, nothing elsewhere."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import TextIO

_FIRST_AFTER_S, _EVERY_S = 1.0, 0.2


class Progress:
    """`what` it is doing. Use as a context manager; call `left` or `done` as often as you like."""

    def __init__(self, out: TextIO, what: str, *, of: str = "left") -> None:
        self._out = out if out.isatty() else None
        self._what = what
        self._of = of
        self._next = monotonic() + _FIRST_AFTER_S
        self._is_shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown:
            self._say("\r\x1b[K")

    def left(self, count: int) -> None:
        """So many are left."""
        self._tell(count)

    def done(self, count: int) -> None:
        """So many are done."""
        self._tell(count)

    def _tell(self, count: int) -> None:
        now = monotonic()
        if self._out is not None and now >= self._next:
            self._next = now + _EVERY_S
            self._is_shown = True
            self._say(f"\r\x1b[K{self._what}: {count:,} attempts {self._of}")

    def _say(self, text: str) -> None:
        if self._out is not None:
            with suppress(OSError, ValueError):
                self._out.write(text)
                self._out.flush()
