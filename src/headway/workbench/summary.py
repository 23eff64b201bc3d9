"""What a variant comes to over all its calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headway.workbench.paired import Interval, quantile, share, z_for
from headway.workbench.rows import Row

ENOUGH_FOR_P90 = 10  # calls; the ninetieth percentile of fewer is but the largest


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the long end; None where there are too few to say."""

    p50: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of one variant: tokens, nanodollars, milliseconds. `score` is the share that passed, over inputs, with its
    interval; `inputs` how many it rests on. `unscored` calls have no verdict of the judge."""

    variant: str
    calls: int
    errors: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_nanousd: int
    unpriced: int
    output_tokens_a_call: Spread
    first_token_ms: Spread
    total_ms: Spread
    stop_reasons: Mapping[str, int]
    error_types: Mapping[str, int]
    score: Interval | None
    inputs: int
    unscored: int
    judge_cost_nanousd: int

    @property
    def cached(self) -> float | None:
        """The share of the input that was read from the cache."""
        return self.cache_read_tokens / self.input_tokens if self.input_tokens else None


def summary(variant: str, rows: Sequence[Row], confidence: float, *, scored: bool) -> Summary:
    """Sum up the rows of one variant. `scored`: outputs are checked or judged."""
    answered = [row for row in rows if row.succeeded]
    means = by_input(rows, "score")
    score = share(sum(means.values()), len(means), z_for(confidence)) if scored and means else None
    return Summary(
        variant=variant,
        calls=len(rows),
        errors=len(rows) - len(answered),
        input_tokens=sum(row.input_tokens for row in rows),
        cache_read_tokens=sum(row.cache_read_tokens for row in rows),
        cache_write_tokens=sum(row.cache_write_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        cost_nanousd=sum(row.cost_nanousd or 0 for row in rows),
        unpriced=sum(row.cost_nanousd is None for row in rows),
        output_tokens_a_call=_spread([row.output_tokens for row in answered]),
        first_token_ms=_spread([row.first_token_ms for row in answered if row.first_token_ms is not None]),
        total_ms=_spread([row.total_ms for row in answered]),
        stop_reasons=dict(Counter(row.stop_reason for row in answered if row.stop_reason).most_common()),
        error_types=dict(Counter(row.error.partition(":")[0] for row in rows if not row.succeeded)),
        score=score,
        inputs=len(means),
        unscored=sum(row.score is None for row in rows) if scored else 0,
        judge_cost_nanousd=sum(row.judge_cost_nanousd for row in rows),
    )


def by_input(rows: Sequence[Row], what: str) -> dict[int, float]:
    """The mean of a figure of rows over the repeats of each input, by line; rows that do not have it are left out."""
    found: dict[int, list[float]] = {}
    for row in rows:
        value = getattr(row, what)
        if value is not None:
            found.setdefault(row.line, []).append(float(value))
    return {line: sum(values) / len(values) for line, values in found.items()}


def _spread(values: Sequence[float]) -> Spread:
    return Spread(quantile(values, 0.5), quantile(values, 0.9) if len(values) >= ENOUGH_FOR_P90 else None)
