"""Short, even answers from a large model: asks whether a smaller one would do, and says what it would cost."""

from __future__ import annotations

from collections.abc import Iterator

from headway.insights.finding import Found
from headway.insights.rates import MILLION, Rate, Rates
from headway.insights.tally import Sketch, Tally
from headway.insights.thresholds import CHEAPER, EVEN_TOKENS, LEAST_SHAPE, SHORT_PROMPT, SHORT_TOKENS
from headway.insights.traffic import Group, Seen, Traffic
from headway.insights.walk import Sees
from headway.insights.words import money, tokens, who
from headway.providers.catalog import Catalog, ModelFacts

_NEWER_TOKENS = 1.3  # the newer tokenizer makes so many more tokens of the same text (published, 2026)


class _Shape:
    """How the calls of one slice look."""

    __slots__ = (
        "calls",
        "fresh",
        "group",
        "last_ns",
        "long",
        "output",
        "outputs",
        "read",
        "spent",
        "thinking",
        "write",
    )

    def __init__(self, group: Group) -> None:
        self.group = group
        self.outputs, self.spent = Sketch(), Tally()
        self.calls = self.long = 0
        self.fresh = self.read = self.write = self.output = self.thinking = self.last_ns = 0


class ModelChoice:
    """A question, never a verdict: the ledger knows how long an answer was, not how good."""

    sees: Sees = "ok"

    def __init__(self) -> None:
        self._rates = Rates()
        self._shapes: dict[int, _Shape] = {}

    def see(self, seen: Seen) -> None:
        group = seen.group
        if group.facts is None or seen.rate is None or "+batch" in seen.variant:
            return
        shape = self._shapes.get(group.number)
        if shape is None:
            shape = self._shapes[group.number] = _Shape(group)
        shape.calls += 1
        if seen.output > SHORT_TOKENS or seen.total > SHORT_PROMPT:
            shape.long += 1
            return
        shape.outputs.add(seen.output)
        shape.spent.add(seen, seen.micros)
        shape.fresh += seen.fresh
        shape.read += seen.read
        shape.write += seen.write_5m + seen.write_1h
        shape.output += seen.output
        shape.thinking += seen.thinking
        shape.last_ns = seen.at_ns

    def found(self, _: Traffic, /) -> list[Found]:
        return [
            _finding(shape, cheaper)
            for shape in self._shapes.values()
            if _is_simple(shape) and (cheaper := self._cheaper(shape))
        ]

    def _cheaper(self, shape: _Shape) -> list[tuple[str, int]]:
        """Active models of the catalog, at most `CHEAPER` of the cost, and what they would have cost; the dearest first."""
        found: dict[str, tuple[str, int]] = {}
        for facts in self._candidates(shape.group):
            rate = self._rates.of(facts.id, shape.last_ns, "")
            if rate is None:
                continue
            cost = round(_cost(shape, rate) * _more_tokens(shape.group.facts, facts) / MILLION)
            if 0 < cost <= CHEAPER * shape.spent.nanousd:
                best = found.get(facts.family)
                if best is None or cost < best[1]:
                    found[facts.family] = (facts.id, cost)
        return sorted(found.values(), key=lambda item: -item[1])

    def _candidates(self, group: Group) -> Iterator[ModelFacts]:
        for facts in Catalog.load().models:
            if facts.status == "active" and group.facts is not None and facts.family != group.facts.family:
                yield facts


def _is_simple(shape: _Shape) -> bool:
    outputs = shape.outputs
    if shape.calls < LEAST_SHAPE or shape.long > 0.05 * shape.calls or shape.thinking:
        return False
    return outputs.quantile(0.9) - outputs.quantile(0.1) <= EVEN_TOKENS


def _more_tokens(now: ModelFacts | None, then: ModelFacts) -> float:
    if now is None or now.tokenizer == then.tokenizer:
        return 1.0
    return _NEWER_TOKENS if then.tokenizer != "3" else 1 / _NEWER_TOKENS


def _cost(shape: _Shape, rate: Rate) -> int:
    """With the caching as it was; what is written is taken as written for five minutes."""
    return (
        shape.fresh * rate.input
        + shape.read * rate.cache_read
        + shape.write * rate.cache_write_5m
        + shape.output * rate.output
    )


def _finding(shape: _Shape, cheaper: list[tuple[str, int]]) -> Found:
    group, outputs = shape.group, shape.outputs
    model, cost = cheaper[0]
    saved = shape.spent.nanousd - cost
    low, high = outputs.quantile(0.1), outputs.quantile(0.95)
    offers = ", ".join(f"{name} {money(price)}" for name, price in cheaper)
    return Found(
        rule="model-choice",
        title=f"{who(group.where)}: does it take {group.model} to answer in {tokens(high)} tokens?",
        where=group.where,
        certainty="question",
        nature="discount",
        sample=outputs.count,
        least=LEAST_SHAPE,
        evidence=(
            f"{outputs.count:,} replies of {tokens(low)} to {tokens(high)} tokens (P10 to P95), no thinking:"
            f" {money(shape.spent.nanousd)} here. The same tokens cost: {offers}.",
        ),
        numbers={
            "calls": outputs.count,
            "p10_output_tokens": round(low),
            "p95_output_tokens": round(high),
            "cheaper_model": model,
            "cheaper_nanousd": cost,
        },
        change=f"Try {model} on the same inputs before you change anything: headway compare.",
        claims={group.number: saved},
        spread=shape.spent.spread * saved / max(shape.spent.nanousd, 1),
        ids=shape.spent.ids,
    )
