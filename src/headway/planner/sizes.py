"""The exact estimates of single lines of a job, each made once."""

from __future__ import annotations

from headway.core.call import Estimate, Identity
from headway.jobs.index import Index
from headway.planner.shape import Check


class Sizes:
    """`check` is the full check of a line; of what it reads, only the estimate is kept."""

    def __init__(self, index: Index, check: Check) -> None:
        self._index = index
        self._check = check
        self._known: dict[int, tuple[Identity, Estimate]] = {}

    def checked_by(self, check: Check) -> Sizes:
        """The same lines by another check."""
        return Sizes(self._index, check)

    def of(self, number: int) -> tuple[Identity, Estimate]:
        """What line `number` (from 0) draws on and takes."""
        known = self._known.get(number)
        if known is None:
            checked = self._check(self._index.read(number), number + 1)
            known = self._known[number] = (checked.identity, checked.estimate)
        return known
