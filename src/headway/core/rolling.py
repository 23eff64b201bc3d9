"""A budget for the last so many hours, at any moment: what was taken before that no longer counts.

What is taken is kept in some hundred pieces over the window, and a piece leaves when all of it is out. So what counts is
never less than what the window holds, and more only by what was taken in the hundredth part before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from headway.core.budget import Budget
from headway.core.call import Unit

PIECES = 100
_FRESH = 0.6  # of the cap: below it, what was told of the budget is news again


class RollingBudget(Budget):
    """`pieces` are amounts that were taken before, with their times, oldest first. Wall time, ns since 1970 UTC.

    A call counts from when it ended, as of the last `look`. A clock that goes back moves nothing.
    """

    __slots__ = ("_at_ns", "_pieces", "_window_ns")

    def __init__(
        self,
        cap: int,
        window_ns: int,
        pieces: Iterable[tuple[int, int]] = (),
        *,
        name: str = "",
        unit: Unit = Unit.USD,
        soft: bool = False,
    ) -> None:
        super().__init__(cap, name=name, unit=unit, soft=soft)
        self._window_ns = window_ns
        self._at_ns = 0
        self._pieces: deque[tuple[int, int, int]] = deque()  # from when, until when, how much
        for at_ns, amount in pieces:
            self._at_ns = at_ns
            self.spent += amount
            self._add(amount)

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """When what counts now was taken, and how much; oldest first."""
        return [(until, amount) for _, until, amount in self._pieces]

    def look(self, at_ns: int) -> None:
        """Forget what is out of the window by now."""
        if at_ns <= self._at_ns:
            return
        self._at_ns = at_ns
        pieces, begin = self._pieces, at_ns - self._window_ns
        while pieces and pieces[0][1] <= begin:
            self.spent -= pieces.popleft()[2]
        if self.told and self.spent < _FRESH * self.cap:
            self.told = 0.0

    def settle(self, most: int, took: int, model: str = "") -> None:  # noqa: ARG002 (as Budget has it)
        """It is over and took `took`. By which model is not kept: it would have to be forgotten, too."""
        super().settle(most, took)
        self._add(took)

    def clears_ns(self) -> int | None:
        """When something leaves the window, and what is spent is below the cap. None: when calls in flight end."""
        left = self.spent
        for _, until, amount in self._pieces:
            left -= amount
            if left < self.cap:
                return until + self._window_ns
        return None

    def _add(self, amount: int) -> None:
        if not amount:
            return
        pieces, now = self._pieces, self._at_ns
        if pieces and now - pieces[-1][0] < self._window_ns // PIECES:
            begun, _, before = pieces[-1]
            pieces[-1] = (begun, now, before + amount)
        else:
            pieces.append((now, now, amount))
