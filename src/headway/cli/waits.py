"""`headway usage waits`: how long calls waited, and for what."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from headway.cli.figures import duration, humane, share
from headway.cli.progress import Progress
from headway.cli.usageview import named
from headway.cli.window import Json, LedgerFile, Only, Since, Until, window
from headway.ledger.waits import Wait, read_waits

_MOST = 50  # for eyes


def waits(
    by: Annotated[
        str,
        typer.Option(help="What a line is: cause, tenant, model, pool, class, job, session, day or hour."),
    ] = "cause",
    since: Since = "7d",
    until: Until = "",
    where: Only = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """How long calls waited in line, and for which limit or budget.

    Examples:

        headway usage waits

        headway usage waits --by tenant --since 24h

        headway usage waits --where tenant=search
    """
    asked = window(ledger, since, until, where)
    with Progress(sys.stderr, "adding up the ledger") as progress:
        found = read_waits(
            asked.path, by, asked.since_ns, until_ns=asked.until_ns, where=asked.where, told=progress.left
        )
    if as_json:
        typer.echo(
            json.dumps({"ledger": str(asked.path), "by": by, "waits": [asdict(each) for each in found]})
        )
        return
    Console().print(picture(found, by))


def picture(found: Sequence[Wait], by: str) -> Group | Text:
    """A line for each group that waited at all."""
    waited = [each for each in found if each.waited]
    if not waited:
        return Text("Nothing waited in this time." if found else "The ledger has no attempts in this time.")
    lines = waited[-_MOST:] if by in ("day", "hour") else waited[:_MOST]
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    table.add_column("waited for" if by == "cause" else by, overflow="ellipsis", no_wrap=True)
    if by == "cause":
        table.add_column("pool", overflow="ellipsis", no_wrap=True)
    for name in ("waits", "of all", "in all", "median", "90 %", "longest"):
        table.add_column(name, justify="right", no_wrap=True)
    total = sum(each.total_ms for each in waited)
    for each in lines:
        first = "(not known)" if by == "cause" and not each.key else named(each.key)
        table.add_row(
            Text(first),
            *([Text(named(each.pool))] if by == "cause" else []),
            humane(each.waited),
            share(each.total_ms, total),
            duration(each.total_ms),
            duration(each.p50_ms),
            duration(each.p90_ms),
            duration(each.longest_ms),
        )
    tried, ever = sum(each.attempts for each in found), sum(each.waited for each in waited)
    notes = [f"{ever:,} of {tried:,} attempts waited a millisecond or more, {duration(total)} in all."]
    if len(lines) < len(waited):
        notes.insert(0, f"{len(waited) - len(lines):,} more lines; --json shows them.")
    return Group(table, *(Text(note, style="dim") for note in notes))
