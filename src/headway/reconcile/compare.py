"""Finds where ledger and provider differ, period by period and model by model; `causes` says why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import add, sub

from headway.reconcile.books import Books, Key, Own, canonical
from headway.reconcile.causes import BATCH, OPEN, Case, Reason, explain_cost, explain_usage, finish
from headway.reconcile.export import KINDS, Billed, Export

COST = "cost"


@dataclass(frozen=True, slots=True)
class Difference:
    """One period, model and kind where the sides differ. The reasons add up to `theirs - ours`."""

    start_ns: int
    model: str
    kind: str
    ours: int
    theirs: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Total:
    """One model and kind over the whole export; `explained` of the difference has a cause."""

    model: str
    kind: str
    ours: int
    theirs: int
    explained: int

    @property
    def unexplained(self) -> int:
        """What is left of the difference."""
        return self.theirs - self.ours - self.explained


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it, from `from_ns` to `to_ns` (ns since 1970 UTC). `what` was compared is "usage" or "cost"."""

    what: str
    from_ns: int
    to_ns: int
    totals: tuple[Total, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()


def compare(export: Export, books: Books) -> Comparison:
    """Compare. `books` covers the periods of the export."""
    lines, notes = list(export.lines), []
    if not export.complete:
        notes.append(
            "The file says that there are more pages: fetch them all, or the rest is taken as not there."
        )
    if export.what == "usage":
        cases = _cases(lines, books, lambda own: own.all.counts, lambda line: line.counts)
        explain_usage(cases, lines, books, export.width_ns)
        kinds: Sequence[str] = KINDS
    else:
        cases = _cases(
            lines, books, lambda own: (own.all.cost_nanousd,), lambda line: (line.cost_nanousd or 0,)
        )
        notes += explain_cost(cases, lines, export.rounding_nanousd)
        kinds = (COST,)
    finish(cases, len(kinds))
    begin, end = min(line.start_ns for line in lines), max(line.end_ns for line in lines)
    return Comparison(
        export.what, begin, end, _totals(cases, kinds), _differences(cases, kinds), tuple(notes)
    )


def _cases(
    lines: Iterable[Billed],
    books: Books,
    ours: Callable[[Own], tuple[int, ...]],
    theirs: Callable[[Billed], tuple[int, ...]],
) -> list[Case]:
    nothing = ours(Own())
    billed: dict[Key, tuple[int, ...]] = defaultdict(lambda: nothing)
    batch: dict[Key, tuple[int, ...]] = defaultdict(lambda: nothing)
    for line in lines:
        key = (line.start_ns, canonical(line.model))
        billed[key] = tuple(map(add, billed[key], theirs(line)))
        if line.tier == BATCH:
            batch[key] = tuple(map(add, batch[key], theirs(line)))
    found = []
    for key in sorted({*billed, *books.own}):
        own = books.own.get(key, Own())
        case = Case(*key, ours(own), billed[key], own, batch[key])
        case.left = list(map(sub, case.theirs, case.ours))
        found.append(case)
    return found


def _totals(cases: list[Case], kinds: Sequence[str]) -> tuple[Total, ...]:
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for case in cases:
        for kind in range(len(kinds)):
            found = sums[case.model, kind]
            explained = sum(reason.amount for reason in case.reasons[kind] if reason.cause not in OPEN)
            found[:] = map(add, found, (case.ours[kind], case.theirs[kind], explained))
    return tuple(
        Total(model, kinds[kind], *found) for (model, kind), found in sorted(sums.items()) if any(found)
    )


def _differences(cases: list[Case], kinds: Sequence[str]) -> tuple[Difference, ...]:
    return tuple(
        Difference(
            case.start_ns,
            case.model,
            kinds[kind],
            case.ours[kind],
            case.theirs[kind],
            tuple(case.reasons[kind]),
        )
        for case in cases
        for kind in range(len(kinds))
        if case.reasons[kind]
    )
