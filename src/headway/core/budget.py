"""A cap that you set on money. Nanodollars, as integers.

A call holds the most it can cost before it is sent, and settles for what it did cost: so the cap is never passed, at
the price that near the cap fewer calls run at once.
"""

from __future__ import annotations


class Budget:
    """Decides whether one more call may cost what it can cost."""

    def __init__(self, cap: int, spent: int = 0) -> None:
        self.cap = cap
        self.spent = spent
        self.held = 0

    def fits(self, most: int) -> bool:
        """Whether a call that costs at most `most` fits beside the calls in flight."""
        return self.spent + self.held + most <= self.cap

    def is_over(self, most: int) -> bool:
        """Whether such a call would not fit even if nothing were in flight."""
        return self.spent + most > self.cap

    def hold(self, most: int) -> None:
        """A call that costs at most `most` is about to go."""
        self.held += most

    def settle(self, most: int, cost: int) -> None:
        """It is over and cost `cost`."""
        self.held -= most
        self.spent += cost
