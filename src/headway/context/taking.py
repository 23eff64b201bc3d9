"""What one call takes: of the window of its model, of money, of each limit. Arithmetic only; nothing is sent.

Limits: a bucket that holds a minute of its limit and refills continuously is what is published
(https://platform.claude.com/docs/en/api/rate-limits); what a full one holds really is not. On Claude cache reads are free
of the input limit, and output counts as it is produced, so the expected output is what is held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from headway.context.counting import Count
from headway.core.call import Unit, Usage
from headway.core.limit import Limit
from headway.ledger.price import Prices
from headway.ledger.tariff import Tariff
from headway.providers.catalog import ModelFacts

Verdict = Literal["fits", "may fit", "does not fit", "not known"]


@dataclass(frozen=True, slots=True)
class Fit:
    """How a prompt stands to the window of its model. `left` is what remains for the reply, by the count (below 0: over).

    `note` says in a sentence what the API would do where it is not a plain yes.
    """

    verdict: Verdict
    window: int | None
    left: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Cost:
    """Whole nanodollars; None: no price is known. `most` is with the high end of the count and all of `max_tokens`.

    `written` and `read` are the input alone, when its cacheable part (`cacheable` tokens, `hour` of them for an hour) is
    written to the prompt cache, and when it is read.
    """

    input: int | None
    expected: int | None
    most: int | None
    written: int | None
    read: int | None
    cacheable: int = 0
    hour: int = 0


@dataclass(frozen=True, slots=True)
class Draw:
    """What a call takes of one limit: `amount` of it, `share` of what it gives in its period, refilled in `refill_s` seconds.

    `source` is the tier or setting that the limit is from. `is_whole`: no bucket of one period holds as much.
    """

    limit: Limit
    source: str
    amount: int
    share: float
    refill_s: float

    @property
    def is_whole(self) -> bool:
        return self.share >= 1.0

    @property
    def full_s(self) -> float:
        """Seconds in which an empty bucket of one period fills up."""
        return self.limit.period_s


def fit_of(count: Count, max_tokens: int, facts: ModelFacts | None) -> Fit:
    """Whether a prompt goes into the window, with room for a reply of `max_tokens`."""
    if facts is None:
        return Fit("not known", None, None, "the catalog does not know this model")
    window = facts.context_tokens
    left = window - count.tokens
    if max_tokens > facts.max_output_tokens:
        most = facts.max_output_tokens
        note = f"max_tokens {max_tokens:,} is {max_tokens - most:,} over the {most:,} that {facts.id} can put out"
        return Fit("does not fit", window, left, note)
    room = window if facts.overflow else window - max_tokens
    if count.low > room:
        asked = "" if facts.overflow else f" with max_tokens {max_tokens:,}"
        note = f"{count.tokens - room:,} tokens too many{asked}: the API refuses it (400)"
        return Fit("does not fit", window, left, note)
    if count.high > room:
        return Fit(
            "may fit",
            window,
            left,
            f"the count is too near to the window to be sure{_asked(max_tokens, facts)}",
        )
    if count.tokens + max_tokens > window:
        return Fit(
            "fits",
            window,
            left,
            f"the reply stops at the window, after about {left:,} of {max_tokens:,} tokens",
        )
    return Fit("fits", window, left, "")


def _asked(max_tokens: int, facts: ModelFacts) -> str:
    return "" if facts.overflow else f" with max_tokens {max_tokens:,}"


def cost_of(
    prices: Prices, model: str, count: Count, cache: tuple[int, int], expected: int, most: int, at_ns: int
) -> Cost:
    """What a call costs at the prices of `at_ns`, with `expected` and at most `most` tokens out.

    `cache`: tokens of it that the prompt cache may keep, and those of them that it keeps for an hour.
    """

    def price(fresh: int, out: int = 0, *, read: int = 0, five: int = 0, hour: int = 0) -> int | None:
        usage = Usage(
            input_tokens=fresh,
            output_tokens=out,
            cache_read_tokens=read,
            cache_write_5m_tokens=five,
            cache_write_1h_tokens=hour,
        )
        return prices.cost(model, usage, at_ns).nanousd

    kept = min(cache[0], count.tokens)
    hour = min(cache[1], kept)
    return Cost(
        input=price(count.tokens),
        expected=price(count.tokens, expected),
        most=price(count.high - kept, most, five=kept - hour, hour=hour),
        written=price(count.tokens - kept, five=kept - hour, hour=hour) if kept else None,
        read=price(count.tokens - kept, read=kept) if kept else None,
        cacheable=kept,
        hour=hour,
    )


def sum_cost(tariff: Tariff | None, calls: Iterable[tuple[int, int]]) -> int | None:
    """Nanodollars of calls, each a pair of tokens in and out: every one at the price for prompts of its length.

    Rounded once. None: no price is known.
    """
    if tariff is None:
        return None
    sums = [[0, 0, 0] for _ in tariff.steps]  # calls, tokens in, tokens out
    last = len(sums) - 1
    for taken, given in calls:
        place = next((n for n, (beyond_tokens, *_) in enumerate(tariff.steps) if taken > beyond_tokens), last)
        sums[place][0] += 1
        sums[place][1] += taken
        sums[place][2] += given
    total = Fraction(0)
    for (_, _, prices), (count, taken, given) in zip(tariff.steps, sums, strict=True):
        if (taken and prices.input is None) or (given and prices.output is None):
            return None
        total += taken * Fraction(prices.input or 0) + given * Fraction(prices.output or 0)
        total += count * Fraction(prices.request)
    return round(total / 1_000_000)


def draws(limits: Sequence[Limit], source: str, input_tokens: int, output_tokens: int) -> Iterator[Draw]:
    """What a call takes of each limit. Units that a call does not draw on as such (money, calls in flight) are left out."""
    for limit in limits:
        match limit.unit:
            case Unit.REQUESTS:
                amount = 1
            case Unit.INPUT_TOKENS:
                amount = input_tokens
            case Unit.OUTPUT_TOKENS:
                amount = output_tokens
            case Unit.TOKENS:
                amount = input_tokens + output_tokens
            case Unit.IN_FLIGHT | Unit.USD:
                continue
        holds = limit.amount if limit.burst is None else limit.burst
        yield Draw(limit, source, amount, amount / holds, amount / limit.rate)


def beyond(draw: Draw) -> str:
    """What happens to a call that takes more than a bucket holds."""
    holds = draw.limit.amount if draw.limit.burst is None else draw.limit.burst
    if draw.amount == round(holds):
        return f"the whole bucket: nothing else of {draw.limit} is left for {draw.refill_s:,.0f} s"
    return (
        f"{draw.amount - round(holds):,} more than the whole bucket of {draw.limit}: the API refuses it, or serves it "
        f"from a full bucket and lets nothing else through for {draw.refill_s:,.0f} s"
    )
