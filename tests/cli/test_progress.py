"""How far it is, for eyes that wait; nothing for anybody else."""

from __future__ import annotations

from io import StringIO

import pytest

from headway.cli import progress
from headway.cli.progress import Progress


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_and_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_AFTER_S", 0.0)
    out = Terminal()
    with Progress(out, "adding up") as shown:
        shown.left(12_345)
        shown.left(9)  # too soon after the other
    assert out.getvalue() == "\r\x1b[Kadding up: 12,345 attempts left\r\x1b[K"


def test_what_takes_less_than_a_second_says_nothing() -> None:
    out = Terminal()
    with Progress(out, "adding up") as shown:
        shown.left(5)
    assert out.getvalue() == ""


def test_a_pipe_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_AFTER_S", 0.0)
    out = StringIO()
    with Progress(out, "adding up") as shown:
        shown.done(5)
    assert out.getvalue() == ""
