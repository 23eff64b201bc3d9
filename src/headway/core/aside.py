"""Places set aside: who need not be asked until something named has happened, or its time has passed."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

P = TypeVar("P")


class Aside(Generic[P]):
    """Groups by what they wait for, in the order they came. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[P, None]] = {}
        self._ends: list[tuple[float, str]] = []  # a heap of when groups come back at the latest
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[P]:
        return (place for group in self._groups.values() for place in group)

    def put(self, place: P, what: str, until: float) -> None:
        """Set a place aside. The first of a group says until when, at the latest."""
        group = self._groups.get(what)
        if group is None:
            group = self._groups[what] = {}
            heappush(self._ends, (until, what))
        group[place] = None
        self._size += 1

    def remove(self, place: P, what: str) -> None:
        """One of them is gone."""
        group = self._groups[what]
        del group[place]
        self._size -= 1
        if not group:
            del self._groups[what]

    def take(self, what: str) -> list[P]:
        """It has happened: all who waited for it, in the order they came."""
        group = self._groups.pop(what, {})
        self._size -= len(group)
        return list(group)

    @property
    def next_due(self) -> float | None:
        """When the first of them comes back at the latest."""
        while self._ends and self._ends[0][1] not in self._groups:
            heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def due(self, now: float) -> list[str]:
        """What need not be waited for any longer."""
        late = []
        while self._ends and (self._ends[0][0] <= now or self._ends[0][1] not in self._groups):
            what = heappop(self._ends)[1]
            if what in self._groups:
                late.append(what)
        return late
