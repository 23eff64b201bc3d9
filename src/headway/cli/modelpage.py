"""One model explained: what is published and where, what it costs, what limits mean for it, what your calls measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headway.catalog.facts import Fact, claude_facts, other_facts, price_fact, tier_terms
from headway.catalog.limits import KnownLimits
from headway.catalog.matrix import CLAUDE, Row
from headway.catalog.measured import DAYS, LEAST, Measured
from headway.catalog.prices import Prices
from headway.charts.figure import Figure, Lines, Series
from headway.charts.measure import written
from headway.charts.terminal import draw
from headway.cli.display import visible
from headway.cli.figures import dollars
from headway.cli.modelcolumns import UNKNOWN, price, seconds, share, size
from headway.core.call import Unit

_CLASSES = (
    ("fresh input", "input", "batch_input"),
    ("cache write, 5 min", "cache_write_5m", ""),
    ("cache write, 1 hour", "cache_write_1h", ""),
    ("cache read", "cache_read", ""),
    ("output", "output", "batch_output"),
)

_DAYS_TO_SEE = 5
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
        "prompt_minutes": {name: _part(prompt, tier.input_tokens) for name, tier in row.tiers.items()},
        "reply_tokens": reply,
        "reply_nanousd": cost_of(reply, step.output) if step and reply else None,
        "reply_minutes": {name: _part(reply, tier.output_tokens) for name, tier in row.tiers.items()},
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
    parts: list[RenderableType] = [_head(row), _facts(row, _numbers(sources))]
    if row.prices:
        parts += [_title("Prices, per million tokens"), _prices(row)]
        parts += [Text(line, style="") for line in _full(row)]
    if row.tiers or own:
        parts += [_title("Limits a minute"), _limits(row, own)]
    parts += [Text(line) for line in _counting(row)]
    if row.tiers:
        parts += [_title("Limits a minute, all models together"), _for_all(row)]
    parts += _measured(row, days, width)
    parts += _over_time(days, min(width, 100), colour)
    parts += [_title("Sources"), _sources(sources, today)]
    return Group(*parts)


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _head(row: Row) -> Text:
    head = Text(visible(row.model), style="bold")
    names = row.facts.names if row.facts else ()
    if names:
        head.append(f"  also {', '.join(names)}", style="dim")
    style = {"active": "green", "deprecated": "yellow", "retired": "red"}.get(row.status, "")
    if row.status:
        verb = (
            "retired" if row.status == "retired" else f"{row.status}, retires" if row.retires else row.status
        )
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
    table = _plain(("class", False))
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


def _plain(*columns: tuple[str, bool]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    for name, right in columns:
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    return table


def _limits(row: Row, own: KnownLimits | None) -> Table:
    """Each tier, and how long a full window and the longest reply take of it."""
    table = _plain(("tier", False), ("requests", True), ("input", True), ("output", True))
    for name in ("full window", "full reply", "spend cap"):
        table.add_column(name, justify="right")
    if own is not None and own.source not in row.tiers:
        amounts = [own.amount(unit) for unit in (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)]
        table.add_row(*_limit_cells(row, "yours", *amounts), UNKNOWN, style="bold")
    for name, limits in row.tiers.items():
        terms = tier_terms()[name]
        amounts = [limits.requests, limits.input_tokens, limits.output_tokens]
        cap = UNKNOWN if terms.spend_cap_usd is None else f"${terms.spend_cap_usd:,}"
        style = "bold" if own is not None and own.source == name else "dim" if terms.ended else ""
        table.add_row(*_limit_cells(row, name, *amounts), cap, style=style)
    return table


def _for_all(row: Row) -> Table:
    """What a tier limits for all models together."""
    table = _plain(
        ("tier", False), ("batch requests", True), ("batch requests waiting", True), ("token counts", True)
    )
    for name in row.tiers:
        terms = tier_terms()[name]
        cells = (size(terms.batch_requests), size(terms.batch_queue), size(terms.count_requests))
        table.add_row(name, *cells, style="dim" if terms.ended else "")
    return table


def _limit_cells(
    row: Row, name: str, requests: float | None, input_: float | None, output: float | None
) -> tuple[str, ...]:
    return (
        name,
        size(requests),
        size(input_),
        size(output),
        _takes(row.context_tokens, input_),
        _takes(row.max_output_tokens, output),
    )


def _takes(tokens: int | None, a_minute: float | None) -> str:
    """Which part of a minute, or how many minutes, so many tokens take of a limit."""
    part = _part(tokens, a_minute)
    if part is None:
        return UNKNOWN
    return f"{part:.0%}" if part < 1 else written(part * 60, "seconds")


def _part(tokens: int | None, a_minute: float | None) -> float | None:
    return tokens / a_minute if tokens and a_minute else None


def _counting(row: Row) -> Iterator[str]:
    facts = row.facts
    if facts is None:
        yield from (fact.says for fact in other_facts() if fact.about == row.provider)
        return
    if row.tiers:
        yield "Full window, full reply: which share of a minute, or how long, one of them takes of a limit."
    if any(tier_terms()[name].ended for name in row.tiers):
        yield "tier-1 to tier-4 were given until about June 2026."
    yield from (f"{name}: {note}" for name in row.tiers if (note := tier_terms()[name].note))
    if row.status == "retired" and row.tiers:
        yield "It is retired: what its pool has now is for the models that are left in it."
    free = (
        "reads from the cache are free of it" if facts.cache_reads_free else "reads from the cache count, too"
    )
    yield f"Input counts fresh tokens and cache writes; {free}. Output counts as it is produced, max_tokens does not count."


def _measured(row: Row, days: Mapping[str, Measured], width: int) -> list[RenderableType]:
    title = _title(f"Measured by your calls, last {DAYS} days")
    if row.measured is None:
        return [title, Text("No calls of this model are in the ledger.", style="dim")]
    table = _plain(("day", False), ("calls", True), ("first", True), ("P90", True), ("tok/s", True))
    for name in ("failed", "429s", "cached", "$/1k calls")[: 4 if width >= 70 else 1]:
        table.add_column(name, justify="right")
    for name, each in (*days.items(), ("all", row.measured)):
        cells = (*_measured_cells(each),)[: len(table.columns) - 1]
        table.add_row(name, *cells, style="bold" if name == "all" else "")
    said = f"Nothing is said of fewer than {LEAST}."
    if row.measured.estimated:
        said += f" {row.measured.estimated:,} of {row.measured.attempts:,} attempts are estimated."
    return [title, table, Text(said, style="dim")]


def _over_time(days: Mapping[str, Measured], width: int, colour: bool) -> list[RenderableType]:
    """How the first token went by day, where there are enough days to see it."""
    points = [
        (datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp(), each.first_token_p50_ms / 1000)
        for day, each in days.items()
        if each.first_token_p50_ms is not None
    ]
    if len(points) < _DAYS_TO_SEE:
        return []
    x, y = zip(*points, strict=True)
    chart = Lines((Series("", x, y),), x="moment", y="seconds")
    return [
        Text.from_ansi("\n" + draw(Figure("First token, median of each day", chart), width, 8, colour=colour))
    ]


def _measured_cells(each: Measured) -> tuple[str, ...]:
    cost = each.nanousd_per_1000_calls
    return (
        f"{each.calls:,}",
        seconds(each.first_token_p50_ms),
        seconds(each.first_token_p90_ms),
        size(each.tokens_per_s_p50),
        share(each.failed),
        share(each.refused),
        share(each.cached),
        UNKNOWN if cost is None else dollars(cost),
    )


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
