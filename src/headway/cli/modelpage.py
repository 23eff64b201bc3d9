"""One model explained: what is published and where, what it costs, what limits mean for it, what your calls measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headway.catalog.facts import Fact, claude_facts, other_facts, price_fact, tier_terms
from headway.catalog.limits import KnownLimits
from headway.catalog.matrix import CLAUDE, Row
from headway.catalog.measured import Measured
from headway.catalog.prices import Prices
from headway.cli.display import visible
from headway.cli.figures import dollars
from headway.cli.modelcolumns import UNKNOWN, price, size
from headway.cli.modellimits import counting, for_all, limits, part_of_minute, plain
from headway.cli.modelmeasured import measured, over_time

_CLASSES = (
    ("fresh input", "input", "batch_input"),
    ("cache write, 5 min", "cache_write_5m", ""),
    ("cache write, 1 hour", "cache_write_1h", ""),
    ("cache read", "cache_read", ""),
    ("output", "output", "batch_output"),
)

_TOKENIZERS = {
    "3": "that of the models up to 4.6",
    "4.7": "that of 4.7 and later: about 30 % more tokens for the same text",
}


def cost_of(tokens: int, nanodollars: int | None) -> int | None:
    """Nanodollars of so many tokens at so many nanodollars a million. None: no price."""
    return None if nanodollars is None else (tokens * nanodollars + 500_000) // 1_000_000


def full(row: Row) -> dict[str, Any]:
    """A prompt that fills the window and the longest reply: tokens, nanodollars, and minutes of each tier that they take."""
    step = row.prices[-1] if row.prices else None
    prompt, reply = row.context_tokens, row.max_output_tokens
    return {
        "prompt_tokens": prompt,
        "prompt_nanousd": cost_of(prompt, step.input) if step and prompt else None,
        "prompt_minutes": {
            name: part_of_minute(prompt, tier.input_tokens) for name, tier in row.tiers.items()
        },
        "reply_tokens": reply,
        "reply_nanousd": cost_of(reply, step.output) if step and reply else None,
        "reply_minutes": {
            name: part_of_minute(reply, tier.output_tokens) for name, tier in row.tiers.items()
        },
    }


def sources_of(row: Row, today: str) -> tuple[Fact, ...]:
    """Where what is said about a model is from."""
    if row.provider != CLAUDE:
        return (price_fact(today), *(fact for fact in other_facts() if fact.about == row.provider))
    mine = [fact for fact in claude_facts() if not fact.models or row.model in fact.models]
    special = {fact.about for fact in mine if fact.models}
    mine = [fact for fact in mine if fact.models or fact.about not in special]
    tiers = [terms.fact for name, terms in tier_terms().items() if name in row.tiers]
    return (*mine, price_fact(today), *tiers)


def page(
    row: Row, own: KnownLimits | None, days: Mapping[str, Measured], today: str, width: int, *, colour: bool
) -> RenderableType:
    """The model for eyes. `colour`: whether charts may have it."""
    sources = sources_of(row, today)
    parts: list[RenderableType] = [_head(row, today), _facts(row, _numbers(sources))]
    if row.prices:
        parts += [_title("Prices, per million tokens"), _prices(row)]
        parts += [Text(line, style="") for line in _full(row)]
    if row.tiers or own:
        parts += [_title("Limits a minute"), limits(row, own)]
    parts += [Text(line) for line in counting(row)]
    if row.tiers:
        parts += [_title("Limits a minute, all models together"), for_all(row)]
    parts += measured(row, days, width)
    parts += over_time(days, min(width, 100), colour=colour)
    parts += [_title("Sources"), _sources(sources, today)]
    return Group(*parts)


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _head(row: Row, today: str) -> Text:
    head = Text(visible(row.model), style="bold")
    names = row.facts.names if row.facts else ()
    if names:
        head.append(f"  also {', '.join(names)}", style="dim")
    style = {"active": "green", "deprecated": "yellow", "retired": "red"}.get(row.status, "")
    if row.status:
        if row.status == "retired" or not row.retires:
            verb = row.status
        elif row.retires <= today:
            verb = "listed by the API, though it was to retire"
        else:
            verb = f"{row.status}, retires"
        head.append(f"\n{verb} {row.retires}".rstrip(), style=style)
    if row.facts and row.facts.note:
        head.append(f"  {row.facts.note}", style="")
    return head


def _places(sources: Sequence[Fact]) -> list[list[Fact]]:
    """Facts that are from the same place and day, together."""
    places: dict[tuple[str, str], list[Fact]] = {}
    for fact in sources:
        places.setdefault((fact.url, fact.as_of), []).append(fact)
    return list(places.values())


def _numbers(sources: Sequence[Fact]) -> dict[str, str]:
    """Which source a kind of fact has, by its number in the list."""
    return {fact.about: f"[{number}]" for number, facts in enumerate(_places(sources), 1) for fact in facts}


def _facts(row: Row, numbers: Mapping[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_column(style="dim", no_wrap=True)
    for name, text, about in _said(row):
        grid.add_row(name, Text(visible(text)), Text(numbers.get(about, "")))
    for what, published, told in row.differs:
        grid.add_row(
            "the API says",
            Text(f"{what.replace('_', ' ')} {told}, published is {published}", style="yellow"),
            "",
        )
    return grid


def _said(row: Row) -> Iterator[tuple[str, str, str]]:
    yield "provider", row.provider, ""
    if row.context_tokens:
        yield "context window", f"{row.context_tokens:,} tokens{_at_the_end(row)}", "context_tokens"
    if row.max_output_tokens:
        yield "most output", f"{row.max_output_tokens:,} tokens", "max_output_tokens"
    facts = row.facts
    if facts is None:
        return
    yield "shortest to cache", f"{facts.min_cacheable_tokens:,} tokens", "min_cacheable_tokens"
    counter = (
        "that of the models up to 4.6"
        if facts.tokenizer == "3"
        else "that of 4.7 and later: about 30 % more tokens for a text"
    )
    yield "tokenizer", counter, "tokenizer"
    yield "pool", f"{facts.pool}: its limits are shared by all models of the pool", "pool"
    yield "status", " ".join(filter(None, (row.status, row.retires))), "status"


def _at_the_end(row: Row) -> str:
    if row.facts is None:
        return ""
    if row.facts.overflow:
        return "; a reply stops at its end"
    return "; prompt and max_tokens together must fit"


def _prices(row: Row) -> Table:
    table = plain(("class", False))
    steps = row.prices
    batch = any(step.batch_input is not None for step in steps)
    for kind in ("price", "batch") if batch else ("price",):
        for step in steps:
            name = kind if kind == "batch" or len(steps) == 1 else ""
            table.add_column(f"{name} {_reach(step, steps)}".strip(), justify="right")
    for name, field, batch_field in _CLASSES:
        cells = [price(getattr(step, field)) for step in steps]
        cells += [price(_batch(step, field, batch_field, row.provider)) for step in steps if batch]
        if any(cell != UNKNOWN for cell in cells):
            table.add_row(name, *cells)
    return table


def _reach(step: Prices, steps: Sequence[Prices]) -> str:
    """For which prompts a price holds, where their length matters."""
    if len(steps) == 1:
        return ""
    return f"over {size(step.beyond)}" if step.beyond > 0 else f"to {size(steps[1].beyond)}"


def _batch(step: Prices, field: str, batch_field: str, provider: str) -> int | None:
    """A batch halves every class of a Claude model; of others only what is published is said."""
    if batch_field:
        price_: int | None = getattr(step, batch_field)
        return price_
    standard: int | None = getattr(step, field)
    if provider != CLAUDE or standard is None or step.batch_input is None or not step.input:
        return None
    return standard * step.batch_input // step.input


def _full(row: Row) -> Iterator[str]:
    """What the largest request costs."""
    window, most, step = row.context_tokens, row.max_output_tokens, row.prices[-1]
    if not window:
        return
    costs = [
        (cost_of(window, step.input), ""),
        (cost_of(window, step.cache_write_5m), " written to the cache"),
        (cost_of(window, step.cache_read), " read from it"),
        (cost_of(window, step.batch_input), " in a batch"),
    ]
    said = ", ".join(f"{dollars(cost)}{how}" for cost, how in costs if cost is not None)
    if said:
        yield f"A prompt that fills the window ({window:,} tokens): {said}."
    cost = cost_of(most, step.output) if most else None
    if cost is not None and most:
        yield f"The longest reply ({most:,} tokens): {dollars(cost)}."


def _sources(sources: Sequence[Fact], today: str) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    now = date.fromisoformat(today)
    for number, facts in enumerate(_places(sources), 1):
        one = facts[0]
        age = "of the past" if one.past else f"{one.age_days(now)} days old"
        what = "how calls are counted" if one in other_facts() else ", ".join(fact.says for fact in facts)
        said = Text(f"{what}: {one.as_of}, {age}")
        grid.add_row(f"[{number}]", said.append(f"\n{one.url}", style="dim"))
    return grid
