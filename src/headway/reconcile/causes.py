"""Why ledger and provider differ: each cause is claimed only as far as the ledger can show it.

In this order, each of what the ones before left over:

1. `batch`: the provider ran Message Batches, which do not go through headway.
2. `other_keys`: the lines of some keys add up to exactly what the ledger has; the other keys do not use headway.
3. `boundary`: calls that ran across the end of a period, counted in the other one; what one lacks the next has more.
4. `incomplete`: the ledger up to some moment is exactly the export: it was made then.
5. `estimated`: calls that broke off or were lost are in the ledger by estimate; a difference up to their size is theirs.
6. `not_through_headway`: a model or a period that the ledger does not know at all.
7. `unexplained`: what is left.

Of money also `price` (a discount that is the same everywhere), `rounding` of the export, `unpriced` attempts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations, pairwise
from operator import add

from headway.reconcile.books import Books, Key, Own, canonical
from headway.reconcile.export import KINDS, Billed

BATCH, OTHER_KEYS, BOUNDARY, INCOMPLETE = "batch", "other_keys", "boundary", "incomplete"
ESTIMATED, ELSEWHERE, UNEXPLAINED = "estimated", "not_through_headway", "unexplained"
PRICE, ROUNDING, UNPRICED = "price", "rounding", "unpriced"
OPEN = (ELSEWHERE, UNPRICED, UNEXPLAINED)  # said, but nothing in the ledger shows that it is so
_MOST_KEYS = 12  # 4,096 subsets
_DISCOUNTS = (0.5, 0.99)  # what is charged ÷ our price: beyond, it is no discount that anybody gets


@dataclass(frozen=True, slots=True)
class Reason:
    """`amount` of a difference (tokens, searches or nanodollars; more at the provider is positive), and why."""

    cause: str
    amount: int
    text: str


@dataclass(slots=True)
class Case:
    """One period and model under investigation: `left` is what no cause was found for yet, by kind."""

    start_ns: int
    model: str
    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    own: Own
    batch: tuple[int, ...]
    left: list[int] = field(default_factory=list)
    reasons: dict[int, list[Reason]] = field(default_factory=lambda: defaultdict(list))

    def claim(self, kind: int, cause: str, amount: int, text: str) -> None:
        if amount:
            self.left[kind] -= amount
            self.reasons[kind].append(Reason(cause, amount, text))


def explain_usage(cases: list[Case], lines: Sequence[Billed], books: Books, width_ns: int) -> None:
    """Claim what can be shown of differences in tokens; `finish` takes the rest."""
    for case in cases:
        for kind, amount in enumerate(case.batch):
            case.claim(kind, BATCH, amount, "Message Batches, which do not go through headway")
    _explain_keys(cases, lines)
    by_model: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_model[case.model].append(case)
    for series in by_model.values():
        for case, after in pairwise(series):
            if after.start_ns == case.start_ns + width_ns:
                _explain_boundary(case, after)
        _explain_incomplete(series, books, width_ns)
        for case in series:
            _explain_estimated(case)


def _explain_keys(cases: list[Case], lines: Sequence[Billed]) -> None:
    """Which keys go through headway: those whose lines add up to the ledger over the whole export, but for estimates."""
    keys = sorted({line.key for line in lines})
    if not 1 < len(keys) <= _MOST_KEYS:
        return None
    used = {key: [0] * len(KINDS) for key in keys}
    for line in lines:
        if line.tier != BATCH:
            used[line.key] = list(map(add, used[line.key], line.counts))
    ours = [sum(column) for column in zip(*(case.ours for case in cases), strict=True)]
    slack = [sum(column) for column in zip(*(case.own.estimated.counts for case in cases), strict=True)]
    for inside in _subsets(keys):
        theirs = [sum(used[key][kind] for key in inside) for kind in range(len(KINDS))]
        if any(theirs) and all(abs(a - b) <= most for a, b, most in zip(ours, theirs, slack, strict=True)):
            return _claim_keys(cases, lines, inside)
    return None


def _subsets(keys: Sequence[str]) -> Iterator[set[str]]:
    """All that leave one out at least, the largest first."""
    return (set(inside) for size in range(len(keys) - 1, 0, -1) for inside in combinations(keys, size))


def _claim_keys(cases: list[Case], lines: Sequence[Billed], inside: set[str]) -> None:
    by_key = {(case.start_ns, case.model): case for case in cases}
    for line in lines:
        if line.key not in inside and line.tier != BATCH:
            case = by_key[line.start_ns, canonical(line.model)]
            for kind, amount in enumerate(line.counts):
                case.claim(
                    kind, OTHER_KEYS, amount, f"key {line.key or '(none)'} does not go through headway"
                )


def _explain_boundary(case: Case, after: Case) -> None:
    crossing = case.own.crossing
    for kind, most in enumerate(crossing.counts):
        moved = min(-case.left[kind], after.left[kind], most)
        if moved > 0:
            text = f"{counted(crossing.attempts, 'call')} ran on into the next period"
            case.claim(kind, BOUNDARY, -moved, f"{text}; counted there")
            after.claim(kind, BOUNDARY, moved, f"{text}: counted here, begun in the one before")


def _explain_incomplete(series: list[Case], books: Books, width_ns: int) -> None:
    """The last period with anything in it: the export may have been made before it was over."""
    told = [case for case in series if any(case.theirs)]
    for case in series[series.index(told[-1]) if told else len(series) :]:
        if not any(amount < 0 for amount in case.left) or any(amount > 0 for amount in case.left):
            continue
        if not any(case.theirs) and told:
            _claim_all(case, INCOMPLETE, "the export ends before this period")
            continue
        found = books.until(
            case.start_ns, case.start_ns + width_ns, case.model, tuple(map(add, case.ours, case.left))
        )
        if found is not None:
            moment, later = found
            when = datetime.fromtimestamp(moment // 10**9, UTC)
            _claim_all(
                case,
                INCOMPLETE,
                f"the export ends at {when:%Y-%m-%d %H:%M:%S} UTC: {counted(later, 'later call')} not in it",
            )


def _claim_all(case: Case, cause: str, text: str) -> None:
    for kind, amount in enumerate(case.left):
        case.claim(kind, cause, amount, text)


def _explain_estimated(case: Case) -> None:
    """Broken-off and lost calls: the provider may have counted nothing of one, or up to twice what we thought."""
    estimated = case.own.estimated
    for kind, most in enumerate(estimated.counts):
        amount = max(-most, min(case.left[kind], most))
        text = f"{counted(estimated.attempts, 'attempt')} broke off or lost, in the ledger by estimate"
        case.claim(kind, ESTIMATED, amount, text)


def explain_cost(cases: list[Case], lines: Sequence[Billed], rounding_nanousd: int) -> list[str]:
    """Money: batches, a discount that is the same everywhere, estimates, rounding of the export."""
    for case in cases:
        case.claim(0, BATCH, case.batch[0], "Message Batches, which do not go through headway")
    notes = []
    charged = _discount(cases)
    if charged is not None:
        notes.append(
            f"The provider charged {charged:.1%} of our prices throughout: a discount, or prices of a contract."
        )
        for case in cases:
            amount = round(case.ours[0] * charged) - case.ours[0]
            case.claim(0, PRICE, amount, f"charged at {charged:.1%} of our prices")
    rows: dict[Key, int] = defaultdict(int)
    for line in lines:
        rows[line.start_ns, canonical(line.model)] += 1
    for case in cases:
        most = (
            rows[case.start_ns, case.model] * rounding_nanousd + case.own.all.attempts
        )  # ours: to the nanodollar
        if abs(case.left[0]) <= most:
            case.claim(0, ROUNDING, case.left[0], "amounts are rounded")
        estimated = case.own.estimated
        amount = max(-estimated.cost_nanousd, min(case.left[0], estimated.cost_nanousd))
        case.claim(
            0,
            ESTIMATED,
            amount,
            f"{counted(estimated.attempts, 'attempt')} broke off or lost, in the ledger by estimate",
        )
        if case.own.all.unpriced and case.left[0] > 0:
            case.claim(
                0,
                UNPRICED,
                case.left[0],
                f"{counted(case.own.all.unpriced, 'attempt')} without a known price",
            )
    return notes


def _discount(cases: list[Case]) -> float | None:
    """One ratio that fits every period and model with at least a dollar in it, within the rounding; at least two of them."""
    big = [case for case in cases if case.ours[0] >= 10**9 and case.ours[0] + case.left[0] > 0]
    if len(big) < 2:
        return None
    ratios = [(case.ours[0] + case.left[0]) / case.ours[0] for case in big]
    low, high = min(ratios), max(ratios)
    return (
        sum(ratios) / len(ratios)
        if high - low < 0.01 and _DISCOUNTS[0] <= low <= high <= _DISCOUNTS[1]
        else None
    )


def finish(cases: list[Case], kinds: int) -> None:
    """What no cause was found for, with a guess that is called one."""
    for case in cases:
        for kind in range(kinds):
            left = case.left[kind]
            if left > 0 and not case.own.all.attempts:
                case.claim(kind, ELSEWHERE, left, "the ledger has no call of this model in this period")
            elif left:
                case.claim(kind, UNEXPLAINED, left, _guess(case, left))


def _guess(case: Case, left: int) -> str:
    if left < 0:
        return "the ledger has more: another organisation or workspace, an emulator, or an export that leaves something out"
    silent = case.own.all.silent
    if silent:
        return f"calls that do not go through headway, or {counted(silent, 'call')} that failed and may have been billed"
    return "calls that do not go through headway"


def counted(number: int, what: str) -> str:
    """ "1 call", "2 calls"."""
    return f"{number:,} {what}" + "s" * (number != 1)
