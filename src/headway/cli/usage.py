"""`headway usage`: what was asked, what it took and what it cost, out of the ledger."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from headway.config import Config, load
from headway.errors import InputError
from headway.ledger.report import By, Line, Report
from headway.ledger.report import usage as read_usage
from headway.ledger.sqlite import default_path

_AGO_S = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_WIDE = 104  # columns of a terminal that has room for everything
_GAP = 2  # between two columns
_MOST_LINES = 50  # for eyes


def usage(
    by: Annotated[By, typer.Option(help="What a line is.")] = "model",
    since: Annotated[str, typer.Option(help="7d, 24h, 30m, a date like 2026-11-01 (UTC), or all.")] = "7d",
    ledger: Annotated[
        Path | None,
        typer.Option(help="The ledger file. Default: as set, or that of this user."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines: exact integers, nanodollars.")
    ] = False,
) -> None:
    """Show what was used: calls, 429s, tokens, dollars, waiting.

    Examples:

        headway usage                          the last 7 days, by model

        headway usage --by tenant --since 24h  who used it

        headway usage --by day --since all     how it went

        headway usage --by status              what failed

        headway usage --json | jq .total       for scripts
    """
    path = _path(load(os.environ, flags=True, ledger=ledger and str(ledger)))
    report = read_usage(path, by, since_ns(since, time.time_ns()))
    if as_json:
        typer.echo(json.dumps({"ledger": str(path), **asdict(report)}))
    else:
        console = Console()
        console.print(picture(report, console.width))


def _path(config: Config) -> Path:
    if config.ledger == "none":
        raise InputError(
            f"no ledger is kept: {config.sources['ledger']} says none", hint="Name one with --ledger."
        )
    return Path(config.ledger) if config.ledger else default_path()


def since_ns(text: str, now_ns: int) -> int:
    """`--since` as nanoseconds since 1970 UTC. InputError for anything else."""
    if text == "all":
        return 0
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if ago:
        return max(0, now_ns - int(ago[1]) * _AGO_S[ago[2]] * 10**9)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(
            f"--since does not understand {text!r}", hint="Like 7d, 24h, 30m, 2026-11-01 or all."
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp()) * 10**9)


def picture(report: Report, width: int) -> Group | Text:
    """The report for eyes, `width` columns wide: a table, and below it what a number alone would hide."""
    if not report.lines:
        return Text(report.note)
    lines = report.lines[-_MOST_LINES:] if report.by in ("day", "hour") else report.lines[:_MOST_LINES]
    shown = [column for column in _COLUMNS if _is_shown(column, report.total, width)]
    cells = [[value(line) for _, _, value in shown] for line in (*lines, report.total)]
    room = width - sum(
        max(map(len, column)) + _GAP for column in zip([name for name, *_ in shown], *cells, strict=True)
    )
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_footer=True, show_edge=False, pad_edge=False)
    table.add_column(report.by, footer="total", overflow="ellipsis", no_wrap=True, max_width=max(room, 10))
    for (name, *_), footer in zip(shown, cells[-1], strict=True):
        table.add_column(name, footer=footer, justify="right", no_wrap=True, footer_style="bold")
    for line, row in zip(lines, cells, strict=False):
        table.add_row(Text(_printable(line.key)), *row)
    return Group(table, *(Text(note, style="dim") for note in _notes(report, len(lines))))


_Column = tuple[
    str, bool, Callable[[Line], str]
]  # name, whether only a wide terminal has room for it, its text


def _is_shown(column: _Column, total: Line, width: int) -> bool:
    """A column that is empty throughout only takes room."""
    name, wide, value = column
    return (width >= _WIDE or not wide) and (
        name in ("calls", "cost") or value(total) not in ("0", "-", "0%")
    )


def _all_input(line: Line) -> int:
    return (
        line.input_tokens + line.cache_read_tokens + line.cache_write_5m_tokens + line.cache_write_1h_tokens
    )


def _cost(line: Line) -> str:
    if line.unpriced and line.unpriced == line.attempts:
        return "?"
    return dollars(line.cost_nanousd) + ("+?" if line.unpriced else "")


_COLUMNS: tuple[_Column, ...] = (
    ("calls", False, lambda line: humane(line.calls)),
    ("tries", True, lambda line: humane(line.attempts)),
    ("429s", False, lambda line: humane(line.rate_limited)),
    ("input", False, lambda line: humane(_all_input(line))),
    ("cached", False, lambda line: _share(line.cache_read_tokens, _all_input(line))),
    ("written", True, lambda line: humane(line.cache_write_5m_tokens + line.cache_write_1h_tokens)),
    ("output", False, lambda line: humane(line.output_tokens)),
    ("thinking", True, lambda line: humane(line.thinking_tokens)),
    ("cost", False, _cost),
    ("wait", False, lambda line: _duration(line.queued_p50_ms)),
    ("longest", True, lambda line: _duration(line.queued_max_ms)),
)


def _notes(report: Report, shown: int) -> list[str]:
    total, notes = report.total, []
    if shown < len(report.lines):
        notes.append(f"{len(report.lines) - shown:,} more lines are in the total; --json shows them.")
    if total.unpriced:
        notes.append(
            f"{total.unpriced:,} attempts have no known price; their tokens count, their cost does not."
        )
    if total.estimated:
        notes.append(
            f"{total.estimated:,} of {total.attempts:,} attempts are estimated (cancelled, broken off or lost): "
            f"{dollars(total.estimated_nanousd)} of the cost."
        )
    if total.estimate_error is not None:
        notes.append(f"Input was estimated to within {total.estimate_error:.1%} on average.")
    if report.under_way:
        notes.append(f"{report.under_way:,} attempts are under way and not counted yet.")
    if total.queued_p50_ms:
        notes.append("Wait is the median time in line." + " Times are UTC." * (report.by in ("day", "hour")))
    return notes


def humane(count: int) -> str:
    """A count in at most five characters or so: 999, 12.3k, 4.56M."""
    for unit, name in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit * 0.9995:
            scaled = count / unit
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{name}"
    return str(count)


def dollars(nanousd: int) -> str:
    """Three digits or the cent, whichever says more: $1,234.50, $0.123, $0.00012."""
    value = nanousd / 1e9
    if nanousd == 0:
        return "$0"
    if value >= 0.995:
        return f"${value:,.2f}"
    if value < 0.00001:
        return "<$0.00001"
    digits = next(places for places in range(2, 8) if value * 10**places >= 9.95 or places == 7)
    return f"${value:.{min(digits + 1, 5)}f}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole and part else "-"


def _duration(ms: float | None) -> str:
    if ms is None or ms < 1:
        return "-"
    if ms < 1000:
        return f"{ms:.0f}ms"
    seconds = ms / 1000
    return (
        f"{seconds:.1f}s"
        if seconds < 60
        else f"{seconds / 60:.1f}m"
        if seconds < 3600
        else f"{seconds / 3600:.1f}h"
    )


def _printable(text: str) -> str:
    """Names come from outside: nothing in them may drive the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text) or "(none)"
