"""What your own calls measured of a model, by day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.text import Text

from headway.catalog.matrix import Row
from headway.catalog.measured import DAYS, Measured
from headway.catalog.timing import AN_HOUR, LEAST
from headway.charts.figure import Figure, Lines, Series
from headway.charts.terminal import draw
from headway.cli.figures import dollars
from headway.cli.modelcolumns import UNKNOWN, seconds, share, size
from headway.cli.modellimits import plain

_DAYS_TO_SEE = 5


def measured(row: Row, days: Mapping[str, Measured], width: int) -> list[RenderableType]:
    """A table by day, and all of them together."""
    title = Text(f"\nMeasured by your calls, last {DAYS} days", style="bold")
    if row.measured is None:
        return [
            title,
            Text(f"No calls of this model in the last {DAYS} days are in the ledger.", style="dim"),
        ]
    table = plain(("day", False), ("calls", True), ("first", True), ("P90", True), ("tok/s", True))
    for name in ("failed", "429s", "cached", "$/1k calls")[: 4 if width >= 70 else 1]:
        table.add_column(name, justify="right")
    for name, each in (*days.items(), ("all", row.measured)):
        cells = (*_measured_cells(each),)[: len(table.columns) - 1]
        table.add_row(name, *cells, style="bold" if name == "all" else "")
    said = f"Nothing is said of fewer than {LEAST}."
    if row.measured.timed < row.measured.replies and row.measured.timed_from:
        what = f"Times are of {row.measured.timed:,} streamed replies since {row.measured.timed_from}"
        said += f" {what}, of at most {AN_HOUR:,} attempts of an hour; the rest is exact."
    if row.measured.estimated:
        said += f" {row.measured.estimated:,} of {row.measured.attempts:,} attempts are estimated."
    return [title, table, Text(said, style="dim")]


def over_time(days: Mapping[str, Measured], width: int, *, colour: bool) -> list[RenderableType]:
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
