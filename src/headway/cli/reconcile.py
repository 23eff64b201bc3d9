"""`headway reconcile`: the ledger against the provider's own export."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from headway.cli.display import visible
from headway.cli.figures import humane
from headway.config import load
from headway.errors import InputError, LedgerError
from headway.ledger.sqlite import default_path
from headway.reconcile.books import Books
from headway.reconcile.causes import OPEN
from headway.reconcile.compare import COST, Comparison, Total, compare
from headway.reconcile.export import Export, read_export

_TOLERATED = 0.001  # of what the provider counted: below that, what is left is no finding
_NUMBERS = ("ledger", "provider", "difference", "open")
_FIRST = 14  # columns of the names of kinds
_SHOWN = 12  # causes, the largest first
_NAMES = {
    "cache_write_5m": "write 5m",
    "cache_write_1h": "write 1h",
    "cache_read": "cache read",
    "web_searches": "searches",
}


def reconcile(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The export, CSV or JSON; - reads standard input.")
    ],
    workspace: Annotated[
        list[str] | None, typer.Option(help="Only lines of this workspace. May be given several times.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Only lines of this API key, by name or id. May be given several times."),
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger file. Default: as set, or that of this user.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines: every difference with its causes.")
    ] = False,
) -> None:
    """Compare the ledger with the provider's usage or cost export, and explain each difference.

    FILE is a CSV of the Console's usage or cost page, or the JSON of the Admin API's usage or cost report.
    Exit code 0: all differences are explained; 1: some are not.

    Examples:

        headway reconcile claude_usage_2026_11.csv

        headway reconcile cost_report.json --workspace Production

        headway reconcile usage.csv --json | jq '.differences[]'
    """
    export = _chosen(read_export(_read(file), _name(file)), workspace, key)
    path = _path(ledger)
    found = compare(export, Books(path, *_span(export), export.width_ns))
    unexplained = _is_unexplained(found)
    if as_json:
        totals = [asdict(total) | {"unexplained": total.unexplained} for total in found.totals]
        typer.echo(
            json.dumps({"ledger": str(path), **asdict(found), "totals": totals, "agrees": not unexplained})
        )
    else:
        console = Console(highlight=False)
        console.print(picture(found, console.width))
    raise typer.Exit(1 if unexplained else 0)


def _path(ledger: Path | None) -> Path:
    config = load(os.environ, flags=True, ledger=ledger and str(ledger))
    if config.ledger == "none":
        raise InputError(
            f"no ledger is kept: {config.sources['ledger']} says none", hint="Name one with --ledger."
        )
    path = Path(config.ledger) if config.ledger else default_path()
    if not path.exists():
        raise LedgerError(f"there is no ledger at {path}", hint="Name one with --ledger.")
    return path


def _name(file: str) -> str:
    return "standard input" if file == "-" else file


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None


def _chosen(export: Export, workspaces: list[str] | None, keys: list[str] | None) -> Export:
    lines = tuple(
        line
        for line in export.lines
        if (not workspaces or line.workspace in workspaces) and (not keys or line.key in keys)
    )
    if not lines:
        there = (
            sorted({line.workspace or "(none)" for line in export.lines}),
            sorted({line.key for line in export.lines}),
        )
        raise InputError(
            "no line of the export is left",
            hint=f"Workspaces in it: {', '.join(there[0])}. Keys: {', '.join(there[1])}.",
        )
    return replace(export, lines=lines)


def _span(export: Export) -> tuple[int, int]:
    return min(line.start_ns for line in export.lines), max(line.end_ns for line in export.lines)


def _is_unexplained(found: Comparison) -> bool:
    return any(abs(total.unexplained) > _TOLERATED * max(total.theirs, total.ours) for total in found.totals)


def picture(found: Comparison, width: int) -> Group:
    """For eyes: what agrees in one sentence, a table of both sides, and the causes, largest first."""
    parts: list[Text | Table] = [_headline(found), Text(), _table(found.totals, width)]
    causes = _causes(found)
    if causes is not None:
        parts += [Text(), Text("Why they differ", style="bold"), causes]
    return Group(*parts, *(Text(note, style="dim") for note in found.notes))


def _headline(found: Comparison) -> Text:
    first, last = _day(found.from_ns), _day(found.to_ns - 1)
    when = f"{first} (UTC)" if first == last else f"{first} to {last} (UTC)"
    if not found.differences:
        return Text(f"{found.what.capitalize()} agrees, {when}: no difference.", style="bold green")
    if _is_unexplained(found):
        return Text(
            f"{found.what.capitalize()} differs, {when}: not all of it is explained.", style="bold red"
        )
    rest = (
        f"all but less than {_TOLERATED:.1%}"
        if any(total.unexplained for total in found.totals)
        else "all of it"
    )
    return Text(f"{found.what.capitalize()} differs, {when}: {rest} is explained.", style="bold green")


def _day(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // 10**9, UTC):%Y-%m-%d}"


def _table(totals: tuple[Total, ...], width: int) -> Table:
    """A row for each model's kind under a row with its name; figures are shortened before any is cut."""
    rows = [_row(total, amount) for total in totals]
    if _needed(rows) > width:
        rows = [_row(total, short_amount) for total in totals]
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    table.add_column(
        "model", no_wrap=True, overflow="ellipsis", max_width=max(12, width - _needed(rows) + _FIRST)
    )
    for name in _NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    last: str | None = None
    for total, row in zip(totals, rows, strict=True):
        if total.model != last:
            last = total.model
            table.add_row(Text(visible(total.model) or "(none)", style="bold"))
        table.add_row(Text(f"  {_NAMES.get(total.kind, total.kind)}"), *row)
    return table


def _needed(rows: list[list[Text]]) -> int:
    """Columns that the figures need, beside a first one."""
    columns = zip(*rows, strict=True) if rows else [()] * len(_NUMBERS)
    named = zip(_NUMBERS, columns, strict=True)
    return _FIRST + sum(1 + max(len(name), *map(len, column), 0) for name, column in named)


def _row(total: Total, said: Callable[[str, int], str]) -> list[Text]:
    both = [Text(said(total.kind, each)) for each in (total.ours, total.theirs)]
    return [
        *both,
        _gap(total.kind, total.theirs - total.ours, said),
        _gap(total.kind, total.unexplained, said),
    ]


def short_amount(kind: str, value: int) -> str:
    """The same in five characters or so: 2.99G, $3.07k."""
    return humane(value) if kind != COST else f"${humane(round(value / 1e9))}"


def amount(kind: str, value: int) -> str:
    """Tokens with separators, money in dollars to the cent (or finer, when it is less than one)."""
    if kind != COST:
        return f"{value:,}"
    dollars = value / 1e9
    return f"${dollars:,.2f}" if abs(dollars) >= 0.01 or not value else f"${dollars:.6f}"


def _gap(kind: str, value: int, said: Callable[[str, int], str]) -> Text:
    if not value:
        return Text("-", style="dim")
    text = said(kind, abs(value))
    return Text(("+" if value > 0 else "-") + text, style="yellow")


def _causes(found: Comparison) -> Table | None:
    """The same cause in many periods is one line: how much in all, and in how many periods."""
    sums: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    periods: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for each in found.differences:
        for reason in each.reasons:
            key = reason.cause, each.model, reason.text
            sums[key][each.kind] += reason.amount
            periods[key].add(each.start_ns)
    if not sums:
        return None
    ordered = sorted(sums, key=lambda key: (key[0] not in OPEN, -max(map(abs, sums[key].values()))))
    table = Table.grid(padding=(0, 1, 0, 0))
    for key in ordered[:_SHOWN]:
        table.add_row(*_cause(key, sums[key], periods[key]))
    if len(ordered) > _SHOWN:
        table.add_row(
            "", Text(f"{len(ordered) - _SHOWN:,} smaller ones: --json shows them all.", style="dim")
        )
    return table


def _cause(key: tuple[str, str, str], sums: Counter[str], periods: set[int]) -> tuple[Text, Text]:
    cause, model, text = key
    when = _day(*periods) if len(periods) == 1 else f"{len(periods):,} periods"
    amounts = [
        f"{'+' if total > 0 else '-'}{amount(kind, abs(total))} {_NAMES.get(kind, kind)}"
        for kind, total in sums.items()
        if total
    ]
    mark = Text("!", style="bold red") if cause in OPEN else Text("·", style="green")
    said = f": {visible(text)} ({', '.join(amounts)})"
    return mark, Text.assemble((f"{visible(model) or '(no model)'}, {when}", "bold"), said)
