"""Which variant to take: the cheapest that is not worse than the baseline, or that the data cannot tell.

"Not worse" means: the interval of the paired difference in the share that passes lies above minus the margin. All intervals
of a comparison hold together at the stated confidence, however many variants there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from headway.workbench.paired import Interval, difference, inputs_needed, ratio, z_for
from headway.workbench.rows import Row
from headway.workbench.summary import Summary, by_input

MARGIN = 0.05
CONFIDENCE = 0.95
FEW = 30  # inputs; fewer say little about others
_MOSTLY = 0.5  # of the replies of the choice cut off: the verdict itself says so


class Word(StrEnum):
    """What the data say of a variant beside the baseline."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    UNSURE = "cannot tell"
    UNSCORED = "not scored"


@dataclass(frozen=True, slots=True)
class Beside:
    """A variant beside the baseline, on the `inputs` that both have. `cost_ratio` is of totals; `needed` inputs in all would
    tell."""

    variant: str
    word: Word
    inputs: int
    difference: Interval | None
    cost_ratio: Interval | None
    needed: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`choice` is the cheapest that is not worse (None: nothing is scored, or no price is known), `lines` say it in words."""

    baseline: str
    choice: str | None
    others: tuple[Beside, ...]
    lines: tuple[str, ...]
    margin: float
    confidence: float


def judge_variants(
    by_variant: Mapping[str, Sequence[Row]],
    baseline: str,
    *,
    margin: float,
    confidence: float,
    scored: bool,
    pairwise: bool = False,
) -> Verdict:
    """Hold each variant against the baseline and choose. `pairwise`: a score is already against the baseline's."""
    z = z_for(confidence, len(by_variant) - 1)
    together = 1.0 - (1.0 - confidence) / max(len(by_variant) - 1, 1)
    base = by_variant[baseline]
    others = tuple(
        _beside(name, rows, base, margin, z, together, scored=scored, pairwise=pairwise)
        for name, rows in by_variant.items()
        if name != baseline
    )
    told = tuple(each for each in others if by_variant[each.variant])
    choice = _choice(baseline, told) if scored and base else None
    rate = "wins less losses" if pairwise else "pass rate"
    silent = [name for name, rows in by_variant.items() if not rows]
    if len(silent) == len(by_variant):
        lines: tuple[str, ...] = ("There are no replies yet, and so no verdict.",)
    elif not scored:
        lines = (_UNSCORED,)
    elif not base or (others and not told):
        lines = (f"No verdict yet: {', '.join(silent)} {'have' if len(silent) > 1 else 'has'} no replies.",)
    else:
        lines = tuple(_lines(baseline, choice, told, margin, rate))
        lines += (f"Nothing is said of {', '.join(silent)}: no replies yet.",) if silent else ()
    return Verdict(baseline, choice, others, lines, margin, confidence)


def with_caveats(verdict: Verdict, summaries: Sequence[Summary], *, emulated: bool) -> Verdict:
    """The verdict whose first line says itself what takes its meaning away: filler, or replies that were cut off."""
    first, *rest = verdict.lines
    taken = next((each for each in summaries if each.variant == verdict.choice), None)
    cut = 0 if taken is None else taken.stop_reasons.get("max_tokens", 0)
    if taken is not None and cut > _MOSTLY * (taken.calls - taken.errors):
        first += f" But {cut:,} of its {taken.calls:,} replies were cut off at max_tokens: read some of them first."
    if emulated and first != _UNSCORED and any(each.calls for each in summaries):
        first = f"Of emulated filler, which says nothing about the prompts: {first}"
    return replace(verdict, lines=(first, *rest))


_UNSCORED = (
    "Nothing is said about which variant is better: there is neither a [check] nor a [judge]. "
    "Costs and lengths alone do not choose a prompt."
)


def _beside(
    name: str,
    rows: Sequence[Row],
    base: Sequence[Row],
    margin: float,
    z: float,
    confidence: float,
    *,
    scored: bool,
    pairwise: bool,
) -> Beside:
    costs, base_costs = by_input(rows, "cost_nanousd"), by_input(base, "cost_nanousd")
    both = sorted(costs.keys() & base_costs.keys())
    cost = ratio([costs[line] for line in both], [base_costs[line] for line in both], confidence)
    if not scored:
        return Beside(name, Word.UNSCORED, len(both), None, cost)
    ours, theirs = by_input(rows, "score"), by_input(base, "score")
    if pairwise:  # 1: ours is better, 0: theirs
        pairs = [2 * score - 1 for score in ours.values()]
    else:
        pairs = [ours[line] - theirs[line] for line in sorted(ours.keys() & theirs.keys())]
    found = difference(pairs, z)
    word = _word(found, margin) if pairs else Word.UNSURE
    needed = inputs_needed(pairs, margin, z) if word is Word.UNSURE else None
    return Beside(name, word, len(pairs), found, cost, needed)


def _word(found: Interval, margin: float) -> Word:
    if found.low > 0:
        return Word.BETTER
    if found.low > -margin:
        return Word.NOT_WORSE
    return Word.WORSE if found.high < 0 else Word.UNSURE


def _choice(baseline: str, others: Sequence[Beside]) -> str | None:
    """The cheapest that is not worse. The baseline stays unless another is surely cheaper, or better and no dearer."""
    good = [
        each for each in others if each.word in (Word.BETTER, Word.NOT_WORSE) and each.cost_ratio is not None
    ]
    surely = [each for each in good if each.cost_ratio is not None and each.cost_ratio.high < 1.0]
    surely += [
        each for each in good if each.word is Word.BETTER and each.cost_ratio and each.cost_ratio.value <= 1.0
    ]
    if any(each.cost_ratio is None for each in others):
        return None
    return (
        min(surely, key=lambda each: each.cost_ratio.value if each.cost_ratio else 1.0).variant
        if surely
        else baseline
    )


def _lines(
    baseline: str, choice: str | None, others: Sequence[Beside], margin: float, rate: str
) -> Iterator[str]:
    chosen = next((each for each in others if each.variant == choice), None)
    if not others:
        yield "There is one variant: nothing to compare it with."
        return
    if choice is None:
        yield "No choice is made: a price is not known, so the cheapest cannot be named."
    elif chosen is None:
        yield f"Stay with {baseline}: no cheaper variant is shown to be not worse."
    else:
        yield (
            f"Take {choice}: the cheapest that is {chosen.word.value} than {baseline}. It costs {_cheaper(chosen)}; "
            f"{rate} {_points(chosen)}, on {chosen.inputs:,} inputs."
        )
    paid = chosen.cost_ratio.value if chosen is not None and chosen.cost_ratio is not None else 1.0
    for each in others:
        cheaper = each.cost_ratio is None or each.cost_ratio.value < paid
        if each is not chosen and (cheaper or each.word is Word.BETTER):
            yield _other(each, baseline, margin, rate)
    fewest = min((each.inputs for each in others), default=0)
    if fewest < FEW:
        yield f"{fewest:,} inputs are few: what holds for them may not hold for others."


def _other(each: Beside, baseline: str, margin: float, rate: str) -> str:
    cost, points = _cheaper(each), _points(each)
    match each.word:
        case Word.UNSURE if each.needed is None:
            return (
                f"Cannot tell whether {each.variant}, which costs {cost}, is not worse: {rate} {points}, too close to "
                f"the margin of {margin * 100:g} for any number of inputs that is worth running."
            )
        case Word.UNSURE:
            more = max((each.needed or 0) - each.inputs, 1)
            return (
                f"Cannot tell whether {each.variant}, which costs {cost}, is not worse: {rate} {points}, margin "
                f"{margin * 100:g}. Needs about {more:,} more inputs."
            )
        case Word.WORSE:
            return f"{each.variant} costs {cost}, but is worse: {rate} {points}."
        case Word.BETTER | Word.NOT_WORSE | Word.UNSCORED:
            return f"{each.variant} is {each.word.value} than {baseline}: {rate} {points}. It costs {cost}."
        case _:
            assert_never(each.word)


def _points(each: Beside) -> str:
    found = each.difference
    if found is None:
        return "unknown"
    return f"{found.value * 100:+.1f} points ({found.low * 100:+.1f} to {found.high * 100:+.1f})"


def _cheaper(each: Beside) -> str:
    if each.cost_ratio is None:
        return "an unknown amount"
    low, high = each.cost_ratio.low, each.cost_ratio.high
    if low <= 1.0 <= high:
        return "about the same"
    if each.cost_ratio.value < 1.0:
        return f"{1 - each.cost_ratio.value:.0%} less ({1 - high:.0%} to {1 - low:.0%})"
    return f"{each.cost_ratio.value:.2f} times as much ({low:.2f} to {high:.2f})"
