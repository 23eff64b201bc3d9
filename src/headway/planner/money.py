"""What a course costs, in whole nanodollars: what was run call by call, what was not by the means of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from headway.core.call import Usage
from headway.ledger.price import Prices
from headway.planner.course import mean_output
from headway.planner.trial import Guess, Trial


@dataclass(frozen=True, slots=True)
class Bill:
    """Nanodollars for all input (cache reads and writes too) and for output. None: a model has no known price."""

    input: int | None
    output: int | None
    unpriced: tuple[str, ...] = ()

    @property
    def total(self) -> int | None:
        """Both together."""
        return None if self.input is None or self.output is None else self.input + self.output


def bill_of(trial: Trial, guess: Guess, prices: Prices, at_ns: int, *, batch: bool = False) -> Bill:
    """The bill of a whole job at the prices of `at_ns`."""
    spent = [Fraction(0), Fraction(0)]
    unpriced: set[str] = set()
    for serving in trial.servings:
        usage = serving.usage
        _add(spent, unpriced, prices, usage, (1.0, 1.0, 1), at_ns, batch)
    for skipped in trial.skipped:
        for part, lines in skipped.parts:
            tokens_in, tokens_out = part.input_tokens * guess.ratio, mean_output(part.most, guess)
            kind = part.cell.kind
            reads = part.cacheable_tokens * guess.ratio if kind.prefix and part.lines > 1 else 0.0
            usage = Usage(
                input_tokens=round(max(tokens_in - reads, 1.0)),
                cache_read_tokens=round(reads),
                output_tokens=max(1, round(tokens_out)),
                model=kind.model,
            )
            exact = (
                tokens_in / max(usage.input_tokens + usage.cache_read_tokens, 1),
                tokens_out / usage.output_tokens,
                lines,
            )
            _add(spent, unpriced, prices, usage, exact, at_ns, batch)
    if unpriced:
        return Bill(None, None, tuple(sorted(unpriced)))
    return Bill(round(spent[0]), round(spent[1]))


def _add(
    spent: list[Fraction],
    unpriced: set[str],
    prices: Prices,
    usage: Usage,
    times: tuple[float, float, int],
    at_ns: int,
    batch: bool,
) -> None:
    """Add a usage, its input and output each so many `times`. What output costs may depend on the length of the prompt."""
    whole = prices.cost(usage.model, usage, at_ns, batch=batch).nanousd
    prompt = Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_5m_tokens=usage.cache_write_5m_tokens,
        model=usage.model,
    )
    of_input = prices.cost(usage.model, prompt, at_ns, batch=batch).nanousd
    if whole is None or of_input is None:
        unpriced.add(usage.model)
        return
    for place, amount, factor in ((0, of_input, times[0]), (1, whole - of_input, times[1])):
        spent[place] += amount * times[2] * (1 if factor == 1.0 else Fraction(factor))


def sum_of(bills: Sequence[Bill]) -> int | None:
    """All together; None if one is not known."""
    totals = [bill.total for bill in bills]
    return None if None in totals else sum(total for total in totals if total is not None)
