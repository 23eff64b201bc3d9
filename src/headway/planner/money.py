"""What a course costs, in whole nanodollars: what was run call by call, what was not by the means of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from headway.core.call import Usage
from headway.ledger.price import Prices
from headway.planner.course import mean_output
from headway.planner.trial import Guess, Trial


@dataclass(frozen=True, slots=True)
class Bill:
    """Nanodollars for all input (cache reads and writes too) and for output, and for both as a batch. None: a model has no
    known price."""

    input: int | None
    output: int | None
    batch: int | None = None
    unpriced: tuple[str, ...] = ()

    @property
    def total(self) -> int | None:
        """Both together."""
        return None if self.input is None or self.output is None else self.input + self.output


def bill_of(trial: Trial, guess: Guess, prices: Prices, at_ns: int) -> Bill:
    """The bill of a whole job at the prices of `at_ns`."""
    spent = [Fraction(0), Fraction(0), Fraction(0)]
    unpriced: set[str] = set()
    for serving in trial.servings:
        usage = serving.usage
        _add(spent, unpriced, prices, usage, (1.0, 1.0, 1), at_ns)
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
            _add(spent, unpriced, prices, usage, exact, at_ns)
    if unpriced:
        return Bill(None, None, None, tuple(sorted(unpriced)))
    return Bill(round(spent[0]), round(spent[1]), round(spent[2]))


def _add(
    spent: list[Fraction],
    unpriced: set[str],
    prices: Prices,
    usage: Usage,
    times: tuple[float, float, int],
    at_ns: int,
) -> None:
    """Add a usage, its input and output each so many `times`. What output costs may depend on the length of the prompt."""
    whole = prices.cost(usage.model, usage, at_ns).nanousd
    as_batch = prices.cost(usage.model, usage, at_ns, batch=True).nanousd
    prompt = Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_5m_tokens=usage.cache_write_5m_tokens,
        model=usage.model,
    )
    of_input = prices.cost(usage.model, prompt, at_ns).nanousd
    if whole is None or of_input is None or as_batch is None:
        unpriced.add(usage.model)
        return
    for place, amount, factor in ((0, of_input, times[0]), (1, whole - of_input, times[1])):
        exact = amount * times[2] * (1 if factor == 1.0 else Fraction(factor))
        spent[place] += exact
        spent[2] += round(exact * as_batch / whole) if whole else 0
