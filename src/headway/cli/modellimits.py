"""What the limits of a model are in each tier, what a full request takes of them, and how they count."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table

from headway.catalog.facts import other_facts, tier_terms
from headway.catalog.limits import KnownLimits
from headway.catalog.matrix import Row
from headway.charts.measure import written
from headway.cli.modelcolumns import UNKNOWN, size
from headway.core.call import Unit


def plain(*columns: tuple[str, bool]) -> Table:
    """A table with these columns; with True an amount, set right."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    for name, right in columns:
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    return table


def limits(row: Row, own: KnownLimits | None) -> Table:
    """Each tier, and how long a full window and the longest reply take of it."""
    table = plain(("tier", False), ("requests", True), ("input", True), ("output", True))
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


def for_all(row: Row) -> Table:
    """What a tier limits for all models together."""
    table = plain(
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
    part = part_of_minute(tokens, a_minute)
    if part is None:
        return UNKNOWN
    return f"{part:.0%}" if part < 1 else written(part * 60, "seconds")


def part_of_minute(tokens: int | None, a_minute: float | None) -> float | None:
    """How many minutes of a limit so many tokens take. None: one of them is not known."""
    return tokens / a_minute if tokens and a_minute else None


def counting(row: Row) -> Iterator[str]:
    """How the limits count, in sentences."""
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
