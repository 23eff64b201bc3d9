"""Puts findings in order and counts no dollar twice.

Findings of one nature that touch the same slice are ways to the same tokens: the larger one counts, the other only with
what it adds. Findings of different natures follow one another: what is left of a slice's cost after the first is what the
second can save from. So the sum is never more than was spent, and never more than the findings one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from headway.insights.finding import Found, Saving
from headway.insights.thresholds import MONEY_ENOUGH_NANOUSD, MONEY_LEAST_NANOUSD, MONEY_SHARE
from headway.insights.traffic import Traffic

_YIELDS = {  # to a finding on the same slices that names the cause
    "unread-cache": ("broken-prefix", "cache-lifetime", "growing-history"),
    "cache-lifetime": ("broken-prefix",),
    "uncached-prefix": ("broken-prefix",),
    "growing-history": ("uncached-prefix", "broken-prefix", "cache-lifetime"),
}
_NEEDS_NO_MONEY = {"always-failing", "binding-limit", "idle-quota", "reserved-output"}


@dataclass(frozen=True, slots=True)
class Ranked:
    """A finding in its place: what it saves, and the places (from 1) of those above it that share slices with it."""

    found: Found
    saving: Saving
    overlaps: tuple[int, ...]


def rank(found: Sequence[Found], traffic: Traffic) -> list[Ranked]:
    """The findings worth a line, the dearest first; questions after answers."""
    worth = [_asked(one) for one in _without_causes(found) if _is_worth_it(one, traffic)]
    worth.sort(key=_place)
    books = _Books([group.nanousd for group in traffic.groups])
    ranked: list[Ranked] = []
    for one in worth:
        counted = 0 if one.certainty == "question" else books.claim(one)
        saving = Saving(_money(one), round(2 * one.spread), counted)
        above = tuple(
            place for place, other in enumerate(ranked, 1) if one.claims.keys() & other.found.claims.keys()
        )
        ranked.append(Ranked(one, saving, above))
    return ranked


def _asked(found: Found) -> Found:
    """A saving that may as well be none (two standard errors of it) is a question."""
    unsure = 0 < _money(found) <= 2 * found.spread
    return replace(found, certainty="question") if unsure else found


def _place(found: Found) -> tuple[bool, int, float, int, str]:
    """Answers before questions, then money, then time in line, then how often."""
    waited = found.numbers.get("waited_ms", 0)
    waited_ms = waited if isinstance(waited, int | float) else 0
    return (found.certainty == "question", -_money(found), -waited_ms, -found.sample, found.title)


def _money(found: Found) -> int:
    return sum(found.claims.values())


def _is_worth_it(found: Found, traffic: Traffic) -> bool:
    if found.rule in _NEEDS_NO_MONEY:
        return True
    enough = min(int(traffic.nanousd * MONEY_SHARE), MONEY_ENOUGH_NANOUSD)
    perhaps = found.numbers.get("if_the_same_nanousd", 0)  # at stake, if what cannot be known is so
    at_stake = max(_money(found), perhaps if isinstance(perhaps, int) else 0)
    return at_stake >= max(MONEY_LEAST_NANOUSD, enough)


def _without_causes(found: Sequence[Found]) -> Iterable[Found]:
    """Leaves out what another finding explains: an entry is not read because the prompt changes, say."""
    for one in found:
        causes = [
            other
            for other in found
            if other.rule in _YIELDS.get(one.rule, ()) and one.claims.keys() & other.claims.keys()
        ]
        if not any(_money(cause) * 2 >= _money(one) for cause in causes):
            yield one


class _Books:
    """What is claimed of each slice, by nature."""

    def __init__(self, costs: list[int]) -> None:
        self._costs = costs
        self._claimed: defaultdict[int, dict[str, int]] = defaultdict(dict)

    def claim(self, found: Found) -> int:
        """What this finding adds to those before it, nanodollars."""
        added = 0
        for number, nanousd in found.claims.items():
            claimed = self._claimed[number]
            before = self._total(number)
            mine = claimed.get(found.nature, 0)
            claimed[found.nature] = mine + nanousd if found.nature == "repeat" else max(mine, nanousd)
            added += self._total(number) - before
        return added

    def _total(self, number: int) -> int:
        cost = left = self._costs[number]
        for nanousd in self._claimed[number].values():
            left = left * (cost - min(nanousd, cost)) // cost if cost else 0
        return cost - left
