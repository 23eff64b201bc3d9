"""A cap that you set, in whole units: nanodollars, tokens, or calls.

A call holds an amount before it is sent, and settles for what it took. Where it holds the most it can take, the cap is
never passed, at the price that near the cap fewer calls run at once; where it holds what is expected, the cap is passed
by no more than calls took beyond that.
"""

from __future__ import annotations

from headway.core.call import Unit

SHARES_TOLD = (1.0, 0.8)  # of a cap, that are news when they are passed; the highest first
MODELS_KEPT = 20  # by which it is told who used a budget; others count as one
OTHERS = "other models"


class Budget:
    """Decides whether one more call may take what it may take. `by` says how many calls of which model used how much.
    A `soft` one is told of when it is passed, and refuses nothing."""

    __slots__ = ("by", "cap", "held", "in_flight", "name", "soft", "spent", "told", "unit")

    def __init__(
        self, cap: int, spent: int = 0, *, name: str = "", unit: Unit = Unit.USD, soft: bool = False
    ) -> None:
        self.name = name
        self.unit = unit
        self.soft = soft
        self.cap = cap
        self.spent = spent
        self.held = 0
        self.in_flight = 0
        self.told = 0.0  # the share of the cap that was told last
        self.by: dict[str, tuple[int, int]] = {}

    def look(self, at_ns: int) -> None:
        """It is `at_ns` now, wall time. What was spent stays spent, unless the budget rolls."""

    def fits(self, most: int) -> bool:
        """Whether a call that takes at most `most` fits beside the calls in flight."""
        return self.spent + self.held + most <= self.cap

    def is_over(self, most: int) -> bool:
        """Whether such a call would not fit even if nothing were in flight."""
        return self.spent + most > self.cap

    def hold(self, most: int) -> None:
        """A call that takes at most `most` is about to go."""
        self.held += most
        self.in_flight += 1

    def settle(self, most: int, took: int, model: str = "") -> None:
        """It is over and took `took`."""
        self.held -= most
        self.in_flight -= 1
        self.spent += took
        if took and model:
            name = model if model in self.by or len(self.by) < MODELS_KEPT else OTHERS
            calls, used = self.by.get(name, (0, 0))
            self.by[name] = (calls + 1, used + took)

    def change(self, cap: int) -> None:
        """You set another cap. What was told of the old one is news again if it is raised."""
        if cap > self.cap:
            self.told = 0.0
        self.cap = cap

    def passed(self) -> float | None:
        """The share of the cap that has been passed and was not told yet; from now on it is told."""
        for share in SHARES_TOLD:
            if share <= self.told:
                return None
            if self.spent >= share * self.cap:
                self.told = share
                return share
        return None
