"""The columns of the matrix of models: for a terminal of any width, for a spreadsheet, for a page of Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from headway.catalog.limits import KnownLimits
from headway.catalog.matrix import Row
from headway.cli.display import visible
from headway.cli.figures import dollars
from headway.core.call import Unit
from headway.providers.catalog import TierLimits

_GAP = 2  # between two columns
UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Shown:
    """A row with the limits that hold for it now. None: not known."""

    row: Row
    limits: KnownLimits | None = None


@dataclass(frozen=True, slots=True)
class _Column:
    """`rank`: 0 is always there; the higher, the sooner it goes where there is no room. `left`: words, not amounts."""

    name: str
    rank: int
    text: Callable[[Shown], str]
    left: bool = False


def table(rows: Sequence[Shown], width: int) -> Table:
    """The matrix, as many columns as `width` has room for."""
    columns = _fitting(rows, width)
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    for place, column in enumerate(columns):
        drawn.add_column(
            column.name,
            justify="left" if column.left else "right",
            no_wrap=True,
            overflow="ellipsis",
            max_width=40 if place == 0 else None,
        )
    for shown in rows:
        style = {"retired": "dim", "deprecated": "yellow"}.get(shown.row.status, "")
        drawn.add_row(*(Text(visible(column.text(shown)) or UNKNOWN) for column in columns), style=style)
    return drawn


def as_csv(rows: Sequence[Shown]) -> str:
    """Every column, plain numbers: prices in nanodollars per million tokens, limits a minute. Empty: not known."""
    out = io.StringIO()
    records = [_record(shown) for shown in rows]
    writer = csv.DictWriter(out, list(records[0]) if records else ["model"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def as_markdown(rows: Sequence[Shown]) -> str:
    """The matrix as a table for a page, with every column in which something is known."""
    columns = [column for column in _columns(rows) if _says(column, rows)]
    lines = [
        "| " + " | ".join(column.name for column in columns) + " |",
        "|" + "|".join("---" if column.left else "---:" for column in columns) + "|",
    ]
    for shown in rows:
        cells = (visible(column.text(shown)).replace("|", "\\|") for column in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def size(tokens: float | None) -> str:
    """Tokens or calls as people say them: 200k, 1M, 450k, 50."""
    if tokens is None:
        return UNKNOWN
    for scale, unit in ((1_000_000, "M"), (1000, "k")):
        if tokens >= scale:
            return f"{tokens / scale:.3g}{unit}"
    return f"{tokens:.3g}" if tokens < 999.5 else "1k"


def price(nanodollars: int | None) -> str:
    """Nanodollars in dollars: $15, $0.125, $18.75."""
    if nanodollars is None:
        return UNKNOWN
    value = nanodollars / 1e9
    text = f"{value:.2f}" if round(value, 2) == value else f"{value:.6f}".rstrip("0")
    return f"${text}"


def share(part: float | None) -> str:
    """A share of attempts or tokens: 3 %, 0.2 %."""
    if part is None:
        return UNKNOWN
    return f"{part:.0%}" if part == 0 or part >= 0.095 else f"{part:.1%}"


def seconds(ms: float | None) -> str:
    """Milliseconds for eyes: 820ms, 1.3s."""
    if ms is None:
        return UNKNOWN
    return f"{ms:.0f}ms" if ms < 1000 else f"{ms / 1000:.1f}s"


def three(limits: TierLimits | None) -> str:
    """Requests, input and output a minute in one cell."""
    if limits is None:
        return UNKNOWN
    return "/".join(size(amount) for amount in (limits.requests, limits.input_tokens, limits.output_tokens))


def _fitting(rows: Sequence[Shown], width: int) -> list[_Column]:
    columns = [column for column in _columns(rows) if column.rank == 0 or _says(column, rows)]
    sizes = {
        column.name: max([len(column.name), *(len(column.text(shown)) for shown in rows)]) + _GAP
        for column in columns
    }
    taken = {column.name for column in columns if column.rank == 0}
    room = width + _GAP - sum(sizes[name] for name in taken)
    for rank in sorted({column.rank for column in columns if column.rank}):
        group = [column.name for column in columns if column.rank == rank]  # those of one rank go together
        needed = sum(sizes[name] for name in group)
        if needed <= room:
            taken.update(group)
            room -= needed
    return [column for column in columns if column.name in taken]


def _says(column: _Column, rows: Sequence[Shown]) -> bool:
    """Whether there is anything in it: a column of dashes only takes room."""
    return any(column.text(shown) not in ("", UNKNOWN, "active") for shown in rows)


def _of_price(field: str) -> Callable[[Shown], str]:
    def text(shown: Shown) -> str:
        prices = shown.row.prices
        if not prices:
            return UNKNOWN
        first = getattr(prices[0], field)
        dearer = len(prices) > 1 and getattr(prices[-1], field) != first
        return price(first) + ("+" if dearer else "")

    return text


def _of_limit(unit: Unit) -> Callable[[Shown], str]:
    return lambda shown: UNKNOWN if shown.limits is None else size(shown.limits.amount(unit))


def _of_tier(name: str) -> Callable[[Shown], str]:
    return lambda shown: three(shown.row.tiers.get(name)) if shown.limits is None else UNKNOWN


def _columns(rows: Sequence[Shown]) -> list[_Column]:
    """In the order in which they stand."""
    many = len({shown.row.provider for shown in rows}) > 1
    own = [_Column("provider", 1, lambda shown: shown.row.provider, left=True)] if many else []
    return [
        _Column("model", 0, lambda shown: shown.row.model, left=True),
        *own,
        _Column("status", 6, _status, left=True),
        _Column("context", 1, lambda shown: size(shown.row.context_tokens)),
        _Column("output", 2, lambda shown: size(shown.row.max_output_tokens)),
        _Column("$ in", 0, _of_price("input")),
        _Column("$ write", 8, _of_price("cache_write_5m")),
        _Column("$ write 1h", 12, _of_price("cache_write_1h")),
        _Column("$ read", 4, _of_price("cache_read")),
        _Column("$ out", 0, _of_price("output")),
        _Column("batch in", 10, _of_price("batch_input")),
        _Column("batch out", 10, _of_price("batch_output")),
        _Column("requests", 3, _of_limit(Unit.REQUESTS)),
        _Column("input", 3, _of_limit(Unit.INPUT_TOKENS)),
        _Column("output/min", 3, _of_limit(Unit.OUTPUT_TOKENS)),
        _Column("tier-1", 9, _of_tier("tier-1")),
        _Column("start", 9, _of_tier("start")),
        _Column(
            "first", 4, lambda shown: seconds(m.first_token_p50_ms if (m := shown.row.measured) else None)
        ),
        _Column("P90", 9, lambda shown: seconds(m.first_token_p90_ms if (m := shown.row.measured) else None)),
        _Column("tok/s", 4, lambda shown: size(m.tokens_per_s_p50 if (m := shown.row.measured) else None)),
        _Column("failed", 10, lambda shown: share(m.failed if (m := shown.row.measured) else None)),
        _Column("cached", 8, lambda shown: share(m.cached if (m := shown.row.measured) else None)),
        _Column("$/1k calls", 5, _cost),
        _Column("calls", 7, lambda shown: size(m.calls if (m := shown.row.measured) else None)),
    ]


def _status(shown: Shown) -> str:
    row = shown.row
    if row.status in ("", "active"):
        return UNKNOWN if not row.status else "active"
    return f"{row.status} {row.retires}".strip()


def _cost(shown: Shown) -> str:
    measured = shown.row.measured
    if measured is None or measured.nanousd_per_1000_calls is None:
        return UNKNOWN
    return dollars(measured.nanousd_per_1000_calls)


def _record(shown: Shown) -> dict[str, str | int | float]:
    row, measured = shown.row, shown.row.measured
    first = row.prices[0] if row.prices else None
    fields = (
        "input",
        "cache_write_5m",
        "cache_write_1h",
        "cache_read",
        "output",
        "batch_input",
        "batch_output",
    )
    record: dict[str, str | int | float | None] = {
        "provider": row.provider,
        "model": row.model,
        "status": row.status,
        "retires": row.retires,
        "context_tokens": row.context_tokens,
        "max_output_tokens": row.max_output_tokens,
        "pool": row.pool,
        **{f"{name}_nanousd_per_mtok": getattr(first, name, None) for name in fields},
        "dearer_beyond_tokens": row.prices[1].beyond if len(row.prices) > 1 else None,
    }
    for name in ("tier-1", "tier-2", "tier-3", "tier-4", "start", "build", "scale"):
        tier = row.tiers.get(name)
        for unit in ("requests", "input_tokens", "output_tokens"):
            record[f"{name}_{unit}_per_min"] = getattr(tier, unit, None)
    for unit in (Unit.REQUESTS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS):
        amount = shown.limits.amount(unit) if shown.limits else None
        record[f"yours_{unit}_per_min"] = None if amount is None else round(amount)
    for name in ("calls", "first_token_p50_ms", "first_token_p90_ms", "tokens_per_s_p50"):
        record[name] = getattr(measured, name, None)
    for name in ("failed", "refused", "cached", "nanousd_per_1000_calls"):
        record[name] = getattr(measured, name, None)
    return {name: "" if value is None else value for name, value in record.items()}
