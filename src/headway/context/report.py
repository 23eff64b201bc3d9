"""All that is known of a request or a job before it is sent, put together for whoever shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headway.assemble import known_limits
from headway.config import Config
from headway.context.counting import Count
from headway.context.ctoks import refined
from headway.context.explaining import Explanation, explain
from headway.context.history import usual_output
from headway.context.jobfile import JobCount, Sums
from headway.context.taking import Cost, Draw, Fit, cost_of, draws, fit_of, sum_cost
from headway.core.call import Unit
from headway.core.forecast import Lengths
from headway.core.limit import Limit
from headway.ledger.price import Prices
from headway.ledger.tariff import Terms, find_tariff
from headway.providers.anthropic import Anthropic
from headway.providers.catalog import Catalog
from headway.providers.parsed import whole

_PATH = "/v1/messages"


@dataclass(frozen=True, slots=True)
class Report:
    """One request. `estimate` is our own count beside `count`, which may be a better one. Limits as `draws` hold them."""

    model: str
    count: Count
    estimate: Count
    max_tokens: int
    expected_output: int
    expected_because: str
    explanation: Explanation = field(repr=False)
    fit: Fit
    cost: Cost
    draws: tuple[Draw, ...]


@dataclass(frozen=True, slots=True)
class ModelSum:
    """What the lines of one model take in all. Tokens, and whole nanodollars; None: no price is known."""

    model: str
    lines: int
    input_tokens: int
    expected_output_tokens: int
    max_output_tokens: int
    cost_nanousd: int | None
    most_nanousd: int | None
    batch_nanousd: int | None


@dataclass(frozen=True, slots=True)
class JobReport:
    """One job. `draws` hold its largest line against the limits, by model."""

    count: JobCount
    models: tuple[ModelSum, ...]
    draws: Mapping[str, tuple[Draw, ...]]


def report(
    config: Config, request: Mapping[str, Any], counted: Count | None, *, ledger: Path | None, at_ns: int
) -> Report:
    """Count a request, unless that is done (`counted`), and say what it takes. `at_ns`: wall time, for prices."""
    catalog, model = Catalog.load(), str(request["model"])
    facts, most = catalog.model(model), whole(request.get("max_tokens"))
    explanation = explain(request)
    count = counted or refined(request, facts) or explanation.count
    expected, because = _expected(ledger, model, most)
    cost = cost_of(Prices(), model, count, _cached(explanation, count), expected, most, at_ns)
    pool = Anthropic(catalog).identify(_PATH, request).pool or ""
    return Report(
        model=model,
        count=count,
        estimate=explanation.count,
        max_tokens=most,
        expected_output=expected,
        expected_because=because,
        explanation=explanation,
        fit=fit_of(count, most, facts),
        cost=cost,
        draws=tuple(_draws(config, catalog, pool, count.tokens, expected)),
    )


def _cached(explanation: Explanation, count: Count) -> tuple[int, int]:
    """Tokens that the prompt cache may keep, and those for an hour: by estimate, so on the scale of a better count."""
    scale = count.tokens / explanation.count.tokens if explanation.count.tokens else 1.0
    hour = max((mark.tokens for mark in explanation.breakpoints if mark.keeps and mark.hour), default=0)
    return round(explanation.cacheable * scale), round(hour * scale)


def job_report(config: Config, counted: JobCount, *, at_ns: int) -> JobReport:
    """What a counted job takes, by model. `at_ns`: wall time, for prices."""
    catalog, provider = Catalog.load(), Anthropic()
    models: list[ModelSum] = []
    found: dict[str, tuple[Draw, ...]] = {}
    for model, sums in counted.models.items():
        each = _model_sum(model, sums, counted.count, at_ns)
        models.append(each)
        pool = provider.identify(_PATH, {"model": model}).pool or ""
        usual = round(each.expected_output_tokens / each.lines)
        found[model] = tuple(_draws(config, catalog, pool, max(sums.inputs), usual))
    return JobReport(counted, tuple(models), found)


def _model_sum(model: str, sums: Sums, count: Count, at_ns: int) -> ModelSum:
    lengths = Lengths()
    means = {ceiling: round(lengths.expect(float(ceiling)).mean) for ceiling in set(sums.ceilings)}
    likely = list(zip(sums.inputs, (means[ceiling] for ceiling in sums.ceilings), strict=True))
    above = count.high / max(1, count.tokens)
    most = zip((round(tokens * above) for tokens in sums.inputs), sums.ceilings, strict=True)
    standard = find_tariff(model, at_ns, Terms())
    return ModelSum(
        model=model,
        lines=sums.lines,
        input_tokens=round(sums.input_tokens),
        expected_output_tokens=sum(out for _, out in likely),
        max_output_tokens=sum(sums.ceilings),
        cost_nanousd=sum_cost(standard, likely),
        most_nanousd=sum_cost(standard, most),
        batch_nanousd=sum_cost(find_tariff(model, at_ns, Terms(batch=True)), likely),
    )


def _expected(ledger: Path | None, model: str, most: int) -> tuple[int, str]:
    """How long a reply is likely to be, and by what."""
    known = None if ledger is None else usual_output(ledger, model)
    if known is not None:
        return min(known[0], most), f"the mean of your last {known[1]:,} replies"
    return round(Lengths().expect(float(most)).mean), "what replies usually take"


def _draws(config: Config, catalog: Catalog, pool: str, tokens: int, out: int) -> Iterator[Draw]:
    """What it takes of the limits that are set, else of the published ones of every tier."""
    known = known_limits(config, catalog)(pool)
    if known:
        source = config.tier or ""
        for draw in draws(known, source, tokens, out):
            yield Draw(
                draw.limit, "yours" if draw.limit.given else source, draw.amount, draw.share, draw.refill_s
            )
        return
    for tier in catalog.tiers:
        published = catalog.tier(pool, tier)
        if published is not None and published.input_tokens:
            limits = [
                Limit(Unit.REQUESTS, published.requests),
                Limit(Unit.INPUT_TOKENS, published.input_tokens),
                *([Limit(Unit.OUTPUT_TOKENS, published.output_tokens)] if published.output_tokens else []),
            ]
            yield from draws(limits, tier, tokens, out)
