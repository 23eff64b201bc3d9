"""Finds beginnings of prompts that many lines of a job share, although no line marks one for the cache.

The cache works on beginnings in the order tools, system, messages. Two depths are looked at: tools and system prompt whole,
and these with the beginning of the first message. Equal beginnings are found by hash while the job is read, how far they
are equal by holding some of their lines against each other afterwards.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PROBE = 2_048  # characters of the first message that have to be equal before one looks further
KEPT = 200_000  # different beginnings that are told apart
WITNESSES = 4  # lines of a group that are held against each other
_NONE = 0


@dataclass(frozen=True, slots=True)
class Shared:
    """A beginning that `lines` (numbers from 0) share; `size` is its length in bytes."""

    lines: Sequence[int]
    size: int


class Beginnings:
    """Told of each line while a job is read; `shared` says afterwards which beginnings pay to be cached."""

    def __init__(self) -> None:
        self._heads: dict[int, int] = {}  # hash of model, tools and system -> its number, from 1
        self._sizes: list[int] = [0]  # of tools and system, by that number
        self._of_head = array("I")  # by line
        self._texts: dict[int, int] = {}  # the same with the beginning of the first message
        self._of_text = array("I")

    def note(self, number: int, model: str, tools: bytes, system: bytes, text: str) -> None:
        """Line `number` (from 0) begins like this."""
        for of_line in (self._of_head, self._of_text):
            if len(of_line) < number:
                of_line.extend([_NONE] * (number - len(of_line)))
        key = hash((model, tools, system))
        head = self._heads.get(key, _NONE)
        if head == _NONE and len(self._heads) < KEPT:
            head = self._heads[key] = len(self._sizes)
            self._sizes.append(len(tools) + len(system))
        self._of_head.append(head)
        deep = _NONE
        if len(text) > PROBE:
            key = hash((key, text[:PROBE]))
            deep = self._texts.get(key, _NONE)
            if deep == _NONE and len(self._texts) < KEPT:
                deep = self._texts[key] = len(self._texts) + 1
        self._of_text.append(deep)

    def shared(self, least: int, text_of: Callable[[int], str]) -> list[Shared]:
        """Beginnings of at least `least` bytes that two lines or more share, each line in one of them: the longer one.

        `text_of` reads the first message of a line.
        """
        found: list[Shared] = []
        taken: set[int] = set()
        for lines in _groups(self._of_text):
            size = self._sizes[self._of_head[lines[0]]] + _common([text_of(each) for each in _some(lines)])
            if size >= least:
                found.append(Shared(lines, size))
                taken.update(lines)
        for lines in _groups(self._of_head):
            size = self._sizes[self._of_head[lines[0]]]
            if size >= least:
                left = array("I", (each for each in lines if each not in taken)) if taken else lines
                if len(left) > 1:
                    found.append(Shared(left, size))
        return found


def _groups(numbers: array[int]) -> list[array[int]]:
    """Lines with the same number, of those that two or more have."""
    groups: dict[int, array[int]] = {}
    for line, number in enumerate(numbers):
        if number != _NONE:
            groups.setdefault(number, array("I")).append(line)
    return [lines for lines in groups.values() if len(lines) > 1]


def _some(lines: Sequence[int]) -> list[int]:
    step = max(1, (len(lines) - 1) // (WITNESSES - 1))
    return [*lines[::step][: WITNESSES - 1], lines[-1]]


def _common(texts: Sequence[str]) -> int:
    """Bytes that all of these texts begin with."""
    first, last = min(texts), max(texts)
    low, high = 0, min(len(first), len(last))
    while low < high:
        middle = (low + high + 1) // 2
        if first[:middle] == last[:middle]:
            low = middle
        else:
            high = middle - 1
    return len(first[:low].encode("utf-8", "surrogatepass"))
