"""Reads the parts of a fingerprint that rules ask for, without unpacking it: most attempts need one look.

The format is `core.fingerprint`'s: 16 bytes a cut, in the order of the request; cuts of messages come last.
"""

from __future__ import annotations

_CUT, _NAME = 16, 8
_MESSAGES = 2  # the number of that part
NO_SHAPE = (-1, 0)
MOST_SHAPES = 50_000  # of all slices: beyond that requests are not told apart by it


def count(mark: bytes) -> int:
    """How many cuts there are. 0 for what is no fingerprint."""
    return 0 if len(mark) % _CUT else len(mark) // _CUT


def name(mark: bytes, at: int) -> bytes:
    """What cut `at` is called: equal for equal beginnings."""
    return mark[at * _CUT : at * _CUT + _NAME]


def size(mark: bytes, at: int) -> int:
    """Bytes of the request up to cut `at`."""
    start = at * _CUT + _NAME
    return int.from_bytes(mark[start : start + 4], "little")


def fixed(mark: bytes) -> int:
    """How many cuts are of tools and the system prompt, which do not grow from turn to turn."""
    return len(mark) // _CUT - mark[14::_CUT].count(_MESSAGES)


def place_of(mark: bytes, wanted: bytes) -> int | None:
    """Which cut is called `wanted`. None: none is, so the requests part before it."""
    at = mark.rfind(wanted)
    while at >= 0 and at % _CUT:
        at = mark.rfind(wanted, 0, at + _NAME - 1)
    return at // _CUT if at >= 0 else None


def whole(mark: bytes) -> bytes:
    """The name of the whole request; empty where the last cut is none of the messages, so that more came after it."""
    return mark[-_CUT : _NAME - _CUT] if mark and mark[-2] == _MESSAGES else b""


def shape(mark: bytes) -> tuple[int, int]:
    """What tells one program's requests from another's though their words differ: blocks before the messages, and roughly
    how long those are."""
    steady = fixed(mark)
    return (steady, size(mark, steady - 1) >> 6 if steady else 0)
